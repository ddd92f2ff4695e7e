"""Rows as bytes that are equal where the rows are equal, however they are batched, encoded or compressed.

A split begins with `>name` and a line end. A row is its values in the order of the schema, those of a struct
one by one, and a line end; a value is `length:bytes`, a null `-:`. Integers and times (their count of units)
are decimal digits, a float is its bits read as an integer, a boolean 0 or 1. A list is a value made of its
items, each written as a column is; before the values of a struct that may be null stands a 1, or a null. So
no two sequences of rows have the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CONTENT_VERSION = 1
"""Raised whenever equal rows would give other bytes: the plans of derived datasets rest on them."""

_SLICE = 8 * 1024 * 1024
"""Bytes of rows that are joined at once, for the joined bytes lie beside the rows. Chosen, not measured."""


class RowContent:
    """Digests rows as they come, split by split."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.length = 0
        """Bytes so far."""

    @property
    def sha256(self) -> str:
        """Hex digest of what came so far."""
        return self._sha256.hexdigest()

    def begin(self, split: str) -> None:
        """The rows that follow are of `split`."""
        self._take(f">{split}\n".encode())

    def add(self, rows: pa.RecordBatch) -> None:
        """Take the next rows."""
        step = max(1, rows.num_rows * _SLICE // max(_SLICE, rows.nbytes))
        for start in range(0, rows.num_rows, step):
            joined = _joined(rows.slice(start, step))
            _, offsets, values = joined.buffers()
            bounds = memoryview(offsets).cast("q")
            first, last = bounds[joined.offset], bounds[joined.offset + len(joined)]
            self._take(memoryview(values)[first:last])

    def _take(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)
        self.length += len(data)


def _joined(rows: pa.RecordBatch) -> pa.Array:
    """A large binary for each row."""
    parts: list[pa.Array | pa.Scalar] = []
    for field, column in zip(rows.schema, rows.columns, strict=True):
        parts += _parts(column, nullable=field.nullable)
    return pc.binary_join_element_wise(*parts, pa.scalar(b"\n", pa.large_binary()), _NOTHING)


_NOTHING = pa.scalar(b"", pa.large_binary())
_COLON = pa.scalar(b":", pa.large_binary())


def _parts(column: pa.Array, *, nullable: bool) -> Iterator[pa.Array | pa.Scalar]:
    """What is joined, row by row, to the bytes of a column."""
    for leaf in _leaves(column, nullable):
        value = _items(leaf) if pa.types.is_list(leaf.type) else _binary(leaf)
        length = pc.binary_length(value).cast(pa.string()).cast(pa.large_binary())
        if value.null_count:
            length = pc.fill_null(length, b"-")
            value = pc.fill_null(value, b"")
        yield from (length, _COLON, value)


def _leaves(array: pa.Array, nullable: bool) -> Iterator[pa.Array]:
    if not pa.types.is_struct(array.type):
        yield array
        return
    if nullable:
        # Or a null would be as a struct of nulls.
        one = pa.repeat(pa.scalar(1, pa.int8()), len(array))
        yield pc.if_else(array.is_valid(), one, pa.scalar(None, pa.int8()))
    # `flatten` and not `field`: what is null above is null below.
    for field, inner in zip(array.type, array.flatten(), strict=True):
        yield from _leaves(inner, field.nullable)


def _items(array: pa.Array) -> pa.Array:
    """The items of each list, one behind the other; null of null."""
    items = pc.binary_join_element_wise(*_parts(array.flatten(), nullable=True), _NOTHING)
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    _, bounds, values = items.buffers()
    starts = np.frombuffer(bounds, np.int64)[items.offset : items.offset + len(items) + 1]
    # They lie side by side, so that a list's bytes begin where its first item's do.
    offsets = starts[np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)]
    buffers = [None, pa.py_buffer(offsets.tobytes()), values or pa.py_buffer(b"")]
    joined = pa.Array.from_buffers(pa.large_binary(), len(array), buffers)
    return pc.if_else(array.is_valid(), joined, pa.scalar(None, pa.large_binary()))


def _binary(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return array.cast(pa.large_binary())
    if pa.types.is_large_binary(kind):
        return array
    if pa.types.is_timestamp(kind) or pa.types.is_float64(kind):
        array = array.view(pa.int64())
    elif pa.types.is_date32(kind) or pa.types.is_float32(kind):
        array = array.view(pa.int32())
    elif pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
    elif not pa.types.is_integer(kind):
        raise TypeError(f"no shard has a column of {kind}")
    return array.cast(pa.string()).cast(pa.large_binary())
