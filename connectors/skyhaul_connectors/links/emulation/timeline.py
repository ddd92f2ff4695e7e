"""What a link will do, in order of time: one heap of things to come, one timer of the loop for all."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from skyhaul_connectors.links.clock import Clock

SLACK = 0.0005
"""Seconds: what is due this soon is done now. Loops round timers to a millisecond; waking once for what
falls together, and not spinning on the rest of a millisecond, is what keeps a fast link cheap."""


class Timeline:
    """Calls to come. Times are seconds since the haul's epoch; equal times keep the order of asking."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        self._count += 1
        # The count keeps equal times in order, and the heap from comparing functions.
        heapq.heappush(self._heap, (when, self._count, call, args))

    def next_at(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Make every call that is due by `now`, those too that are added meanwhile."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, call, args = heapq.heappop(heap)
            call(*args)


class LoopTimeline(Timeline):
    """A timeline that an asyncio loop drives, through `call_at` alone, so that a virtual one can too."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        super().__init__()
        self._loop = loop
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._running = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        super().at(when, call, *args)
        # While calls are made the timer is set once, behind the last of them.
        if not self._running and (self._timer is None or when < self._timer_at):
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self.next_at()
        # Never: bytes for a link that does not open again.
        if when is None or when == float("inf"):
            return
        self._timer_at = when
        # The haul's clock and the loop's have different zeros; only the difference carries over.
        delay = max(0.0, when - self._clock.now())
        self._timer = self._loop.call_at(self._loop.time() + delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._running = True
        try:
            self.run(self._clock.now() + SLACK)
        finally:
            self._running = False
            self._arm()
