"""What Arrow holds and JSON has no type for: one text each, by no type of Python's or pandas'."""

from __future__ import annotations

import datetime as dt
import io
import json
import sys
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.formats.decoding import decode

from skyhaul_connectors.formats.columnar.text_columns import json_value, writable

DAY = 86_400


def written(values: list[Any], kind: pa.DataType) -> list[Any]:
    return [json_value(value) for value in writable(pa.array(values, kind)).to_pylist()]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_moment_has_one_text_whatever_its_unit(unit: str) -> None:
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert written([1_700_000_000 * per, None], pa.timestamp(unit)) == ["2023-11-14T22:13:20", None]
    assert written([-per], pa.timestamp(unit, "Asia/Tokyo")) == ["1969-12-31T23:59:59Z"]
    assert written([3600 * per], pa.time64(unit) if per > 10**3 else pa.time32(unit)) == ["01:00:00"]
    assert written([3 * per, -per // 2 if per > 1 else -1], pa.duration(unit))[0] == "PT3S"


def test_fractions_have_none_six_or_nine_digits() -> None:
    nanos = [0, 500_000_000, 1_000, 1, -1, None]
    expected = [
        "1970-01-01T00:00:00",
        "1970-01-01T00:00:00.500000",
        "1970-01-01T00:00:00.000001",
        "1970-01-01T00:00:00.000000001",
        "1969-12-31T23:59:59.999999999",
        None,
    ]
    assert written(nanos, pa.timestamp("ns")) == expected
    assert written([500, 0], pa.timestamp("ms")) == [expected[1], expected[0]]
    assert written([1, 0], pa.timestamp("us")) == [expected[2], expected[0]]
    assert written([1, 500_000_000], pa.time64("ns")) == ["00:00:00.000000001", "00:00:00.500000"]


def test_durations_are_exact_seconds() -> None:
    assert written([1500, -1500, 0], pa.duration("ms")) == ["PT1.5S", "-PT1.5S", "PT0S"]
    assert written([1, 2**63 - 1], pa.duration("ns")) == ["PT0.000000001S", "PT9223372036.854775807S"]
    assert written([-(2**63) + 1], pa.duration("s")) == ["-PT9223372036854775807S"]


def test_years_beyond_four_digits_are_written_out() -> None:
    """By numpy, which counts in the same calendar; it has no sign before years of more than four digits."""
    import numpy as np

    for unit in ("s", "ms", "us"):
        for number in (2**63 - 1, -(2**63) + 1, 253_402_300_800 * {"s": 1, "ms": 10**3, "us": 10**6}[unit]):
            text = str(np.datetime64(number // {"s": 1, "ms": 10**3, "us": 10**6}[unit], "s"))
            found = written([number], pa.timestamp(unit))[0]
            assert found.partition(".")[0].lstrip("+") == text
    assert written([-719_528, -719_529, 2_932_896, 2_932_897], pa.date32()) == [
        "0000-01-01", "-0001-12-31", "9999-12-31", "+10000-01-01",
    ]  # fmt: skip
    assert written([1, 2**62], pa.date64())[0] == "1970-01-01"


def test_a_time_of_day_that_is_none_is_its_number() -> None:
    assert written([DAY, -1, DAY - 1], pa.time32("s")) == ["86400", "-1", "23:59:59"]


def test_nested_values_are_written_as_columns_are() -> None:
    ns, took = pa.timestamp("ns"), pa.duration("ms")
    for of in (pa.list_, pa.large_list, pa.list_view):
        assert written([[1], None, [], [None, 1000]], of(ns)) == [
            ["1970-01-01T00:00:00.000000001"], None, [], [None, "1970-01-01T00:00:00.000001"],
        ]  # fmt: skip
    assert written([[1, 2], None], pa.list_(took, 2)) == [["PT0.001S", "PT0.002S"], None]
    kind = pa.struct([("d", took), ("n", pa.list_(ns))])
    assert written([{"d": 5, "n": [1]}, None, {"d": None, "n": None}], kind) == [
        {"d": "PT0.005S", "n": ["1970-01-01T00:00:00.000000001"]}, None, {"d": None, "n": None},
    ]  # fmt: skip
    assert written([[("k", 1)], None, []], pa.map_(pa.string(), took)) == [[["k", "PT0.001S"]], None, []]
    sliced = pa.array([[("k", 1)], None, [("l", 2)]], pa.map_(pa.string(), took)).slice(2)
    assert [json_value(v) for v in writable(sliced).to_pylist()] == [[["l", "PT0.002S"]]]
    union = pa.UnionArray.from_sparse(
        pa.array([0, 1], pa.int8()), [pa.array([1, 2], ns), pa.array(["a", "b"])]
    )
    assert writable(union).to_pylist() == ["1970-01-01T00:00:00.000000001", "b"]


def test_no_row_depends_on_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what is kept of a row that does not fit."""
    nested = pa.struct([("at", pa.timestamp("ns")), ("for", pa.duration("us"))])
    table = pa.table(
        {
            "text": pa.array(["a", None]),
            "took": pa.array([1_500_000_000, 2_000_000_000], pa.duration("ns")),
            "nested": pa.array([{"at": 1, "for": 1}, {"at": 10**9, "for": 10**6}], nested),
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)

    def seen() -> tuple[Any, ...]:
        found = decode(sink.getvalue(), "x.arrow")
        return found.rows[0]["metadata"], found.rejects[0].raw

    pytest.importorskip("pandas")
    with_pandas = seen()
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert seen() == with_pandas
    assert json.loads(with_pandas[0]) == {
        "took": "PT1.5S",
        "nested": {"at": "1970-01-01T00:00:00.000000001", "for": "PT0.000001S"},
    }
    assert json.loads(with_pandas[1])["took"] == "PT2S"


def int96(table: pa.Table, **more: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, use_deprecated_int96_timestamps=True, **more)
    return sink.getvalue()


FAR = ["9999-12-31T23:59:59.999999", "0001-01-01", "1600-01-01", "2262-04-12", "1677-09-20", "2024-01-01"]


@pytest.mark.parametrize("store_schema", [True, False])
def test_int96_keeps_its_date(store_schema: bool, tmp_path: Any) -> None:
    """Judged by DuckDB."""
    moments = [dt.datetime.fromisoformat(text) for text in FAR]
    array = pa.array(moments, pa.timestamp("us"))
    nested = pa.array(
        [[{"at": moment}] for moment in moments], pa.list_(pa.struct([("at", pa.timestamp("us"))]))
    )
    table = pa.table({"text": FAR, "created": array, "valid_to": array, "nested": nested})
    raw = int96(table, store_schema=store_schema)
    (tmp_path / "x.parquet").write_bytes(raw)
    read = duckdb.sql(f"SELECT created::TIMESTAMP FROM '{tmp_path}/x.parquet'").fetchall()
    assert [row[0] for row in read] == moments
    found = decode(raw, "x.parquet")
    assert [row["created"].replace(tzinfo=None) for row in found.rows] == moments
    for row, moment in zip(found.rows, moments, strict=True):
        metadata = json.loads(row["metadata"])
        assert metadata == {"valid_to": moment.isoformat(), "nested": [{"at": moment.isoformat()}]}


def test_int96_beyond_64_bits_of_microseconds_is_damage_and_not_another_date() -> None:
    table = pa.table({"text": ["a"], "n": pa.array([[1_700_000_000]], pa.list_(pa.timestamp("s")))})
    raw = int96(table, compression="none", use_dictionary=False, write_statistics=False)
    days = (1_700_000_000 // DAY + 2_440_588).to_bytes(4, "little")
    assert raw.count(days) == 1
    found = decode(raw.replace(days, (300_000_000).to_bytes(4, "little")), "x.parquet")
    assert found.counts == (0, 1, True)
    assert found.reasons == ["column 'n' holds an INT96 time beyond 64 bits of microseconds"]
