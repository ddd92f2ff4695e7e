"""What a dataset gains while it is watched, and when it will be whole if that goes on. Sans-I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from skyhaul.dataset.survey import Survey
from skyhaul_schemas.units import format_duration, format_size

WINDOW = 600.0
"""Seconds of the past that tell the pace: long against the time between two commits."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Source bytes committed over the last `seconds`; left: source bytes that are neither committed nor
    failed for good."""

    bytes: int
    seconds: float
    left: int

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.bytes / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None while nothing was committed."""
        if not self.left:
            return 0.0
        return self.left / self.rate if self.rate else None

    def to_json(self) -> dict[str, Any]:
        left = self.seconds_left
        return {
            "source_bytes": self.bytes,
            "seconds": round(self.seconds, 1),
            "seconds_left": None if left is None else round(left, 1),
        }

    def __str__(self) -> str:
        over = f"over the last {format_duration(self.seconds)}"
        if self.seconds_left is None:
            return f"nothing committed {over}"
        return f"{format_size(self.rate)}/s {over}, about {format_duration(self.seconds_left)} left"


class GainMeter:
    """Remembers the looks of the last `WINDOW` seconds. They begin anew with the first commit that is seen:
    a haul that has to start, or waits for a contact, says nothing of its pace."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()
        self._waited: tuple[float, int] | None = None

    def look(self, now: float, seen: Survey) -> Gain | None:
        """The gain up to `now` (monotonic seconds); None at the first look."""
        committed = seen.source_bytes_committed
        looks = self._looks
        first = not looks
        if looks and self._waited is None and committed > looks[-1][1]:
            self._waited = looks[0]
            looks.clear()
        looks.append((now, committed))
        while len(looks) > 2 and looks[1][0] <= now - WINDOW:
            looks.popleft()
        if first:
            return None
        since, before = looks[0]
        if before == committed and self._waited is not None and self._waited[0] > now - WINDOW:
            since, before = self._waited
        failed = sum(part.source_bytes_failed for part in seen.by_source.values())
        return Gain(max(0, committed - before), now - since, max(0, seen.source_bytes - committed - failed))
