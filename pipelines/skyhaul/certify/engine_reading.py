"""What an engine says of a dataset, in terms that all engines share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from skyhaul_schemas.records import RecordSchema, body_of, shard_schema

BODY_OF = {"document": "text", "reading": "quantity", "image": "bytes", "audio": "bytes", "blob": "bytes"}
"""The column of each schema whose bytes are counted."""


_BYTES = (pa.binary(), pa.large_binary())

Schema = tuple[tuple[str, str], ...]
"""(column, type), in the terms of `kind_of`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an engine is asked."""

    dataset: str
    """The folder, as the engine's process sees it."""
    splits: tuple[str, ...]
    columns: tuple[str, ...]
    """The top-level ones."""
    body: str
    """The one whose bytes are counted."""
    body_is_text: bool

    @classmethod
    def of(cls, dataset: str, splits: tuple[str, ...], schema: RecordSchema) -> Request:
        fields = body_of(schema)
        names = ("id", *(field.name for field in fields), "provenance")
        body = BODY_OF[schema] if isinstance(schema, str) else _body(fields)
        return cls(dataset, splits, names, body, shard_schema(schema).field(body).type not in _BYTES)

    # A glob although the certifier knows every name: engines are to find the files as a training job would.
    def files(self, split: str) -> str:
        """A glob of the split's files, as a user would write it."""
        return f"{self.dataset}/data/*/{split}-*.parquet"


@dataclass(frozen=True, slots=True)
class SplitReading:
    """What one split comes to: rows, bytes of all ids and of the body, and nulls by column.

    Sums and no digests, because every engine can make them in its own words; they are over bytes, since
    engines differ in what they call a character."""

    rows: int
    id_bytes: int
    body_bytes: int
    source_bytes: int
    """The sum of `provenance.length`, which shows that the engine reads from within a struct."""
    nulls: dict[str, int]
    unique_ids: int | None = None
    """Distinct ids, where the engine can count them in bounded memory."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an engine read of a dataset."""

    version: str
    """Of the engine."""
    schema: Schema
    splits: dict[str, SplitReading]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Reading:
        return cls(
            value["version"],
            tuple((name, kind) for name, kind in value["schema"]),
            {name: SplitReading(**split) for name, split in value["splits"].items()},
        )


def kind_of(kind: pa.DataType) -> str:
    """An Arrow type by the name that all engines share: large or not is no difference to a reader."""
    if pa.types.is_struct(kind):
        inner = ", ".join(f"{field.name}: {kind_of(field.type)}" for field in kind)
        return f"struct<{inner}>"
    if pa.types.is_list(kind):
        return f"list<{kind_of(kind.value_type)}>"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "string"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "binary"
    if pa.types.is_floating(kind):
        return f"float{kind.bit_width}"
    return "date32" if pa.types.is_date32(kind) else str(kind)


def _body(fields: Sequence[pa.Field]) -> str:
    """The first column of text or bytes; ids where a schema of the job's own has none."""
    kinds = (pa.string(), pa.large_string(), *_BYTES)
    return next((field.name for field in fields if field.type in kinds), "id")


_WIDER = {
    "uint8": "int16", "uint16": "int32", "uint32": "int64", "uint64": "decimal(20,0)",
    "timestamp[ms": "timestamp[us",
}  # fmt: skip
"""What engines without a type read it as, which holds all of its values: Spark has no unsigned numbers,
DuckDB and Spark have times with a zone in microseconds alone."""


def widened(kind: str) -> str:
    """A type, by its name, as an engine with the fewest types reads it."""
    return re.sub("|".join(map(re.escape, _WIDER)), lambda found: _WIDER[found[0]], kind)


def schema_of(schema: pa.Schema) -> Schema:
    return tuple((field.name, kind_of(field.type)) for field in schema)
