"""What is told of rows: by split, and of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.describing.column import Column
from skyhaul.describing.histogram import Histogram

SPLIT = "split"
"""Column of rows that says which split they are of; without it they are of `train`."""

_PLACES = frozenset({SPLIT, "dataset", "shard", "source", "object", "version", "offset", "length"})
"""Columns that say where a row comes from: nothing is told of them."""

Count = Callable[[Sequence[str]], list[int]]


class Part:
    """One split."""

    def __init__(self) -> None:
        self.rows = 0
        self.columns: dict[str, Column] = {}
        self.tokens = 0
        self.token_counts: Histogram | None = None

    def add(self, rows: pa.RecordBatch, count: Count | None) -> None:
        """Take the next rows; `count` tokens of their texts, if asked for."""
        self.rows += rows.num_rows
        for field, values in zip(rows.schema, rows.columns, strict=True):
            if field.name in _PLACES or pa.types.is_nested(field.type):
                continue
            column = self.columns.get(field.name)
            if column is None:
                column = self.columns[field.name] = Column(field)
            column.add(values)
        if count is not None and "text" in rows.schema.names:
            counts = np.array(count(rows.column("text").drop_null().to_pylist()), dtype=np.int64)
            self.tokens += int(counts.sum())
            self.token_counts = self.token_counts or Histogram()
            self.token_counts.add(counts.astype(np.float64))

    def merge(self, other: Part) -> None:
        """Take what another has counted."""
        self.rows += other.rows
        self.tokens += other.tokens
        for name, column in other.columns.items():
            if name in self.columns:
                self.columns[name].merge(column)
            else:
                self.columns[name] = deepcopy(column)
        if other.token_counts is not None:
            self.token_counts = self.token_counts or Histogram()
            self.token_counts.merge(other.token_counts)

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "rows": self.rows,
            "columns": {name: column.to_json() for name, column in self.columns.items()},
        }
        if self.token_counts is not None:
            told["tokens"] = {"sum": self.tokens, **self.token_counts.to_json()}
        return told


class Description:
    """Rows described, split by split."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}

    def add(self, rows: pa.RecordBatch, count: Count | None = None) -> None:
        """Take the next rows."""
        if SPLIT not in rows.schema.names:
            self._part("train").add(rows, count)
            return
        splits = rows.column(SPLIT)
        names = pc.unique(splits).to_pylist()
        for name in names:
            # Batches of a file are of one split.
            own = rows if len(names) == 1 else rows.filter(pc.equal(splits, name))
            self._part(name).add(own, count)

    def merge(self, other: Description) -> None:
        """Take what another has counted."""
        for name, part in other.parts.items():
            self._part(name).merge(part)

    def to_json(self) -> dict[str, Any]:
        """What is told, of all and of each split, columns in their order."""
        whole = Part()
        for name in sorted(self.parts):
            whole.merge(self.parts[name])
        return {
            "all": whole.to_json(),
            "splits": {name: self.parts[name].to_json() for name in sorted(self.parts)},
        }

    def _part(self, name: str) -> Part:
        part = self.parts.get(name)
        if part is None:
            part = self.parts[name] = Part()
        return part
