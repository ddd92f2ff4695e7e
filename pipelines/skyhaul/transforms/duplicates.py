"""`deduplicate`: exact duplicates inside a shard: the first record of each value stays.

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
Digests = npt.NDArray[np.bytes_]


class Deduplicated:
    """One shard's; keeps what it has seen. Nulls are no duplicates of each other."""

    def __init__(self, name: str, column: str) -> None:
        self._name = name
        self._column = column
        self._seen = _Seen()

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        column = batch.column(self._column)
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        digests = _digests(column)
        rows = np.flatnonzero(valid)
        values, first = np.unique(digests[rows], return_index=True)
        fresh = ~self._seen.holds(values)
        self._seen.add(values[fresh])
        stay = ~valid
        stay[rows[first[fresh]]] = True
        return filtered(batch, pa.array(stay), self._name)


class _Seen:
    """Sorted runs, each less than half of the one before it, so that adding n values costs n log n."""

    def __init__(self) -> None:
        self._runs: list[Digests] = []

    def holds(self, values: Digests) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(values), dtype=np.bool_)
        for run in self._runs:
            at = np.searchsorted(run, values)
            inside = at < len(run)
            found[inside] |= run[at[inside]] == values[inside]
        return found

    def add(self, values: Digests) -> None:
        """`values`: sorted, none of them held."""
        if not len(values):
            return
        self._runs.append(values)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort(kind="stable")
            self._runs.append(merged)


def _digests(column: pa.Array) -> Digests:
    """16 bytes for each value; Arrow has no kernel that digests, so rows are walked over."""
    binary = column.cast(pa.large_binary())
    _, offsets_buffer, data = binary.buffers()
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
