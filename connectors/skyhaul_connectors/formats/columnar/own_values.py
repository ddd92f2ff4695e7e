"""Arrow columns as the types of a schema of the job's own, by the rules of `records.casts`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.columnar.plain_columns import plain
from skyhaul_connectors.formats.columnar.values import Converted, from_binary, is_binary, told
from skyhaul_connectors.formats.records.casts import BEYOND_FLOAT32, DAY, EXACT, limits, pointer
from skyhaul_connectors.formats.records.column_times import as_times
from skyhaul_connectors.formats.records.fields import FieldMap
from skyhaul_connectors.formats.records.json_columns import Mask

_MICROS = pa.timestamp("us", tz="UTC")

_Places = Mapping[int, tuple[str, tuple[str | int, ...]]]
"""Row -> what is wrong with its value, and keys and indices that lead there within it."""


def own_converted(values: pa.Array, kind: pa.DataType, fields: FieldMap) -> Converted:
    """`values` as `kind`, and what is wrong with which rows; those hold anything."""
    taken, places = _converted(values, kind, fields)
    said = {}
    for row, (problem, path) in places.items():
        # Before a semicolon stands what is counted: a small set, without texts out of the object.
        joint = " at " if ";" in problem else "; at "
        said[row] = f"{problem}{joint}{pointer(path)}" if path else problem
    return taken, said


def leaves_out(found: pa.DataType, kind: pa.DataType) -> bool:
    """Whether values of the type `found` hold fields that `kind` has no place for."""
    if pa.types.is_struct(found) and pa.types.is_struct(kind):
        inner = {field.name: field.type for field in kind}
        return any(f.name not in inner or leaves_out(f.type, inner[f.name]) for f in found)
    if _is_list(found) and pa.types.is_list(kind):
        return leaves_out(found.value_type, kind.value_type)
    return False


def _converted(values: pa.Array, kind: pa.DataType, fields: FieldMap) -> tuple[pa.Array, _Places]:
    values = plain(values)
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), kind), {}
    if pa.types.is_list(kind) and _is_list(values.type):
        return _lists(values, kind, fields)
    if pa.types.is_struct(kind) and pa.types.is_struct(values.type):
        return _structs(values, kind, fields)
    taken, problems = _scalars(values, kind, fields)
    return taken, {row: (problem, ()) for row, problem in problems.items()}


def _lists(values: pa.Array, kind: pa.DataType, fields: FieldMap) -> tuple[pa.Array, _Places]:
    # Lists of one size have it where they are null, too.
    lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    lengths[values.is_null().to_numpy(zero_copy_only=False)] = 0
    ends = np.cumsum(lengths)
    inner, places = _converted(values.flatten(), kind.value_type, fields)
    offsets = pa.array(np.append(0, ends).astype(np.int32))
    taken = pa.ListArray.from_arrays(offsets, inner, type=kind, mask=_nulls(values))
    found: dict[int, tuple[str, tuple[str | int, ...]]] = {}
    for item, (problem, path) in sorted(places.items()):
        row = int(np.searchsorted(ends, item, "right"))
        found.setdefault(row, (problem, (item - int(ends[row] - lengths[row]), *path)))
    return taken, found


def _structs(values: pa.Array, kind: pa.DataType, fields: FieldMap) -> tuple[pa.Array, _Places]:
    parts: list[pa.Array] = []
    found: dict[int, tuple[str, tuple[str | int, ...]]] = {}
    # With a null where the struct is one.
    inner = values.flatten()
    for field in kind:
        place = values.type.get_field_index(field.name)
        if place < 0:
            parts.append(pa.nulls(len(values), field.type))
            continue
        part, places = _converted(inner[place], field.type, fields)
        parts.append(part)
        for row, (problem, path) in places.items():
            found.setdefault(row, (problem, (field.name, *path)))
    return pa.StructArray.from_arrays(parts, fields=list(kind), mask=_nulls(values)), found


def _scalars(values: pa.Array, kind: pa.DataType, fields: FieldMap) -> Converted:
    found = values.type
    if pa.types.is_floating(kind):
        return _floats(values, kind)
    if pa.types.is_integer(kind) and pa.types.is_integer(found):
        bad = _outside(values, kind)
        return values.cast(kind, safe=False), told(bad, f"an integer, which is beyond {kind}")
    if pa.types.is_timestamp(kind):
        micros, problems = as_times(values, _MICROS, fields.times)
        return _counted(micros, 1000 if kind.unit == "ms" else 1, kind), problems
    if pa.types.is_date(kind):
        return _dates(values, kind, fields)
    if pa.types.is_boolean(kind) and pa.types.is_boolean(found):
        return values, {}
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return (values.cast(kind), {}) if is_binary(found) else _none(values, kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        if pa.types.is_string(found) or pa.types.is_large_string(found):
            return values.cast(kind), {}
        if is_binary(found):
            return from_binary(values, kind)
    return _none(values, kind)


def _floats(values: pa.Array, kind: pa.DataType) -> Converted:
    found, exact = values.type, EXACT[kind.bit_width]
    if pa.types.is_integer(found):
        low, high = limits(found)
        bad = _beyond(values, max(low, -exact), min(high, exact))
        said = f"an integer that a float of {kind.bit_width} bits cannot hold"
        return values.cast(kind, safe=False), told(bad, said)
    if pa.types.is_decimal(found):
        # Arrow's own cast to doubles rounds more than once; from text it rounds to the nearest.
        values = values.cast(pa.string()).cast(pa.float64())
        bad = np.isinf(_numbers(values))
        if bad.any():
            return pa.nulls(len(values), kind), told(bad, "a decimal beyond the range of a double")
    elif not pa.types.is_floating(found):
        return _none(values, kind)
    size = np.abs(_numbers(values.cast(pa.float64())))
    # Infinity itself is no larger in 64 bits than in 32.
    bad = np.isfinite(size) & (size >= BEYOND_FLOAT32) & (kind.bit_width == 32)
    return values.cast(kind), told(bad, "a number, which is beyond a float of 32 bits")


def _dates(values: pa.Array, kind: pa.DataType, fields: FieldMap) -> Converted:
    if pa.types.is_date(values.type):
        return values.cast(kind), {}
    micros, problems = as_times(values, _MICROS, fields.days)
    raw = micros.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    late = {row: "a time, not a date" for row in np.flatnonzero(raw % DAY).tolist() if row not in problems}
    return _counted(micros, DAY, kind), {**problems, **late}


def _none(values: pa.Array, kind: pa.DataType) -> Converted:
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    return pa.nulls(len(values), kind), told(valid, f"values of another type; {values.type}")


def _counted(micros: pa.Array, unit: int, kind: pa.DataType) -> pa.Array:
    """Times as what `kind` counts, cut off to the past."""
    raw = micros.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False) // unit
    counts = pa.array(raw, mask=micros.is_null().to_numpy(zero_copy_only=False))
    # Rows that do not fit may hold what is beyond 32 bits.
    return counts.cast(pa.int32(), safe=False).cast(kind) if pa.types.is_date(kind) else counts.cast(kind)


def _outside(values: pa.Array, kind: pa.DataType) -> Mask:
    low, high = limits(kind)
    least, most = limits(values.type)
    return _beyond(values, max(low, least), min(high, most))


def _beyond(values: pa.Array, low: int, high: int) -> Mask:
    # As integers of the column's own type: as doubles 2**63 - 1 would be 2**63.
    bad = pc.or_(
        pc.less(values, pa.scalar(low, values.type)), pc.greater(values, pa.scalar(high, values.type))
    )
    return np.asarray(bad.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def _numbers(values: pa.Array) -> np.ndarray:
    return np.asarray(values.fill_null(0.0).to_numpy(zero_copy_only=False), np.float64)


def _is_list(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list,
        pa.types.is_list_view, pa.types.is_large_list_view,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _nulls(values: pa.Array) -> pa.Array | None:
    return values.is_null() if values.null_count else None
