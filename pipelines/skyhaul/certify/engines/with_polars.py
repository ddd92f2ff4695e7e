"""Polars' streaming engine."""

from __future__ import annotations

from typing import Any

import polars as pl

from skyhaul.certify.engine_reading import Reading, Request, Schema, SplitReading


def read(request: Request, streaming: bool) -> Reading:
    """`streaming` makes no difference."""
    schema: Schema = ()
    splits = {}
    for split in request.splits:
        frame = pl.scan_parquet(request.files(split))
        schema = tuple((name, _kind(kind)) for name, kind in frame.collect_schema().items())
        body = pl.col(request.body)
        length = body.str.len_bytes() if request.body_is_text else body.bin.size()
        # Lengths are UInt32, and so would be their sum: in polars 2.1 it wraps at 4 GiB without a word.
        sums = frame.select(
            pl.len().alias("rows"),
            pl.col("id").str.len_bytes().cast(pl.Int64).sum().alias("id_bytes"),
            length.cast(pl.Int64).sum().alias("body_bytes"),
            pl.col("provenance").struct.field("length").sum().alias("source_bytes"),
            *(pl.col(name).null_count().alias(f"null.{name}") for name in request.columns),
        )
        row = sums.collect(engine="streaming").row(0, named=True)
        splits[split] = SplitReading(
            row["rows"],
            row["id_bytes"],
            row["body_bytes"],
            row["source_bytes"],
            {name: row[f"null.{name}"] for name in request.columns},
        )
    return Reading(pl.__version__, schema, splits)


def _kind(kind: Any) -> str:
    if isinstance(kind, pl.Struct):
        return f"struct<{', '.join(f'{field.name}: {_kind(field.dtype)}' for field in kind.fields)}>"
    if isinstance(kind, pl.Datetime):
        return f"timestamp[{kind.time_unit}{'' if kind.time_zone is None else f', tz={kind.time_zone}'}]"
    if isinstance(kind, pl.List):
        return f"list<{_kind(kind.inner)}>"
    name = str(kind).lower()
    return {"boolean": "bool", "date": "date32"}.get(name, name)
