"""A worker's part of a link that several share: when it may ask for bytes, and how many.

A *grant* says: from here to there you may use so much of the link. Those who grant see to it that what all
workers hold never comes to more than the link; a worker without a grant waits. No sockets, threads or clocks:
`now` is an argument, in seconds since the haul's epoch.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

HEADROOM = 0.97
"""What of a shared link's rate is granted. A request is counted when it goes out, as one lump: the lumps of
several workers that fall together would else stand out of the rate in a second's window
(`tests/links/sharing/test_shared_link.py` holds it against one; docs/adr/0007)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A part of a link.

    Attributes:
        start: Seconds since the epoch.
        until: Seconds since the epoch.
        rate: bit/s that may be used in between.
    """

    start: float
    until: float
    rate: float

    @property
    def bits(self) -> float:
        return max(0.0, self.until - self.start) * self.rate


class GrantedPacer:
    """Asked like a `Pacer`, but fed by grants.

    A take may overdraw by its own size, so that no range is too large for a grant; what is overdrawn is paid
    out of what is granted next. What of a grant is not used in its time is lost, but for `slack` seconds'
    worth: its place on the link belongs to others afterwards.

    Args:
        slack: Seconds' worth of a grant that may be used late within it. Chosen, not measured: loops'
            timers are late by a few milliseconds, and what that costs would be lost with every request."""

    def __init__(self, *, slack: float = 0.005) -> None:
        self._slack = slack
        self._grants: deque[Grant] = deque()
        self._level = 0.0
        self._at = 0.0

    @property
    def debt(self) -> float:
        """Bits that were overdrawn, as of the last call."""
        return max(0.0, -self._level)

    def granted(self, now: float) -> float:
        """Bits that are granted from `now` on."""
        self._fill(now)
        return sum(Grant(max(now, g.start), g.until, g.rate).bits for g in self._grants)

    def granted_until(self, now: float) -> float:
        """When the last grant ends; `now` where there is none."""
        self._fill(now)
        return self._grants[-1].until if self._grants else now

    def grant(self, grant: Grant) -> None:
        """Grants come in the order of their starts and do not overlap."""
        if grant.bits > 0:
            self._grants.append(grant)

    def ready_at(self, now: float) -> float:
        """When the next take is allowed; math.inf where that takes a further grant."""
        self._fill(now)
        due = -self._level
        for grant in self._grants:
            start = max(now, grant.start)
            own = Grant(start, grant.until, grant.rate)
            if due <= 0 and own.bits > 0:
                return start
            if own.bits > due:
                return start + due / grant.rate
            due -= own.bits
        return math.inf

    def take(self, now: float, nbytes: int) -> None:
        """Count `nbytes` against what is granted. Asking `ready_at` before is the caller's part."""
        self._fill(now)
        self._level -= nbytes * 8

    def _fill(self, now: float) -> None:
        if now <= self._at:
            return
        while self._grants:
            grant = self._grants[0]
            own = Grant(max(self._at, grant.start), min(now, grant.until), grant.rate)
            # Debts are paid in full; savings stop at the slack.
            self._level = min(self._level + own.bits, max(self._level, grant.rate * self._slack))
            if grant.until > now:
                break
            self._grants.popleft()
            # The slack, too, ends with its grant: the next moment of the link is somebody else's.
            self._level = min(self._level, 0.0)
        self._at = now
