"""Arrow columns as columns of a schema's types.

What does not fit is told row by row; nothing is cast in silence.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.charsets.encodings import is_utf8
from skyhaul_connectors.formats.records.column_times import as_times
from skyhaul_connectors.formats.records.fields import FieldMap
from skyhaul_connectors.formats.records.json_columns import Mask

_EXACT = 2**53
"""Up to here a double holds every integer, and JSON lines take them so far, too (`fields`)."""

Converted = tuple[pa.Array, Mapping[int, str]]
"""A column, and what is wrong with which rows; in those the column holds anything."""


def converted(values: pa.Array, name: str, kind: pa.DataType, fields: FieldMap) -> Converted:
    """`values` as `kind` for the field `name`; a value that does not fit is told with its row."""
    found = values.type
    if pa.types.is_null(found):
        # Arrow types a column without any value as null; it fits every field.
        return pa.nulls(len(values), kind), {}
    if pa.types.is_timestamp(kind):
        return as_times(values, kind, fields.times)
    if pa.types.is_floating(kind):
        return _as_numbers(values, kind)
    if pa.types.is_integer(kind):
        if pa.types.is_integer(found):
            bad = _outside(values, kind)
            return values.cast(kind, safe=False), told(bad, f"{found}, which is beyond {kind}")
        return _none(values, kind)
    if pa.types.is_large_binary(kind):
        return (values.cast(kind), {}) if is_binary(found) else _none(values, kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if text and (pa.types.is_string(found) or pa.types.is_large_string(found)):
        return values.cast(kind), {}
    if text and is_binary(found):
        return from_binary(values, kind)
    if text and pa.types.is_integer(found) and fields.takes_integers(name):
        return values.cast(kind), {}
    return _none(values, kind)


def is_binary(kind: pa.DataType) -> bool:
    """Whether values of the type are bytes."""
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )


def _as_numbers(values: pa.Array, kind: pa.DataType) -> Converted:
    found = values.type
    if pa.types.is_floating(found):
        return values.cast(kind), {}
    if pa.types.is_integer(found):
        bad = _inexact(values)
        return values.cast(kind, safe=False), told(bad, "an integer that a double cannot hold")
    if pa.types.is_decimal(found):
        # Arrow's own cast to doubles rounds more than once; from text it rounds to the nearest.
        numbers = values.cast(pa.string()).cast(kind)
        bad = pc.invert(pc.is_finite(numbers)).fill_null(False).to_numpy(zero_copy_only=False)
        return numbers, told(bad, "a decimal beyond the range of a double")
    return _none(values, kind)


def _inexact(values: pa.Array) -> Mask:
    """Which integers lie beyond 2**53."""
    raw = values.fill_null(0).to_numpy(zero_copy_only=False)
    if raw.dtype.itemsize < 8:
        return np.zeros(len(raw), np.bool_)
    return np.asarray((raw > _EXACT) | ((raw < -_EXACT) if raw.dtype.kind == "i" else False), np.bool_)


def from_binary(values: pa.Array, kind: pa.DataType) -> Converted:
    """Bytes as text of `kind`, where they are UTF-8."""
    whole = values.cast(pa.large_binary())
    text = whole.view(pa.large_string())
    try:
        # All at once first: nearly every such column is UTF-8.
        text.validate(full=True)
    except pa.ArrowInvalid:
        bad = np.array([value is not None and not is_utf8(value) for value in whole.to_pylist()])
        kept = pc.if_else(pa.array(bad), pa.scalar(b"", pa.large_binary()), whole)
        return kept.view(pa.large_string()).cast(kind), told(bad, "bytes that are not UTF-8")
    return text.cast(kind), {}


def _outside(values: pa.Array, kind: pa.DataType) -> Mask:
    limit = 2 ** (kind.bit_width - 1)
    # A double holds the limits of 32 bits (width, height) exactly; what it rounds is far beyond them.
    numbers = values.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray((numbers >= limit) | (numbers < -limit), np.bool_)


def _none(values: pa.Array, kind: pa.DataType) -> Converted:
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    return pa.nulls(len(values), kind), told(valid, str(values.type))


def told(bad: Mask, problem: str) -> dict[int, str]:
    """The rows of a mask, each with the problem."""
    return dict.fromkeys(np.flatnonzero(bad).tolist(), problem) if bad.any() else {}
