"""Columns of times to microseconds since 1970, UTC; nothing wraps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.records.json_columns import Mask
from skyhaul_connectors.formats.records.times import EPOCHS, FIRST, HINT, LAST, Times

_DIGITS = {unit: EPOCHS[f"epoch_{unit}"] for unit in ("s", "ms", "us", "ns")}
_BEYOND = "a time beyond the calendar"


def as_times(values: pa.Array, kind: pa.DataType, times: Times) -> tuple[pa.Array, Mapping[int, str]]:
    """A column as times of `kind`, a timestamp in microseconds.

    Returns:
        The times, and by row what is wrong; those rows hold anything."""
    found = values.type
    if pa.types.is_date(found):
        # Milliseconds hold every date: date32 has 32 bits of days, date64 is milliseconds already.
        values = values.cast(pa.timestamp("ms"))
        found = values.type
    if pa.types.is_timestamp(found):
        # Arrow keeps a time with a zone in UTC; the zone is only for showing it.
        offset = times.offset if found.tz is None else 0
        # What is as the schema wants it goes on without a copy.
        if found.unit == "us" and not offset and within_calendar(values):
            return values.cast(kind), {}
        micros, bad = counted(values.cast(pa.int64()), _DIGITS[found.unit], offset)
        return micros.cast(kind), dict.fromkeys(np.flatnonzero(bad).tolist(), _BEYOND)
    number = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found)
    if number and times.epoch is None:
        return pa.nulls(len(values), kind), _all(values, f"{found}; {HINT}")
    if pa.types.is_integer(found):
        micros, bad = counted(values, times.epoch or 0)
        return micros.cast(kind), dict.fromkeys(np.flatnonzero(bad).tolist(), _BEYOND)
    if pa.types.is_float16(found) or pa.types.is_float32(found):
        values = values.cast(pa.float64())
    if pa.types.is_decimal(found):
        # As text a decimal is read exactly; by way of a double it would lose digits.
        values = values.cast(pa.string())
    if not (number or pa.types.is_string(found) or pa.types.is_large_string(found)):
        return pa.nulls(len(values), kind), _all(values, f"{found}")
    read: list[int | None] = []
    problems: dict[int, str] = {}
    for row, value in enumerate(values.to_pylist()):
        try:
            if value is None:
                read.append(None)
            else:
                read.append(times.number(value) if isinstance(value, float) else times.parse(value))
        except ValueError as error:
            read.append(None)
            problems[row] = str(error)
    return pa.array(read, pa.int64()).cast(kind), problems


def counted(numbers: pa.Array, digits: int, ahead: int = 0) -> tuple[pa.Array, Mask]:
    """Microseconds since 1970, UTC, of integers that count units of 10**-`digits` of a second.

    What is finer than a microsecond is cut off, to the past.

    Args:
        numbers: Of any type of integers, signed or not.
        digits: 0 for seconds, 9 for nanoseconds.
        ahead: Microseconds that the numbers are ahead of UTC.

    Returns:
        The microseconds (int64, null where a number is), and which rows lie outside of the years 1 to 9999;
        those hold anything."""
    valid = numbers.is_valid().to_numpy(zero_copy_only=False) if numbers.null_count else None
    raw = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    # Unsigned numbers above 2**63 would become negative, and a date in the past.
    wide = raw if raw.dtype == np.uint64 else raw.astype(np.int64)
    if digits > 6:
        micros = (wide // wide.dtype.type(10 ** (digits - 6))).astype(np.int64)
    else:
        factor = 10 ** (6 - digits)
        most = 2**62 // factor  # so that an offset cannot overflow; the calendar is narrower
        micros = np.clip(wide, 0 if wide.dtype == np.uint64 else -most, most).astype(np.int64) * factor
    if ahead:
        micros = micros - ahead
    bad = (micros < FIRST) | (micros > LAST)
    if valid is not None:
        bad &= valid
    return pa.array(micros, mask=None if valid is None else ~valid), bad


def within_calendar(values: pa.Array) -> bool:
    """Whether all of these timestamps in microseconds lie in the years 1 to 9999."""
    ends = pc.min_max(values.cast(pa.int64()))
    first, last = ends["min"].as_py(), ends["max"].as_py()
    return first is None or (first >= FIRST and last <= LAST)


def _all(values: pa.Array, problem: str) -> dict[int, str]:
    return dict.fromkeys(np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False)).tolist(), problem)
