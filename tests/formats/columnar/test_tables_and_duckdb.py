"""Times and numbers of every Parquet file of the collection, as DuckDB reads them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul_connectors.formats.bytes.stream import Broken
from skyhaul_connectors.formats.columnar import reading
from skyhaul_connectors.formats.columnar.values import converted
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.records.fields import FieldMap
from skyhaul_connectors.formats.records.times import FIRST, LAST

FIELDS = FieldMap(DecodeSettings("reading"))
TIME, NUMBER = pa.timestamp("us", tz="UTC"), pa.float64()
LARGEST = 8 * 1024**2
"""Bytes of a file that is looked at: others are of the same kinds."""


def read(raw: bytes) -> Iterator[pa.RecordBatch]:
    """The batches of a file as the decoder gets them. Raises Broken."""
    groups = list(range(pq.ParquetFile(pa.BufferReader(raw)).num_row_groups))
    task = {"do": "parquet rows", "size": len(raw), "columns": None, "groups": groups}
    return reading.rows(task, lambda offset, length: raw[offset : offset + length])


def ours(column: pa.ChunkedArray, kind: pa.DataType) -> list[Any]:
    """Values, and where none fits a mark."""
    found: list[Any] = []
    for chunk in column.chunks:
        taken, problems = converted(chunk, "value", kind, FIELDS)
        values = (taken.cast(pa.int64()) if kind == TIME else taken).to_pylist()
        found += ["unfit" if row in problems else value for row, value in enumerate(values)]
    return found


def theirs(path: Path, name: str, kind: pa.DataType, found: pa.DataType) -> list[Any]:
    """Decimals by their text: a cast may round twice."""
    cell = '"' + name.replace('"', '""') + '"'
    said = (
        f"epoch_us({cell}::TIMESTAMP)"
        if kind == TIME
        else f"{cell}::{'VARCHAR' if pa.types.is_decimal(found) else 'DOUBLE'}"
    )
    values = [row[0] for row in duckdb.execute(f"SELECT {said} FROM read_parquet(?)", [str(path)]).fetchall()]
    if kind == TIME:
        return ["unfit" if value is not None and not FIRST <= value <= LAST else value for value in values]
    return [value if value is None else float(value) for value in values]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def kind_wanted(found: pa.DataType) -> pa.DataType | None:
    if pa.types.is_timestamp(found) or pa.types.is_date(found):
        return TIME
    return NUMBER if pa.types.is_decimal(found) or pa.types.is_floating(found) else None


def test_times_and_numbers_are_what_duckdb_reads(shared_data: Path) -> None:
    compared: Counter[str] = Counter()
    for path in sorted((shared_data / "parquet").rglob("*.parquet")):
        if path.stat().st_size > LARGEST:
            continue
        try:
            batches = list(read(path.read_bytes()))
            table = pa.Table.from_batches(batches)
        except (Broken, pa.ArrowException, OSError, ValueError):
            continue  # test_tables has what cannot be read
        for name in table.column_names:
            kind = kind_wanted(table.schema.field(name).type)
            if kind is None:
                continue
            try:
                expected = theirs(path, name, kind, table.schema.field(name).type)
            except duckdb.Error:
                continue  # what DuckDB cannot read judges nothing
            found = ours(table.column(name), kind)
            assert len(found) == len(expected), (path, name)
            odd = [pair for pair in zip(found, expected, strict=True) if not same(*pair)]
            assert not odd, (path, name, odd[:3])
            compared[str(table.schema.field(name).type).partition("(")[0]] += 1
    assert compared["timestamp[us]"] >= 2, compared
    assert compared["decimal128"] >= 2, compared
    assert compared["double"] >= 5, compared
