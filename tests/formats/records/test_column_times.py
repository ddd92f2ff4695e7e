"""Times and numbers of tables: nothing wraps, nothing is rounded twice."""

from __future__ import annotations

import io
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.formats.decoding import decode

EXACT = Context(prec=80)
BEYOND = "a time beyond the calendar"
FIRST, STOP = -62_135_596_800, 253_402_300_800
"""Seconds since 1970 at which the year 1 begins, and the year 10000."""


def arrow(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    table = pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def created(array: pa.Array, **more: Any) -> list[Any]:
    """Microseconds since 1970 or the reason, row by row."""
    found = decode(arrow(text=pa.array(map(str, range(len(array)))), created=array), "x.arrow", **more)
    result: list[Any] = [reject.reason.partition(" holds ")[2] for reject in found.rejects]
    moments = polars.DataFrame(found.rows, schema_overrides={"created": polars.Datetime("us", "UTC")})
    return [*(moments["created"].dt.epoch("us").to_list() if found.rows else []), *result]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_at_the_edges(unit: str) -> None:
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    whole = [n for n in (FIRST * per, STOP * per - 1, 0, -1) if -(2**63) <= n < 2**63]
    expected = [n * 10**6 // per for n in whole]
    beyond = [n for n in (FIRST * per - 1, STOP * per, 2**63 - 1, -(2**63) + 1) if -(2**63) < n < 2**63]
    beyond = beyond if unit != "ns" else []
    assert created(pa.array([*whole, *beyond], pa.timestamp(unit))) == [*expected, *[BEYOND] * len(beyond)]
    numbers = pa.array([*whole, *beyond, None], pa.int64())
    read = created(numbers, time_format=f"epoch_{unit}")
    assert read == [*expected, None, *[BEYOND] * len(beyond)]


def test_dates_at_the_edges() -> None:
    day = 86_400_000_000
    far = 2**62 // 86_400_000 * 86_400_000
    assert created(pa.array([0, -719_162, 2_932_896, 2**31 - 1, -(2**31)], pa.date32())) == [
        0, -719_162 * day, 2_932_896 * day, BEYOND, BEYOND,
    ]  # fmt: skip
    assert created(pa.array([0, far, -far], pa.date64())) == [0, BEYOND, BEYOND]


def test_numbers_are_times_where_the_job_says_so() -> None:
    seconds = [1_700_000_000, -1, None]
    for array in (
        pa.array(seconds, pa.int32()),
        pa.array(seconds, pa.float64()),
        pa.array(seconds, pa.decimal128(12, 0)),
        pa.array([str(n) if n is not None else None for n in seconds]),
    ):
        assert created(array, time_format="epoch_s") == [1_700_000_000 * 10**6, -(10**6), None]
        if not pa.types.is_string(array.type):
            assert "time_format (epoch_s" in created(array)[1]
    assert created(pa.array([1_700_000_000.123, 0.5]), time_format="epoch_s") == [
        1_700_000_000_123_000, 500_000,
    ]  # fmt: skip
    assert created(pa.array([2**64 - 1, 5], pa.uint64()), time_format="epoch_ns") == [2**64 // 1000, 0]
    assert created(pa.array([2**64 - 1, 5], pa.uint64()), time_format="epoch_us") == [5, BEYOND]
    assert created(pa.array([-128, 127], pa.int8()), time_format="epoch_ns") == [-1, 0]
    assert created(pa.array([1_500], pa.timestamp("ms")), time_format="epoch_s") == [1_500_000]
    assert created(pa.array([True]), time_format="epoch_s") == ["bool"]


def values(array: pa.Array, write: Any = arrow) -> list[Any]:
    path = "x.arrow" if write is arrow else "x.parquet"
    found = decode(write(temp=array), path, schema="reading", melt={"temp": "t"})
    return [row["value"] for row in found.rows] + [r.reason.partition(" holds ")[2] for r in found.rejects]


def nearest(number: Decimal) -> float:
    """The double nearest to a decimal: Python rounds a quotient of integers correctly."""
    exact = Fraction(number)
    return exact.numerator / exact.denominator


@pytest.mark.parametrize("write", [arrow, parquet])
@pytest.mark.parametrize("width", [pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256])
def test_decimals_are_the_nearest_double(width: Any, write: Any) -> None:
    digits = {pa.decimal32: 9, pa.decimal64: 18, pa.decimal128: 38, pa.decimal256: 76}[width]
    numbers = [Decimal("1013.25"), Decimal("-0.01"), None]
    assert values(pa.array(numbers, width(9, 2)), write) == [1013.25, -0.01, None]
    whole = [sign * int("8" * n + "7") for n in range(digits - 1) for sign in (1, -1)]
    tenths = [Decimal(number).scaleb(-(digits // 2), EXACT) for number in whole]
    assert values(pa.array(tenths, width(digits, digits // 2)), write) == list(map(nearest, tenths))


def test_small_and_unsigned_numbers() -> None:
    assert values(pa.array([0.5, -65504.0, None], pa.float16())) == [0.5, -65504.0, None]
    assert values(pa.array([0.5, 16_777_216.0], pa.float32())) == [0.5, 16_777_216.0]
    assert values(pa.array([2**53, 2**53 + 1, 2**64 - 1, None], pa.uint64())) == [
        2.0**53, None, *["an integer that a double cannot hold"] * 2,
    ]  # fmt: skip
    assert values(pa.array([-(2**53), -(2**53) - 1, 2**53 + 1], pa.int64())) == [
        -(2.0**53), *["an integer that a double cannot hold"] * 2,
    ]  # fmt: skip
    assert values(pa.array([True])) == ["bool"]
    assert values(pa.array(["1.5"])) == ["string"]


def test_each_row_has_its_own_reason() -> None:
    found = created(pa.array(["soon", "2024-01-01", "17:00", "1700000000"]))
    assert found[0] == 1_704_067_200_000_000
    assert [reason.partition(",")[0] for reason in found[1:]] == ["'soon'", "'17:00'", "'1700000000'"]


def test_flags_are_texts_whatever_holds_them() -> None:
    """Bytes that are UTF-8 are the text; nested times are written as in `metadata`."""
    nested = pa.struct([("at", pa.timestamp("ns"))])
    for flags, expected in (
        (pa.array([b"ok", "ä".encode(), None, b"\xff"], pa.binary()), ["ok", "ä", None, "b'\\xff'"]),
        (pa.array([{"at": 1}, None], nested), ['{"at":"1970-01-01T00:00:00.000000001"}', None]),
        (pa.array([1, None]), ["1", None]),
    ):
        raw = arrow(temp=pa.array([1.0] * len(flags)), flag=flags)
        melt = {"temp": {"quantity": "t", "quality": "flag"}}
        assert [
            row["quality"] for row in decode(raw, "x.arrow", schema="reading", melt=melt).rows
        ] == expected
