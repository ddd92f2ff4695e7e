"""How fast a dataset grows while it is watched, and when it will be whole if that goes on. Sans-I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from skyhaul.dataset.survey import Survey
from skyhaul_schemas.units import format_duration, format_size

WINDOW = 600.0
"""Seconds of the past that tell the pace: long against the time between two commits. Chosen, not
measured."""

STUCK = 60.0
"""Seconds for which others went on without a source, until its rest is not reckoned by their pace. Chosen,
not measured."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast a dataset grew lately."""

    bytes: int
    """Source bytes that were committed over the last `seconds`."""
    seconds: float
    left: int
    """Source bytes that are neither committed nor failed for good."""
    stuck: tuple[str, ...] = ()
    """Sources with bytes left of which nothing was committed, while others went on."""
    stuck_left: int = 0
    """Of `left`, the bytes of those sources."""

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.bytes / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None while nothing was committed, or while a source brings nothing: no pace tells when it will."""
        if not self.left:
            return 0.0
        if self.stuck:
            return None
        return self.left / self.rate if self.rate else None

    def to_json(self) -> dict[str, Any]:
        left = self.seconds_left
        return {
            "source_bytes": self.bytes,
            "seconds": round(self.seconds, 1),
            "seconds_left": None if left is None else round(left, 1),
            "stuck": list(self.stuck),
        }

    def __str__(self) -> str:
        over = f"over the last {format_duration(self.seconds)}"
        if self.stuck and self.rate:
            rest = format_duration((self.left - self.stuck_left) / self.rate)
            text = f"{format_size(self.rate)}/s {over}, nothing of {', '.join(self.stuck)}"
            return text if self.left == self.stuck_left else f"{text}; about {rest} left without"
        if self.seconds_left is None:
            return f"nothing committed {over}"
        return f"{format_size(self.rate)}/s {over}, about {format_duration(self.seconds_left)} left"


class ThroughputMeter:
    """Remembers the looks of the last `WINDOW` seconds.

    They begin anew with the first commit that is seen: a haul that has to start, or waits for a contact, says
    nothing of its pace.
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()
        """(monotonic seconds, source bytes committed by then)."""
        self._waited: tuple[float, int] | None = None
        """The first look of the wait; None until a commit was seen."""
        self._gained: dict[str, tuple[int, float]] = {}
        """Source -> its bytes committed, and when they last grew."""

    def look(self, now: float, seen: Survey) -> Throughput | None:
        """The throughput up to `now` (monotonic seconds); None at the first look."""
        committed = seen.source_bytes_committed
        looks = self._looks
        stuck = self._stuck(now, seen)
        first = not looks
        if looks and self._waited is None and committed > looks[-1][1]:
            self._waited = looks[0]
            looks.clear()
        looks.append((now, committed))
        # The last look that is older than the window stays, or the pace would be that of less than it.
        while len(looks) > 2 and looks[1][0] <= now - WINDOW:
            looks.popleft()
        if first:
            return None
        since, before = looks[0]
        # One commit is no pace yet: until the second it is measured from where the wait began.
        if before == committed and self._waited is not None and self._waited[0] > now - WINDOW:
            since, before = self._waited
        failed = sum(part.source_bytes_failed for part in seen.by_source.values())
        left = max(0, seen.source_bytes - committed - failed)
        # Less may be committed than before: `replay --damaged` sets records aside while one watches.
        return Throughput(max(0, committed - before), now - since, left, tuple(stuck), sum(stuck.values()))

    def _stuck(self, now: float, seen: Survey) -> dict[str, int]:
        """Sources that have bytes left and gained none for long, while others did: how many bytes."""
        for name, part in seen.by_source.items():
            if self._gained.get(name, (-1, 0.0))[0] != part.source_bytes_committed:
                self._gained[name] = (part.source_bytes_committed, now)
        # Held against the others' last gain and not against now: where nothing moves, nobody is behind.
        last = max((at for _, at in self._gained.values()), default=now)
        return {
            name: part.source_bytes - part.source_bytes_committed - part.source_bytes_failed
            for name, part in sorted(seen.by_source.items())
            if part.left and last - self._gained[name][1] >= STUCK
        }
