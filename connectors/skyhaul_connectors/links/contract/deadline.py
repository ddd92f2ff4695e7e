"""Whether a deadline will be met: what links can still carry until then, against what is left. Sans-I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.profile.contacts import ContactPlan

MARGIN = 1.15
"""What must be carried beyond what is left before help that was called in is sent away: 15 % of hysteresis,
so that a rate that wavers does not switch a paid link on and off. Chosen, not measured."""

_MEMORY = 10.0
"""Seconds over which an observed rate is averaged (the time constant of an exponential mean). Chosen, not
measured."""


class ObservedRate:
    """The payload rate of one link while it is open and has work, in bit/s.

    Until something was observed it is what the job file says of it, or unknown.

    Args:
        stated: What the job file says, in bit/s; None: nothing."""

    def __init__(self, stated: float | None) -> None:
        self.rate = stated
        self._at: float | None = None

    def saw(self, now: float, rate: float, *, working: bool) -> None:
        """`rate` over the last second; counts only where the link was `working`."""
        # The weight of an observation grows with the time since the last one, so that the mean does not
        # depend on how often somebody looks. After a pause the first look only starts the clock.
        if working and self._at is not None:
            share = 1 - math.exp(-(now - self._at) / _MEMORY)
            self.rate = rate if self.rate is None else self.rate + share * (rate - self.rate)
        self._at = now if working else None


@dataclass(frozen=True, slots=True)
class LinkOutlook:
    """One link as the forecast sees it.

    Attributes:
        rate: bit/s of payload; None: not known yet.
        terms: Its hours and rates.
        plan: Its contacts, in seconds since `epoch`; None: always open.
        epoch: Unix seconds of the plan's second 0.
        room: Bytes that its cap leaves; math.inf without one.
    """

    rate: float | None
    terms: LinkTerms
    plan: ContactPlan | None
    epoch: float
    room: float = math.inf


def capacity(links: Iterable[LinkOutlook], now: float, due: float) -> float | None:
    """Bytes that the links carry from `now` to `due` (Unix seconds); None where a rate is not known yet.

    None is no 0: before anything was seen no paid link is called in."""
    total = 0.0
    for link in links:
        if link.rate is None:
            return None
        total += min(link.room, _carried(link, now, due) / 8)
    return total


def _carried(link: LinkOutlook, now: float, due: float) -> float:
    """Bits, as contacts and timetable let them through."""
    bits = 0.0
    at = now
    assert link.rate is not None
    while at < due:
        end = min(due, link.terms.next_rate_change(at))
        open_now = True
        if link.plan is not None:
            open_now = link.plan.state(at - link.epoch) is not None
            end = min(end, link.plan.next_change(at - link.epoch) + link.epoch)
        timed = link.terms.rate(at)
        # A change may be due at `at` itself, after rounding between the two epochs: time must go on.
        end = max(end, at + 1e-3)
        if open_now:
            bits += (min(end, due) - at) * min(link.rate, math.inf if timed is None else timed)
        at = end
    return bits


class OverflowDecision:
    """Whether overflow links are needed, with hysteresis.

    They are called in when the deadline would be missed, and sent away when it would be met without them with
    a margin."""

    def __init__(self) -> None:
        self.needed = False

    def look(self, capacity: float | None, left: float) -> bool:
        """Decide anew.

        Args:
            capacity: Bytes that the primary links carry until the deadline; None: not known, and the decision
                stays.
            left: Bytes to be carried."""
        if capacity is not None:
            self.needed = left > 0 and capacity < left * (MARGIN if self.needed else 1.0)
        return self.needed
