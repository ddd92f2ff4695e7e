"""A decoder reads what its segments brought: each read beyond them would cost a round trip of its own."""

from __future__ import annotations

import pytest

from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.plan import Chunk, PinnedObject


class Watched(BytesChunk):
    """Notes the stretches that are read."""

    def __init__(self, data: bytes, chunk: Chunk) -> None:
        super().__init__(data, chunk)
        self.reads: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, min(offset + length, self.chunk.object.size)))
        return super().read(offset, length)


@pytest.mark.parametrize(
    ("form", "line"), [("jsonl", b'{"text": "a line of some length"}\n'), ("binary", b"x" * 34)]
)
def test_chunks_of_short_records_are_read_within_their_segments(form: str, line: bytes) -> None:
    data = line * 40_000
    schema = "blob" if form == "binary" else "document"
    decoder = decoder_for(form, DecodeSettings(schema), f"a.{form}")
    obj = PinnedObject("s", f"a.{form}", len(data), "etag:1")
    for index, (offset, length) in enumerate(decoder.cut(obj, 256 * 1024)):
        chunk = Chunk(0, index, obj, offset, length)
        watched = Watched(data, chunk)
        rows = sum(step.batch.num_rows for step in decoder.decode(watched))
        assert rows > 0
        for start, stop in watched.reads:
            assert any(o <= start and stop <= o + n for o, n in decoder.segments(chunk)), (start, stop, chunk)
