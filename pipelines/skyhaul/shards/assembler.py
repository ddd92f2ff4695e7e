"""Canonical row groups: cut where the rows say, whatever batches they came in.

A row group takes rows, in order, while their uncompressed bytes (`row_bytes`) stay within the limit less
what heads of pages may take (`within`), and at least one. That is a function of the sequence of rows alone.
pyarrow gives other bytes for the same rows in other batches, so each group is combined into one batch before
it is handed on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from skyhaul.shards.row_buffer import RowBuffer
from skyhaul.shards.row_bytes import Int64s

Emit = Callable[[pa.RecordBatch, int], None]
"""Takes a row group and its bytes; the batch is valid during the call only."""


def within(limit: int) -> int:
    """The bytes that rows may take, so that what a footer counts of them stays within `limit` bytes.

    A footer counts the heads of pages, too, which state the least and the greatest value of a page.
    """
    # A 128th. `certify` holds footers against the limits of the job, `tests/shards/test_row_groups.py` ours.
    return limit - limit // 128


class Assembler:
    """Collects rows and emits row groups with their uncompressed bytes. Holds one group at most."""

    def __init__(self, schema: pa.Schema, limit: int, emit: Emit) -> None:
        self._limit = within(limit)
        self._emit = emit
        self._pending = RowBuffer(schema)
        self._bytes = 0

    def add(self, batch: pa.RecordBatch, sizes: Int64s) -> None:
        """Take the next rows; `sizes` are their bytes, as `row_bytes` counts them."""
        sums = np.cumsum(sizes)
        start, taken = 0, 0
        while start < batch.num_rows:
            room = self._limit - self._bytes
            stop = int(np.searchsorted(sums, taken + room, side="right"))
            # A row that is larger than a group makes one of its own: rows are not cut.
            if stop <= start and not self._pending.rows:
                stop = start + 1
            if stop > start:
                self._pending.append(batch.slice(start, stop - start))
                self._bytes += int(sums[stop - 1]) - taken
                start, taken = stop, int(sums[stop - 1])
            if start < batch.num_rows:
                self.flush()

    def flush(self) -> None:
        """Emit the pending rows as a group: the next row does not fit, or there is none."""
        if self._pending.rows:
            self._emit(self._pending.take(), self._bytes)
            self._pending.clear()
            self._bytes = 0
