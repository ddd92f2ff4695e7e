"""The record schemas, and the columns that a decoder hands over.

A *decoded batch* has the schema's own columns plus `offset` and `length` (bytes of the object, or of
its decompressed stream where it is compressed); id and provenance are added where shards are
assembled, with Arrow kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from skyhaul_schemas.errors import PlanDamaged
from skyhaul_schemas.own_schema import OwnSchema

RecordSchema = str | OwnSchema
"""The name of one of the schemas here, or one that the job declares."""

OWN = "own"
"""What a format says in its `schemas` that can give a schema of the job's own: it names its columns."""

# Of the columns of every schema: large_* has offsets of 64 bits, as an array of the plain type ends at 2 GiB.
# Readers see no difference (`skyhaul.certify.engine_reading.kind_of`).
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
"""Microseconds: Spark has no finer instant."""

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
    "audio": (
        pa.field("bytes", pa.large_binary(), nullable=False),
        pa.field("format", pa.string()),
        pa.field("channels", pa.int32()),
        pa.field("sample_rate", pa.int32()),
        pa.field("duration", pa.float64()),
        pa.field("transcript", pa.string()),
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
"""Columns between `id` and `provenance`, by schema name. A dataset keeps its columns for good: an addition is
for new datasets only (docs/versions.md)."""

BLOB_PART_SIZE = 16 * 1024 * 1024
"""Bytes: a larger object becomes several `blob` rows, so that no row group has to hold all of it. Objects are
cut at multiples of it (`formats.media.binary`), so another value gives other rows."""

POSITION = (
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("length", pa.int64(), nullable=False),
)


def planned_schema(stated: str | Mapping[str, Any]) -> RecordSchema:
    """The schema as a plan's header states it. Raises PlanDamaged."""
    try:
        return OwnSchema.from_json(stated) if isinstance(stated, Mapping) else stated
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PlanDamaged("the plan's record schema is none that skyhaul writes") from None


def schema_kind(schema: RecordSchema) -> str:
    """The schema as formats name what they can give: its name, or `own`."""
    return OWN if isinstance(schema, OwnSchema) else schema


def body_of(schema: RecordSchema) -> tuple[pa.Field, ...]:
    """Columns between `id` and `provenance`."""
    return schema.body if isinstance(schema, OwnSchema) else BODIES[schema]


def decoded_schema(schema: RecordSchema) -> pa.Schema:
    """What a decoder yields for a schema: the body and, as the last two columns, the record's position."""
    return pa.schema([*body_of(schema), *POSITION])


def shard_schema(schema: RecordSchema) -> pa.Schema:
    """What a shard of a schema holds: id, body, provenance. Identical in every file of a dataset."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            *body_of(schema),
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
"""Why an object of no bytes is passed over, whatever its format. Commit records hold this text, and sums look
for it there: another one would leave empty objects of earlier shards uncounted."""

RAW_CAP = 4096
"""Bytes of a reject that are kept: enough to see what is wrong with it; offset and length say where all of it
is. A reject may be the unreadable rest of a huge object. Chosen, not measured."""
