"""Arrow columns to the canonical JSON text of their values (see `json_exact.canonical`), by kernels.

Rows whose text the kernels cannot give exactly are marked in a mask of doubt, for the caller to write one by
one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.records.json_exact import canonical

Mask = npt.NDArray[np.bool_]

_SMALLEST_PLAIN, _LARGEST_PLAIN = 1e-3, 1e9
"""Sizes within which Arrow and orjson write a double alike. They part at 1e-6 (`0.000001`, `1e-6`) and at
1e10 (`1e+10`, `10000000000.0`); there is room to both."""

_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
"""Written as `\\u001f` and the like, for which there is no kernel."""

_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
"""In this order: the backslash first, since the others bring new ones."""

_QUOTE, _BACKSLASH = 0x22, 0x5C


class Unwritable(Exception):
    """No kernel writes values of this type."""


def member(name: str, values: pa.Array, doubt: Mask, *, doubles: bool = False) -> pa.Array:
    """`"key":value` of each row as `canonical` writes it, null for null.

    Args:
        name: The key with its colon, as it is written; empty for an element of a list.
        values: A column.
        doubt: Is marked at rows that kernels cannot write so; whatever they gave there is to be replaced.
        doubles: Whether a double without a fraction is known to have been one.

    Raises:
        Unwritable: No kernel writes values of this type."""
    kind = values.type
    if pa.types.is_string(kind):
        return pc.binary_join_element_wise(name + '"', _escaped(values, doubt), '"', "")
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pc.binary_join_element_wise(name, values.cast(pa.string()), "")
    if pa.types.is_floating(kind):
        return pc.binary_join_element_wise(name, _doubles(values, doubt, doubles), "")
    if pa.types.is_struct(kind):
        return pc.binary_join_element_wise(name, _object(values, doubt, doubles), "")
    if pa.types.is_list(kind):
        return pc.binary_join_element_wise(name, _array(values, doubt, doubles), "")
    raise Unwritable


def _object(values: pa.StructArray, doubt: Mask, doubles: bool) -> pa.Array:
    # Arrow has one null for a missing object, a null and a missing key; the text tells them apart.
    if values.null_count:
        doubt |= values.is_null().to_numpy(zero_copy_only=False)
    inner = dict(zip((field.name for field in values.type), values.flatten(), strict=True))
    for column in inner.values():
        if column.null_count:
            doubt |= column.is_null().to_numpy(zero_copy_only=False)
    members = [member(canonical(key) + ":", inner[key], doubt, doubles=doubles) for key in sorted(inner)]
    joined = pc.binary_join_element_wise(*members, ",")
    return pc.binary_join_element_wise("{", joined, "}", "")


def _array(values: pa.ListArray, doubt: Mask, doubles: bool) -> pa.Array:
    """The text of each list. A null in it was written as one: a list has no gaps as an object has."""
    inner = values.flatten()
    lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    inner_doubt = np.zeros(len(inner), np.bool_)
    # `binary_join` gives null for a list with a null in it.
    texts = pc.fill_null(member("", inner, inner_doubt, doubles=doubles), "null")
    doubtful = np.flatnonzero(inner_doubt)
    # The row of an element is the last one that begins at or before it; empty ones before it may begin there,
    # too.
    doubt[np.searchsorted(offsets, doubtful, "right") - 1] = True
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), texts), ",")
    whole = pc.binary_join_element_wise("[", joined, "]", "")
    return pc.if_else(values.is_valid(), whole, pa.scalar(None, pa.string())) if values.null_count else whole


def _escaped(values: pa.Array, doubt: Mask) -> pa.Array:
    content = values.buffers()[2]
    if content is None:
        return values
    # Of a slice this is all of its parent's text: what stands outside can only cost a look in vain.
    raw = np.frombuffer(content, np.uint8)
    if not ((raw < 0x20) | (raw == _QUOTE) | (raw == _BACKSLASH)).any():
        return values
    rare = pc.match_substring_regex(values, _CONTROLS).fill_null(False)
    doubt |= rare.to_numpy(zero_copy_only=False)
    for plain, escaped in _ESCAPES:
        values = pc.replace_substring(values, plain, escaped)
    return values


def _doubles(values: pa.Array, doubt: Mask, known: bool) -> pa.Array:
    """The digits of each double; those that Arrow may write otherwise than `canonical` are put in doubt.

    A double without a fraction may have been written as an integer (`1`, `1.0`), unless it is `known` not
    to."""
    numbers = values.fill_null(0.5).to_numpy(zero_copy_only=False)
    size = np.abs(numbers)
    with np.errstate(invalid="ignore"):
        whole = numbers == np.rint(numbers)
    # Negated, so that NaN, which compares as neither, is odd; zero is, too, for its sign.
    odd = ~(size >= _SMALLEST_PLAIN) | ~(size < _LARGEST_PLAIN)
    text = values.cast(pa.string())
    if not known:
        odd |= whole
    elif whole.any():
        text = pc.if_else(pa.array(whole), pc.binary_join_element_wise(text, ".0", ""), text)
    doubt |= odd
    return text
