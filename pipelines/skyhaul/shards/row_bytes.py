"""Uncompressed bytes of each row: what canonical row-group borders are counted in.

A value counts with its width in Arrow, a text or binary value with its bytes and 4 more for its length, a
list with its items and 4 more, a null like a zero. Validity bits do not count. The figure depends on the
row's values alone, never on how rows were cut into batches.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_LENGTH = 4
"""Bytes of a length, as in Parquet's plain encoding of byte arrays."""

Int64s = npt.NDArray[np.int64]


def row_bytes(batch: pa.RecordBatch) -> Int64s:
    """Bytes of each row of `batch`."""
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        _add(total, column)
    return total


def _add(total: Int64s, array: pa.Array) -> None:
    kind = array.type
    if pa.types.is_struct(kind):
        # What lies below a null is nothing, whatever the array holds there.
        parts = array.flatten() if array.null_count else map(array.field, range(kind.num_fields))
        for part in parts:
            _add(total, part)
    elif pa.types.is_list(kind):
        inner = array.flatten()
        sizes = np.zeros(len(inner), dtype=np.int64)
        _add(sizes, inner)
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        ends = np.cumsum(lengths, dtype=np.int64)
        sums = np.append(0, np.cumsum(sizes))
        total += sums[ends] - sums[ends - lengths] + _LENGTH
    elif (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    ):
        lengths = pc.binary_length(array)
        total += (lengths.fill_null(0) if lengths.null_count else lengths).to_numpy(zero_copy_only=False)
        total += _LENGTH
    else:
        total += max(1, kind.bit_width // 8)
