"""DuckDB's Parquet reader; ids are counted apart too, on disk where they do not fit into memory."""

from __future__ import annotations

from typing import Any

import duckdb

from skyhaul.certify.engine_reading import Reading, Request, Schema, SplitReading

_KINDS = {
    "varchar": "string",
    "blob": "binary",
    "boolean": "bool",
    "tinyint": "int8", "smallint": "int16", "integer": "int32", "bigint": "int64",
    "utinyint": "uint8", "usmallint": "uint16", "uinteger": "uint32", "ubigint": "uint64",
    "float": "float32",
    "double": "float64",
    "date": "date32",
    "timestamp_ms": "timestamp[ms]",
    "timestamp": "timestamp[us]",
    "timestamp with time zone": "timestamp[us, tz=UTC]",
}  # fmt: skip
"""By DuckDB's names (https://duckdb.org/docs/stable/sql/data_types/overview)."""


def read(request: Request, streaming: bool) -> Reading:
    """`streaming` makes no difference."""
    schema: Schema = ()
    splits = {}
    with duckdb.connect(config={"autoinstall_known_extensions": False, "memory_limit": "1GB"}) as engine:
        for split in request.splits:
            source = engine.read_parquet(request.files(split))
            schema = tuple((n, _kind(t)) for n, t in zip(source.columns, source.types, strict=True))
            # Quoted, as columns may be called what SQL is. strlen() counts bytes, length() characters.
            body = f'"{request.body}"'
            sums = [
                "count(*)",
                "sum(strlen(id))",
                f"sum({'strlen' if request.body_is_text else 'octet_length'}({body}))",
                "sum(provenance.length)",
                "count(DISTINCT id)",
                *(f'count(*) - count("{name}")' for name in request.columns),
            ]
            query = f"SELECT {', '.join(sums)} FROM read_parquet(?)"
            row = engine.execute(query, [request.files(split)]).fetchall()[0]
            rows, id_bytes, body_bytes, source_bytes, unique, *nulls = (int(value or 0) for value in row)
            splits[split] = SplitReading(
                rows,
                id_bytes,
                body_bytes,
                source_bytes,
                dict(zip(request.columns, nulls, strict=True)),
                unique,
            )
    return Reading(duckdb.__version__, schema, splits)


def _kind(kind: Any) -> str:
    if kind.id == "struct":
        return f"struct<{', '.join(f'{name}: {_kind(inner)}' for name, inner in kind.children)}>"
    if kind.id == "list":
        return f"list<{_kind(kind.children[0][1])}>"
    return _KINDS.get(str(kind).lower(), str(kind))
