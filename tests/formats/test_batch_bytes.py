"""Batches hold at most `batch_bytes` of body and one row, whatever the encoding of the text was."""

from __future__ import annotations

from typing import Any

import pytest

from formats.web.archives import record
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.plan import Chunk, PinnedObject

TEXT = "天地玄黄宇宙洪荒" * 40
ROW = len(TEXT.encode())
LIMIT = 20 * ROW

OBJECTS: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "warc": (
        "x.warc",
        b"".join(record("conversion", TEXT.encode(), Content_Type="text/plain") for _ in range(200)),
        {},
    ),
    "warc of HTML": (
        "x.warc",
        b"".join(record("resource", f"<p>{TEXT}".encode(), Content_Type="text/html") for _ in range(200)),
        {},
    ),
    "paragraphs": (
        "x.txt",
        "\n\n".join([TEXT] * 200).encode("gb18030"),
        {"unit": "paragraph", "encoding": "gb18030"},
    ),
    "paragraphs of UTF-16": (
        "x.txt",
        "\n\n".join([TEXT] * 200).encode("utf-16"),
        {"unit": "paragraph", "encoding": "utf-16"},
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_batch_holds_no_more_than_it_may(name: str) -> None:
    path, raw, options = OBJECTS[name]
    decoder = decoder_for(None, DecodeSettings("document", options=options, batch_bytes=LIMIT), path)
    obj = PinnedObject("src", path, len(raw), "")
    held = [
        [len(text.encode()) for text in step.batch.column("text").to_pylist()]
        for step in decoder.decode(BytesChunk(raw, Chunk(0, 0, obj, 0, len(raw))))
    ]
    assert sum(map(len, held)) == 200
    assert max(map(sum, held)) < LIMIT + ROW + 10
    assert len(held) > 5
