"""Rows as bytes that are equal where the rows are equal, however they are batched, encoded or compressed.

A split begins with `>name` and a line end. A row is its values in the order of the schema, those of a struct
one by one, and a line end; a value is `length:bytes`, a null `-:`. Integers and times (their count of units)
are decimal digits, a float is its 64 bits read as an integer. So no two sequences of rows have the
same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

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
    colon = pa.scalar(b":", pa.large_binary())
    for column in rows.columns:
        for leaf in _leaves(column):
            value = _binary(leaf)
            length = pc.binary_length(value).cast(pa.string()).cast(pa.large_binary())
            if value.null_count:
                length = pc.fill_null(length, b"-")
                value = pc.fill_null(value, b"")
            parts += [length, colon, value]
    end, between = pa.scalar(b"\n", pa.large_binary()), pa.scalar(b"", pa.large_binary())
    return pc.binary_join_element_wise(*parts, end, between)


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_struct(array.type):
        # `flatten` and not `field`: what is null above is null below.
        for inner in array.flatten():
            yield from _leaves(inner)
    else:
        yield array


def _binary(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return array.cast(pa.large_binary())
    if pa.types.is_large_binary(kind):
        return array
    if pa.types.is_timestamp(kind) or pa.types.is_float64(kind):
        array = array.view(pa.int64())
    elif not pa.types.is_integer(kind):
        raise TypeError(f"no shard has a column of {kind}")
    return array.cast(pa.string()).cast(pa.large_binary())
