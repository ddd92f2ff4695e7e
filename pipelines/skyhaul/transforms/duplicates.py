"""`deduplicate`: of exact duplicates inside a shard the first record stays.

Values are told apart by the first 128 bits of their sha256: two of a billion different values meet with a
chance of 1e-21, also where a source is hostile. Memory holds 16 bytes for each record that stays; rows must
come in the shard's order, for which of two equal records is first depends on it.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skyhaul.shards.transform_step import Transformed, filtered
from skyhaul.transforms.declaration import Target, TransformDeclaration
from skyhaul_schemas.job.transforms import Deduplicate

_WIDTH = 16
"""Bytes of a digest that are kept: 128 bits."""
Digests = npt.NDArray[np.bytes_]
"""Of `_WIDTH` bytes each. NumPy takes no notice of zeros at a value's end, which among equal widths confuses
nothing."""


class Deduplicated:
    """The rule for one shard, whose values it remembers. Nulls are no duplicates of each other."""

    def __init__(self, name: str, column: str) -> None:
        self._name = name
        self._column = column
        self._seen = _Seen()

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        column = batch.column(self._column)
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        digests = _digests(column)
        rows = np.flatnonzero(valid)
        # `unique` gives the first place of each value, so that within a batch, too, the first record stays.
        values, first = np.unique(digests[rows], return_index=True)
        fresh = ~self._seen.holds(values)
        self._seen.add(values[fresh])
        stay = ~valid
        stay[rows[first[fresh]]] = True
        return filtered(batch, pa.array(stay), self._name)


class _Seen:
    """The digests seen so far, in sorted runs, each less than half as long as the one before it.

    Adding n values costs n log n that way, and a look at one a search in each of log n runs. A set would take
    several times the 16 bytes of a value.
    """

    def __init__(self) -> None:
        self._runs: list[Digests] = []

    def holds(self, values: Digests) -> npt.NDArray[np.bool_]:
        """Whether each of `values` has been added."""
        found = np.zeros(len(values), dtype=np.bool_)
        for run in self._runs:
            at = np.searchsorted(run, values)
            inside = at < len(run)
            found[inside] |= run[at[inside]] == values[inside]
        return found

    def add(self, values: Digests) -> None:
        """Add `values`, which are sorted, and none of which is held yet."""
        if not len(values):
            return
        self._runs.append(values)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            # Stable is timsort for values of this kind: two sorted runs are merged in one pass.
            merged.sort(kind="stable")
            self._runs.append(merged)


def _digests(column: pa.Array) -> Digests:
    """Digest each value; Arrow has no kernel for that, so rows are walked over."""
    binary = column.cast(pa.large_binary())
    _, offsets_buffer, data = binary.buffers()
    # Buffers are those of the array that this may be a slice of: its offset counts from their beginning.
    every = np.frombuffer(offsets_buffer, np.int64)
    offsets = every[binary.offset : binary.offset + len(binary) + 1].tolist()
    view = memoryview(data) if data is not None else memoryview(b"")
    sha256 = hashlib.sha256
    joined = b"".join([sha256(view[a:b]).digest()[:_WIDTH] for a, b in pairwise(offsets)])
    return np.frombuffer(joined, dtype=f"S{_WIDTH}")


def _build(rule: Deduplicate, target: Target) -> Deduplicated:
    return Deduplicated(target.name, target.column(rule.deduplicate, text=False))


DEDUPLICATE = TransformDeclaration(
    "deduplicate", "of equal records of a shard the first one stays", Deduplicate, _build
)
