"""How often each value of a column is there, in bounded memory, whatever order rows come in.

Where a column has too many values, those are kept whose hashes are least: a value that is kept in the end was
kept in every part, so that its count is exact; what the others come to is told in one sum.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

MOST = 4096
"""Values that are counted one by one. Chosen, not measured: languages are some hundreds."""

SHOWN = 50
"""Values that a description names, the most frequent first."""


class Values:
    """Counts by value."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: dict[str, int] = {}
        self._cut = False

    def add(self, column: pa.Array) -> None:
        """Take a column of text; nulls do not count."""
        found = {
            entry["values"]: entry["counts"] for entry in pc.value_counts(column.drop_null()).to_pylist()
        }
        self.total += sum(found.values())
        self._take(found)

    def merge(self, other: Values) -> None:
        """Take what another has counted."""
        self.total += other.total
        self._cut |= other._cut
        self._take(other._counts)

    def to_json(self) -> dict[str, Any]:
        first = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
        named = dict(first)
        return {
            "distinct": None if self._cut else len(self._counts),
            "counts": named,
            "others": self.total - sum(named.values()),
        }

    def _take(self, counts: Mapping[str, int]) -> None:
        for value, count in counts.items():
            self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > MOST:
            self._cut = True
            kept = heapq.nsmallest(MOST, self._counts, key=_hashed)
            self._counts = {value: self._counts[value] for value in kept}


def _hashed(value: str) -> tuple[int, str]:
    return xxhash.xxh3_64_intdigest(value.encode("utf-8", "surrogatepass")), value
