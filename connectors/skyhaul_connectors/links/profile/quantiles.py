"""A distribution given by a few published quantiles."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Values by share of all draws.

    Between two points the value is interpolated geometrically: rates, delays and outages of links are
    skewed, and a straight line would put too much weight on the far end.

    Attributes:
        points: (share, value), with shares rising from 0 to 1 and values above 0 that never fall.

    Raises:
        ValueError: The points are not like that.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        shares = [share for share, _ in self.points]
        values = [value for _, value in self.points]
        # Both ends must be stated: an open one would be an outage of any length. Where a publication has
        # none, the preset's note says that they are assumed.
        if len(shares) < 2 or shares[0] != 0 or shares[-1] != 1 or shares != sorted(set(shares)):
            raise ValueError(f"shares {shares} must rise from 0 to 1")
        if values[0] <= 0 or values != sorted(values):
            raise ValueError(f"values {values} must be above 0 and never fall")

    def at(self, share: float) -> float:
        """The value that a `share` of all draws lies below; shares outside 0..1 give the ends."""
        if share <= 0:
            return self.points[0][1]
        if share >= 1:
            return self.points[-1][1]
        index = bisect.bisect_right(self.points, share, key=lambda point: point[0])
        (low, value), (high, bigger) = self.points[index - 1], self.points[index]
        return value * math.exp(math.log(bigger / value) * (share - low) / (high - low))

    @property
    def median(self) -> float:
        return self.at(0.5)

    @property
    def longest(self) -> float:
        return self.points[-1][1]
