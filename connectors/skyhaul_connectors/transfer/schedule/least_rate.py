"""Whether a source brings as much as is asked of it, as a mean over a while. Sans-I/O; seconds and bytes.

Only time counts in which the source could have delivered: the caller says of each stretch whether it was so.
"""

from __future__ import annotations

from collections import deque

_LONGEST_STEP = 2.0
"""Seconds between two looks that count: a process that stood still longer was held up itself."""

_BINS, _WIDEST = 20, 5.0
"""Bins of a window, and the most seconds of one: a mean reaches back by up to a bin more than was asked for,
and `giving_way` asks for three seconds. Chosen, not measured."""

RECENT = 30.0
"""Seconds that tell what the source does now: long beside an outage that passes, short beside a patience of
minutes. Chosen, not measured."""


class LeastRate:
    """The mean rate of one source, and what it should be.

    Attributes:
        rate: Bytes a second of all connections of the source together; 0 asks for nothing.
        over: Seconds that count, of which the mean is kept.
    """

    def __init__(self, rate: float, over: float) -> None:
        self.rate = rate
        self.over = over
        self._width = min(_WIDEST, over / _BINS)
        self._bins: deque[list[float]] = deque([[0.0, 0.0]])
        self._seconds = 0.0
        self._bytes = 0.0
        self._at = 0.0

    def demand(self, rate: float) -> None:
        """So much is asked for from now on."""
        self.rate = rate

    def begin(self, now: float) -> None:
        """Begin counting time at `now` (seconds), because there is something to fetch again."""
        self._at = now

    def received(self, count: int) -> None:
        # Bytes always count, time not always (`look`): the mean errs in the source's favour.
        self._bins[-1][1] += count
        self._bytes += count

    def look(self, now: float, *, counts: bool) -> None:
        """Time has passed since the last look, and it counts or not. Call it often."""
        passed = min(now - self._at, _LONGEST_STEP)
        self._at = now
        if not counts or passed <= 0:
            return
        if self._bins[-1][0] >= self._width:
            self._bins.append([0.0, 0.0])
        self._bins[-1][0] += passed
        self._seconds += passed
        while self._seconds - self._bins[0][0] >= self.over:
            seconds, count = self._bins.popleft()
            self._seconds -= seconds
            self._bytes -= count

    def forget(self) -> None:
        """Empty the window."""
        self._bins = deque([[0.0, 0.0]])
        self._seconds = self._bytes = 0.0

    def mean(self, over: float) -> float | None:
        """Bytes a second over the last `over` seconds that counted, or a bin more.

        None before so many have counted."""
        seconds = count = 0.0
        for bin_seconds, bin_count in reversed(self._bins):
            seconds += bin_seconds
            count += bin_count
            if seconds >= over:
                return count / seconds
        return None

    def now(self) -> float | None:
        """Bytes a second lately; None before there is a second to tell of."""
        return self.mean(min(RECENT, self._seconds)) if self._seconds >= 1.0 else None

    @property
    def drips(self) -> bool:
        """Whether the source brings less than it should now, though not for long enough to be a verdict."""
        now = self.now() if self.rate > 0 else None
        return now is not None and now < self.rate

    def below(self, over: float) -> bool:
        """Whether the mean over the last `over` seconds that counted is below the rate."""
        mean = self.mean(over) if self.rate > 0 else None
        return mean is not None and mean < self.rate

    def due(self, now: float, over: float) -> float:
        """When `below` may first be true."""
        # Once the window is full, any look may bring it.
        return now + max(0.05, over - self._seconds) if self.rate > 0 else float("inf")
