"""How long a haul still takes, from what its sources bring. Sans-I/O; bytes and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LAGS = 0.1
"""A source that brings less than this part of an even share is limited by itself: it will not be quicker when
the others are done. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class SourcePace:
    """What one source has still to bring, and how it does."""

    left: int
    """Bytes that this haul has still to fetch of it."""
    rate: float | None
    """Bytes a second lately; None where nobody knows yet."""
    least: float
    """Bytes a second that it should bring: its `min_rate`."""


def seconds_left(arrived: int, spent: float, sources: Sequence[SourcePace]) -> float | None:
    """Seconds until all is fetched.

    What is left goes on at the pace of late; a source that lags takes its own time.

    Args:
        arrived: Bytes over the last `spent` seconds, of all sources.
        spent: Seconds.
        sources: What each has still to bring, and how it does.

    Returns:
        None where it cannot be told: nothing came yet, or nothing comes of a source."""
    open_ones = [source for source in sources if source.left > 0]
    known = [source.rate for source in open_ones if source.rate is not None]
    even = sum(known) / len(known) if known else 0.0
    lagging = [s for s in open_ones if s.rate is not None and s.rate < max(s.least, _LAGS * even)]
    rest = sum(s.left for s in open_ones) - sum(s.left for s in lagging)
    times = []
    if rest:
        if not arrived:
            return None
        times.append(rest * spent / arrived)
    for source in lagging:
        if not source.rate:
            return None
        times.append(source.left / source.rate)
    return max(times, default=None)
