"""Tables whose times and numbers other readers get wrong, hauled: what the file says is what the row says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.hauling.living import Living

FAR = [dt.datetime(9999, 12, 31), dt.datetime(1600, 1, 1), dt.datetime(1, 1, 1), dt.datetime(2024, 1, 1)]


def hauled(tmp_path: Path, name: str, body: bytes | pa.Table, **source: Any) -> list[tuple[Any, ...]]:
    """Time and value of the rows, as DuckDB reads them."""
    living = Living(tmp_path, schema="reading", sources={"s": {"url": f"{tmp_path}/region/*", **source}})
    if isinstance(body, bytes):
        (living.region / name).write_bytes(body)
    else:
        pq.write_table(body, living.region / name, use_deprecated_int96_timestamps=True)
    assert living.run().exit_code == 0
    query = "SELECT time AT TIME ZONE 'UTC', value FROM '{}/data/**/*.parquet' ORDER BY value"
    return duckdb.sql(query.format(living.dataset)).fetchall()


def test_int96_keeps_its_date(tmp_path: Path) -> None:
    table = pa.table({"time": pa.array(FAR, pa.timestamp("us")), "temp": [0.0, 1.0, 2.0, 3.0]})
    found = hauled(tmp_path, "a.parquet", table, decode={"melt": {"temp": "t"}})
    assert found == [(moment, float(n)) for n, moment in enumerate(FAR)]


def test_decimals_are_readings(tmp_path: Path) -> None:
    values = pa.array([Decimal("1013.25"), Decimal("1013.26")], pa.decimal128(6, 2))
    table = pa.table({"time": pa.array(FAR[:2], pa.timestamp("us")), "pres": values})
    found = hauled(tmp_path, "a.parquet", table, decode={"melt": {"pres": "p"}})
    assert [value for _, value in found] == [1013.25, 1013.26]


@pytest.mark.parametrize(
    ("body", "decode"),
    [
        (b"time,temp\n1700101201234,1\n", {"time_format": "epoch_ms"}),
        (b"time;temp\n1700101201.234;1,0\n", {"time_format": "epoch_s", "delimiter": ";", "decimal": ","}),
        (b"# a\n# b\ntime,temp\n2023-11-16t02:20:01,234z,1\n", {"comment": "#"}),
    ],
)
def test_times_of_csv(body: bytes, decode: dict[str, Any], tmp_path: Path) -> None:
    body = body.replace(b"2023-11-16t02:20:01,234z", b'"2023-11-16t02:20:01,234z"')
    found = hauled(tmp_path, "a.csv", body, decode={"melt": {"temp": "t"}, **decode})
    assert found == [(dt.datetime(2023, 11, 16, 2, 20, 1, 234_000), 1.0)]
