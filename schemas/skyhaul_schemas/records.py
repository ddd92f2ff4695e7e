"""The record schemas, and the columns that a decoder hands over.

A *decoded batch* has the schema's own columns plus `offset` and `length` (bytes of the object, or of
its decompressed stream where it is compressed); id and provenance are added where shards are
assembled, with Arrow kernels.
"""

from __future__ import annotations

import pyarrow as pa

PROVENANCE = pa.struct(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("object", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
    ]
)

_UTC = pa.timestamp("us", tz="UTC")

BODIES: dict[str, tuple[pa.Field, ...]] = {
    "document": (
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source_id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("language", pa.string()),
        pa.field("created", _UTC),
        pa.field("metadata", pa.string()),
    ),
    "reading": (
        pa.field("station", pa.string()),
        pa.field("time", _UTC),
        pa.field("quantity", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("unit", pa.string()),
        pa.field("quality", pa.string()),
        pa.field("latitude", pa.float64()),
        pa.field("longitude", pa.float64()),
        pa.field("metadata", pa.string()),
    ),
    "image": (
        pa.field("bytes", pa.large_binary(), nullable=False),
        pa.field("format", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("caption", pa.string()),
        pa.field("metadata", pa.string()),
    ),
    "blob": (
        pa.field("name", pa.string(), nullable=False),
        pa.field("bytes", pa.large_binary(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("parts", pa.int32(), nullable=False),
        pa.field("media_type", pa.string()),
    ),
}
"""Columns between `id` and `provenance`, by schema name."""

BLOB_PART_SIZE = 16 * 1024 * 1024
"""Bytes: a larger object becomes several `blob` rows."""

POSITION = (
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("length", pa.int64(), nullable=False),
)


def decoded_schema(name: str) -> pa.Schema:
    """What a decoder yields for schema `name`: the body and the record's position."""
    return pa.schema([*BODIES[name], *POSITION])


def shard_schema(name: str) -> pa.Schema:
    """What a shard of schema `name` holds: id, body, provenance. Identical in every file of a dataset."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            *BODIES[name],
            pa.field("provenance", PROVENANCE, nullable=False),
        ]
    )


REJECTS_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("object", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.binary()),
    ]
)
"""`_skyhaul/rejects/...`: what could not be taken; `raw` is cut at `RAW_CAP` bytes."""

EMPTY_OBJECT = "an empty object"
"""Why an object of no bytes is passed over, whatever its format."""

RAW_CAP = 4096
