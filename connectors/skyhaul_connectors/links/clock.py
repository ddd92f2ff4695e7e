"""Time of a haul: seconds since its epoch, on the monotonic clock.

All processes of a haul share one epoch (a Unix time, handed over as a number), so that outages,
handovers and contacts of an emulated link fall at the same moment in each. The wall clock is read
once, to place the epoch on the monotonic clock; a later jump of the wall clock moves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Seconds since an epoch that processes share. `epoch` is its Unix time."""

    @property
    def epoch(self) -> float: ...

    def now(self) -> float:
        """Seconds since the epoch, at least 0; never goes back."""


class MonotonicClock:
    """The clock of real hauls, and of tests with virtual time.

    In tests `monotonic` is a virtual loop's `time`, and `wall` a constant.

    Args:
        epoch: Unix seconds of second 0; None starts a haul here and now.
        monotonic: Seconds that never go back.
        wall: Unix seconds; asked once.
    """

    def __init__(
        self,
        epoch: float | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        wall_now = wall()
        self._epoch = wall_now if epoch is None else epoch
        self._monotonic = monotonic
        # The wall clock counts here alone. Where it is a little off, this process's outages are off by as
        # much, and steadily; a later step of it (NTP) moves nothing.
        self._zero = monotonic() - (wall_now - self._epoch)

    @property
    def epoch(self) -> float:
        return self._epoch

    def now(self) -> float:
        # An epoch may lie ahead of this machine's wall clock. Schedules, slots and traces are defined from 0
        # on.
        return max(0.0, self._monotonic() - self._zero)
