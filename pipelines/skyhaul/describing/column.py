"""What is told of one column."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.describing.histogram import Histogram
from skyhaul.describing.values import Values

COUNTED = frozenset({"language", "format", "media_type", "quantity", "unit", "quality"})
"""Columns whose values are told one by one: few are different."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Column:
    """Nulls of a column, and by its type: lengths, numbers, times."""

    def __init__(self, field: pa.Field) -> None:
        self._kind = _kind(field.type)
        self.rows = 0
        self.nulls = 0
        self.not_finite = 0
        self.total = 0
        """Of lengths."""
        self.histogram = Histogram()
        self.values = Values() if field.name in COUNTED else None

    def add(self, column: pa.Array) -> None:
        """Take the next rows' values."""
        self.rows += len(column)
        self.nulls += column.null_count
        if pa.types.is_null(column.type):
            return
        self._kind = self._kind or _kind(column.type)
        present = column.drop_null()
        if self.values is not None:
            self.values.add(present)
        numbers = _numbers(present, self._kind)
        if self._kind in ("characters", "bytes"):
            self.total += int(numbers.sum())
        doubles = numbers.astype(np.float64)
        finite = np.isfinite(doubles)
        self.not_finite += int((~finite).sum())
        self.histogram.add(doubles[finite])

    def merge(self, other: Column) -> None:
        """Take what another has counted."""
        for name in ("rows", "nulls", "not_finite", "total"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._kind = self._kind or other._kind
        self.histogram.merge(other.histogram)
        if self.values is not None and other.values is not None:
            self.values.merge(other.values)

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"nulls": self.nulls}
        if not self._kind:
            return told
        spread = self.histogram.to_json()
        if self._kind == "times":
            told["times"] = {"min": _time(spread["min"]), "max": _time(spread["max"])}
        elif self._kind == "numbers":
            told["numbers"] = {**spread, "not_finite": self.not_finite}
        else:
            told[self._kind] = {"sum": self.total, **spread}
        if self.values is not None:
            told["values"] = self.values.to_json()
        return told


def _kind(kind: pa.DataType) -> str:
    """Empty for a column of nulls alone, which says nothing of its type."""
    if pa.types.is_null(kind):
        return ""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "characters"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytes"
    return "times" if pa.types.is_timestamp(kind) else "numbers"


def _numbers(present: pa.Array, kind: str) -> Any:
    match kind:
        case "characters":
            return pc.utf8_length(present).to_numpy(zero_copy_only=False)
        case "bytes":
            return pc.binary_length(present).to_numpy(zero_copy_only=False)
        case "times":
            return present.cast(pa.timestamp("us", tz=present.type.tz)).view(pa.int64()).to_numpy()
        case _:
            return present.to_numpy(zero_copy_only=False)


def _time(micros: float | None) -> str | None:
    if micros is None:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
    except OverflowError:  # Parquet's times reach farther than Python's
        return f"{micros} µs since 1970"
