"""Columns that pyarrow's JSON reader gave, as a schema's types; what may be read otherwise is declined.

A column of a job's own schema is read as a type from which the schema's own comes without a doubt: floats as
doubles (rounded once, as the exact reader does), times and dates as text. What the reader does not take so
declines the window, and the exact reader says what does not fit.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.records.casts import BEYOND_FLOAT32, DAY, EXACT, limits
from skyhaul_connectors.formats.records.column_times import counted, within_calendar
from skyhaul_connectors.formats.records.fields import FieldMap
from skyhaul_connectors.formats.records.times import Times

# What Arrow's cast reads as `iso_micros` does; every other form is read by that, row by row.
_COMMON_TIME = r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3}|\.[0-9]{6})?"
_COMMON_TIME += r"(Z|[+-][01][0-9]:[0-5][0-9])$"

_MICROS = pa.timestamp("us", tz="UTC")


class Declined(Exception):
    """This window is for the exact reader."""


def refuse_odd_doubles(values: pa.Array) -> None:
    """Declines NaN and infinities, which the reader takes and JSON has not."""
    if pc.all(pc.is_finite(values)).as_py() is False:
        raise Declined


def times_of(values: pa.Array, kind: pa.DataType, times: Times) -> pa.Array:
    """Texts, or the integers that `time_format` counts, as times of `kind`, a timestamp in microseconds."""
    if pa.types.is_integer(values.type) and times.epoch is not None:
        micros, bad = counted(values, times.epoch)
        if bad.any():
            raise Declined
        return micros.cast(kind)
    if not pa.types.is_string(values.type):
        raise Declined
    if values.null_count == len(values):
        return pa.nulls(len(values), kind)
    if times.iso_only and pc.all(pc.match_substring_regex(values, _COMMON_TIME)).as_py():
        try:
            read = values.cast(kind)
        except pa.ArrowInvalid:
            raise Declined from None
        if not within_calendar(read):
            raise Declined
        return read
    try:
        read = [None if text is None else times.parse(text) for text in values.to_pylist()]
    except ValueError:
        raise Declined from None
    return pa.array(read, pa.int64()).cast(kind)


def read_as(fields: FieldMap) -> dict[str, pa.DataType]:
    """The types that columns of a job's own schema are read as; a column that several fields take is none."""
    if fields.own is None:
        return {}
    columns = list(fields.columns.values())
    return {
        column: _read_as(fields.types[name], fields.times)
        for name, column in fields.columns.items()
        if columns.count(column) == 1
    }


def _read_as(kind: pa.DataType, times: Times) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(_read_as(kind.value_type, times))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _read_as(field.type, times)) for field in kind])
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_temporal(kind):
        return pa.string() if times.epoch is None else pa.int64()
    if pa.types.is_integer(kind):
        # The greatest integers are beyond the signed type.
        return pa.uint64() if kind == pa.uint64() else pa.int64()
    return kind


def own_values(values: pa.Array, kind: pa.DataType, fields: FieldMap) -> pa.Array:
    """What was read of a column of a job's own schema as its type, `kind`. Raises Declined."""
    if pa.types.is_list(kind):
        if not pa.types.is_list(values.type):
            raise Declined
        inner = own_values(values.flatten(), kind.value_type, fields)
        lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, inner, type=kind, mask=_nulls(values))
    if pa.types.is_struct(kind):
        # A struct of another shape was read for another field of the same column.
        if not pa.types.is_struct(values.type) or [f.name for f in values.type] != [f.name for f in kind]:
            raise Declined
        parts = [
            own_values(part, field.type, fields) for part, field in zip(values.flatten(), kind, strict=True)
        ]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=_nulls(values))
    if pa.types.is_floating(kind):
        return _floats(values, kind)
    if pa.types.is_integer(kind):
        return _integers(values, kind)
    if pa.types.is_timestamp(kind):
        micros = times_of(values, _MICROS, fields.times).cast(pa.int64())
        return _counted(micros, 1000 if kind.unit == "ms" else 1, kind)
    if pa.types.is_date(kind):
        return _dates(values, kind, fields.days)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if text and (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values.cast(kind)
    if pa.types.is_boolean(kind) and pa.types.is_boolean(values.type):
        return values
    raise Declined


def _floats(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_floating(values.type):
        raise Declined
    numbers = values.fill_null(0.5).to_numpy(zero_copy_only=False)
    size = np.abs(numbers)
    # Written as an integer, a large number is drift (2**53 + 1 becomes 2**53 here); and `-0` is 0, where the
    # reader says -0.0.
    whole = (size >= EXACT[kind.bit_width]) & (numbers == np.rint(numbers))
    if not np.isfinite(numbers).all() or whole.any() or (np.signbit(numbers) & (numbers == 0)).any():
        raise Declined
    if kind.bit_width == 32 and (size >= BEYOND_FLOAT32).any():
        raise Declined
    return values.cast(kind)


def _integers(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_integer(values.type):
        raise Declined
    low, high = limits(kind)
    ends = pc.min_max(values)
    least, most = ends["min"].as_py(), ends["max"].as_py()
    if least is not None and not (low <= least and most <= high):
        raise Declined
    return values.cast(kind)


def _dates(values: pa.Array, kind: pa.DataType, days: Times) -> pa.Array:
    micros = times_of(values, _MICROS, days).cast(pa.int64())
    if (micros.fill_null(0).to_numpy(zero_copy_only=False) % DAY).any():
        raise Declined
    return _counted(micros, DAY, kind)


def _counted(micros: pa.Array, unit: int, kind: pa.DataType) -> pa.Array:
    """Microseconds as what `kind` counts, cut off to the past."""
    if unit > 1:
        raw = micros.fill_null(0).to_numpy(zero_copy_only=False) // unit
        micros = pa.array(raw, mask=micros.is_null().to_numpy(zero_copy_only=False))
    return micros.cast(pa.int32()).cast(kind) if pa.types.is_date(kind) else micros.cast(kind)


def _nulls(values: pa.Array) -> pa.Array | None:
    return values.is_null() if values.null_count else None
