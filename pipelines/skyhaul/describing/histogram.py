"""Quantiles of many numbers in bounded memory, which do not depend on the order in which numbers come.

Each number counts in a bucket of its own sign and binary exponent, 256 buckets an octave: a quantile is off
by less than 0.4 %, and exact for whole numbers up to 512. Least and greatest are exact. Buckets are counts,
so that merging is adding: sketches that sample or compress (t-digest, KLL) would depend on how rows came.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_OCTAVE = 256
_LEAST = 1100
"""Above the least binary exponent of a double, 1074, so that keys are above 0."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

Doubles = npt.NDArray[np.float64]


class Histogram:
    """Counts of numbers by bucket."""

    def __init__(self) -> None:
        self.count = 0
        self.least: float | None = None
        self.greatest: float | None = None
        self._buckets: dict[int, int] = {}

    def add(self, values: Doubles) -> None:
        """Take finite numbers."""
        if not len(values):
            return
        self._widen(float(values.min()), float(values.max()))
        self.count += len(values)
        # The fraction lies in [0.5, 1): doubled less 1 it is the place in its octave.
        fractions, exponents = np.frexp(np.abs(values))
        places = np.floor((fractions * 2 - 1) * _OCTAVE).astype(np.int64)
        keys = np.where(values == 0, 0, (exponents.astype(np.int64) + _LEAST) * _OCTAVE + places)
        found, counts = np.unique(np.where(values < 0, -keys, keys), return_counts=True)
        for key, count in zip(found.tolist(), counts.tolist(), strict=True):
            self._buckets[key] = self._buckets.get(key, 0) + count

    def merge(self, other: Histogram) -> None:
        """Take what another has counted."""
        if other.least is not None and other.greatest is not None:
            self._widen(other.least, other.greatest)
        self.count += other.count
        for key, count in other._buckets.items():
            self._buckets[key] = self._buckets.get(key, 0) + count

    def quantiles(self) -> dict[str, float]:
        """Quantile -> the number below which (with itself) that share of the numbers lies."""
        wanted = [(q, max(1, math.ceil(q * self.count))) for q in QUANTILES]
        found: dict[str, float] = {}
        below = 0
        for key in sorted(self._buckets):
            below += self._buckets[key]
            while wanted and below >= wanted[0][1]:
                found[f"{wanted.pop(0)[0]:g}"] = self._within(_value(key))
        return found

    def to_json(self) -> dict[str, Any]:
        return {"min": _plain(self.least), "max": _plain(self.greatest)} | {
            "quantiles": {name: _plain(value) for name, value in self.quantiles().items()}
        }

    def _within(self, value: float) -> float:
        """A bucket's border may lie beyond what was counted."""
        least, greatest = self.least or 0.0, self.greatest or 0.0
        return min(max(value, least), greatest)

    def _widen(self, least: float, greatest: float) -> None:
        self.least = least if self.least is None else min(self.least, least)
        self.greatest = greatest if self.greatest is None else max(self.greatest, greatest)


def _value(key: int) -> float:
    """The border of a bucket that is nearest to zero."""
    if not key:
        return 0.0
    exponent, place = divmod(abs(key), _OCTAVE)
    return math.copysign(math.ldexp(0.5 + place / (2 * _OCTAVE), exponent - _LEAST), key)


def _plain(value: float | None) -> float | int | None:
    """Whole numbers without a point."""
    return int(value) if value is not None and value.is_integer() else value
