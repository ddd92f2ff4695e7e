"""Arrow values as JSON has them, of one text each, whatever is installed beside.

- *Times*: ISO 8601; a second's fraction has no digits where it is zero, else six, or nine where six are too
  few, whatever the unit; `Z` where the column has a zone (such times are UTC). Years beyond 0000 to 9999 have
  a sign and as many digits as they need. A time of day that is none (25 hours, say) is its number.
- *Durations*: seconds as ISO 8601 writes them, `PT1.5S`, `-PT0.000000001S`, whatever the unit.
- *Decimals* are strings, *binary* is Base64, NaN and infinities are strings.

Nested values are written as those of columns are. Nothing goes through Python's or pandas' types of time:
which of them Arrow hands out depends on what is installed, and they hold less.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.columnar.values import is_binary

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_YEAR_0, _YEAR_10000 = (1 - 366 - _EPOCH) * _DAY, (date(9999, 12, 31).toordinal() + 1 - _EPOCH) * _DAY
"""Seconds since 1970 at which years have four digits, and have them no more."""

_CYCLE = 146_097
"""Days of 400 Gregorian years."""


def writable(values: pa.Array) -> pa.Array:
    """`values` of types that JSON has: strings, integers, doubles, booleans, lists and structs of them."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        return writable(values.storage)
    if pa.types.is_dictionary(kind):
        return writable(values.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return writable(pc.run_end_decode(values))
    if pa.types.is_timestamp(kind):
        return _timestamps(values)
    if pa.types.is_date(kind):
        return _dates(values)
    if pa.types.is_time(kind):
        return _clocks(values)
    if pa.types.is_duration(kind):
        per = _PER_SECOND[kind.unit]
        return _each(values.cast(pa.int64()), lambda number: _duration(number, per))
    if pa.types.is_decimal(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return values.cast(pa.string())
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # A float32 is a double, too, and is written as that one: JSON has no shorter ones.
        return values.cast(pa.float64())
    if is_binary(kind) or kind == pa.binary_view():
        return _each(values, lambda raw: base64.b64encode(raw).decode("ascii"))
    return _nested(values)


def json_value(value: Any) -> Any:
    """A Python value of what `writable` gave, as one of JSON."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    return str(value)


def _nested(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_map(kind):
        values = values.take(pa.array(np.arange(len(values))))  # so that the offsets begin at 0
        keys, items = writable(values.keys), writable(values.items)
        return pa.MapArray.from_arrays(values.offsets, keys, items, mask=_nulls(values))
    if pa.types.is_struct(kind):
        inner = [writable(column) for column in values.flatten()]
        names = [field.name for field in kind]
        return pa.StructArray.from_arrays(inner, names, mask=_nulls(values)) if inner else values
    if pa.types.is_union(kind):
        inner = [writable(values.field(place)) for place in range(kind.num_fields)]
        names, codes = [kind.field(place).name for place in range(kind.num_fields)], kind.type_codes
        if kind.mode == "sparse":
            return pa.UnionArray.from_sparse(values.type_codes, inner, names, codes)
        return pa.UnionArray.from_dense(values.type_codes, values.offsets, inner, names, codes)
    if pa.types.is_nested(kind):
        lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, writable(values.flatten()), mask=_nulls(values))
    return values


def _nulls(values: pa.Array) -> pa.Array | None:
    return values.is_null() if values.null_count else None


def _each(values: pa.Array, written: Callable[[Any], str]) -> pa.Array:
    found = [None if value is None else written(value) for value in values.to_pylist()]
    return pa.array(found, pa.string())


def _timestamps(values: pa.Array) -> pa.Array:
    kind = values.type
    per = _PER_SECOND[kind.unit]
    # With a zone Arrow writes the zone's own time and offset, by a table of zones that differs between
    # machines.
    plain = values.cast(pa.timestamp(kind.unit))
    numbers = plain.cast(pa.int64())
    text = _shortest(plain, numbers, {unit: pa.timestamp(unit) for unit in _PER_SECOND})
    text = pc.replace_substring(text, " ", "T")
    text = _odd(text, numbers, _YEAR_0 * per, _YEAR_10000 * per, lambda number: _moment(number, per))
    return pc.binary_join_element_wise(text, "Z", "") if kind.tz is not None else text


def _dates(values: pa.Array) -> pa.Array:
    small = pa.types.is_date32(values.type)
    numbers = values.cast(pa.int32() if small else pa.int64()).cast(pa.int64())
    per_day = 1 if small else _DAY * 1000
    first, stop = _YEAR_0 // _DAY * per_day, _YEAR_10000 // _DAY * per_day
    return _odd(values.cast(pa.string()), numbers, first, stop, lambda number: _date(number // per_day))


def _clocks(values: pa.Array) -> pa.Array:
    kind = values.type
    numbers = values.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).cast(pa.int64())
    # Milliseconds are written as microseconds are (`_widened`).
    units = {"s": pa.time32("s"), "us": pa.time64("us"), "ns": pa.time64("ns")}
    return _odd(_shortest(values, numbers, units), numbers, 0, _DAY * _PER_SECOND[kind.unit], str)


def _shortest(values: pa.Array, numbers: pa.Array, units: Mapping[str, pa.DataType]) -> pa.Array:
    """Times as Arrow writes them in the coarsest of seconds, microseconds and nanoseconds that is exact."""
    per = _PER_SECOND[values.type.unit]
    raw = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    if per == 1 or not (raw % per).any():
        # What the cast cuts off is zero, or written by another branch.
        return values.cast(units["s"], safe=False).cast(pa.string())
    micro = _widened(values, units)
    whole = pc.if_else(pa.array(raw % per == 0), values.cast(units["s"], safe=False).cast(pa.string()), micro)
    if per <= 1_000_000 or not (raw % 1000).any():
        return whole
    return pc.if_else(pa.array(raw % 1000 == 0), whole, values.cast(pa.string()))


def _widened(values: pa.Array, units: Mapping[str, pa.DataType]) -> pa.Array:
    """Written in microseconds; what is finer is cut off."""
    if values.type.unit == "ms":
        return pc.binary_join_element_wise(values.cast(pa.string()), "000", "")
    return values.cast(units["us"], safe=False).cast(pa.string())


def _odd(text: pa.Array, numbers: pa.Array, first: int, stop: int, written: Callable[[int], str]) -> pa.Array:
    """`text`, with what `written` gives for each number outside of [first, stop)."""
    raw = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    # In nanoseconds the years 0 and 10000 lie beyond 64 bits, and numpy compares no larger integers.
    first, last = max(first, -(2**63)), min(stop - 1, 2**63 - 1)
    odd = ((raw < first) | (raw > last)) & numbers.is_valid().to_numpy(zero_copy_only=False)
    if not odd.any():
        return text
    return pc.replace_with_mask(
        text, pa.array(odd), pa.array([written(int(number)) for number in raw[odd]], pa.string())
    )


def _moment(number: int, per: int) -> str:
    seconds, part = divmod(number, per)
    days, second = divmod(seconds, _DAY)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    nanos = part * (1_000_000_000 // per)
    fraction = f".{nanos:09}" if nanos % 1000 else f".{nanos // 1000:06}" if nanos else ""
    return f"{_date(days)}T{clock}{fraction}"


def _date(days: int) -> str:
    """The date of a number of days since 1970, in the Gregorian calendar before 1582, too."""
    # Python's dates end in the year 9999; the calendar repeats itself after 400 years.
    cycles, rest = divmod(days + _EPOCH - 1, _CYCLE)
    day = date.fromordinal(rest + 1)
    year = day.year + 400 * cycles
    return (f"{year:04}" if 0 <= year <= 9999 else f"{year:+05}") + f"-{day.month:02}-{day.day:02}"


def _duration(number: int, per: int) -> str:
    whole, part = divmod(abs(number), per)
    fraction = f".{part:0{len(str(per)) - 1}}".rstrip("0") if part else ""
    return f"{'-' if number < 0 else ''}PT{whole}{fraction}S"
