"""Decode bytes in a test and look at what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa

from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.bytes.compression import is_compressed
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.delimited.decoder import CsvDecoder
from skyhaul_connectors.formats.json.document import JsonDecoder
from skyhaul_connectors.formats.json.jsonl import JsonlDecoder
from skyhaul_connectors.formats.protocol import Decoded, Decoder, DecodeSettings, Reject
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_connectors.formats.text.decoder import TextDecoder
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.records import RAW_CAP, RecordSchema, decoded_schema

_IN_PLACE = (CsvDecoder, JsonDecoder, JsonlDecoder, TextDecoder)
"""Whose offsets and lengths are bytes of the object, where it is not compressed."""


@dataclass
class Result:
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    damaged: bool = False
    passed_over: dict[str, int] = field(default_factory=dict)
    """By reason."""
    first_passed_over: int | None = None
    """Offset of the first."""
    nulled: dict[str, int] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        return [row["text"] for row in self.rows]

    @property
    def reasons(self) -> list[str]:
        return [reject.reason for reject in self.rejects]

    @property
    def counts(self) -> tuple[int, int, bool]:
        return len(self.rows), len(self.rejects), self.damaged


def settings(schema: RecordSchema = "document", **kwargs: Any) -> DecodeSettings:
    return DecodeSettings(schema, **kwargs)


def decode(
    raw: bytes,
    path: str = "object",
    format: str | None = None,
    schema: RecordSchema = "document",
    cuts: Sequence[int] = (),
    **options: Any,
) -> Result:
    """Decode `raw` as the object at `path`; `cuts` are offsets at which it is cut into chunks. Keywords that
    are settings (fields, on_damage, on_drift, batch_bytes) are told from decode options by name."""
    known = {key: options.pop(key) for key in list(options) if key in DecodeSettings.__dataclass_fields__}
    given = DecodeSettings(schema, options=options, **known)
    return decode_with(decoder_for(format, given, path), given, raw, path, cuts)


def decode_with(
    decoder: Decoder, given: DecodeSettings, raw: bytes, path: str, cuts: Sequence[int] = ()
) -> Result:
    obj = PinnedObject("src", path, len(raw), "")
    in_place = isinstance(decoder, _IN_PLACE) and not is_compressed(
        obj, StreamOptions(), lambda offset, length: raw[offset : offset + length]
    )
    borders = [0, *sorted(cuts), len(raw)]
    result = Result()
    for start, stop in pairwise(borders):
        if start == stop and len(borders) > 2:
            continue
        chunk = Chunk(0, 0, obj, start, stop - start)
        for step in decoder.decode(BytesChunk(raw, chunk)):
            step.batch.validate(full=True)
            assert step.batch.schema.equals(decoded_schema(given.schema))
            assert all(len(reject.raw) <= RAW_CAP for reject in step.rejects)
            if in_place:
                assert_within(step, len(raw))
            result.rows += _told_apart(step.batch).to_pylist()
            result.rejects += step.rejects
            result.damaged |= step.damaged
            for reason, count in step.nulled.items():
                result.nulled[reason] = result.nulled.get(reason, 0) + count
            for passed in step.passed_over:
                result.passed_over[passed.reason] = result.passed_over.get(passed.reason, 0) + passed.count
                known = result.first_passed_over
                result.first_passed_over = passed.offset if known is None else min(known, passed.offset)
    return result


def _told_apart(batch: pa.RecordBatch) -> pa.RecordBatch:
    names = batch.schema.names
    if len(set(names)) < len(names):
        names[-2:] = ["@offset", "@length"]
    return batch.rename_columns(names)


def assert_within(step: Decoded, size: int) -> None:
    """All rows and rejects of `step` lie in an object of `size` bytes."""
    # By place: a schema of a job's own may have columns of these names, too.
    ends = zip(*(step.batch.column(place).to_pylist() for place in (-2, -1)), strict=True)
    for offset, length in (*ends, *((reject.offset, reject.length) for reject in step.rejects)):
        assert offset >= 0, (offset, length)
        assert length >= 0, (offset, length)
        assert offset + length <= size, (offset, length, size)
