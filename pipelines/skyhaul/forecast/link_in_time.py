"""A link at a moment of a forecast.

Whether it carries, at which rate, until when, and what is in the way. Sans-I/O.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from skyhaul.forecast.account import Account
from skyhaul_connectors.links.contract.deadline import LinkOutlook, OverflowDecision, capacity
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.profile.indexed_random import seed_for
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.profile.schedule import Phase, Schedule
from skyhaul_schemas.job.link_terms import Role

PLAIN_TERMS = LinkTerms("")
"""The terms of a link for which the job file states none."""

RESORT_AFTER = 10.0
"""Seconds of an outage after which a last resort is used: those of a haul, where patience is not shorter
still (`skyhaul_connectors.transfer.schedule.link_roles`)."""

_TRACE_STEP = 1.0
"""Seconds over which a trace's rate is averaged: it may change with every packet, and a stride for each would
be a simulation of packets. Chosen, not measured."""


class Limit(enum.Enum):
    """What a source waits for; `spent` says for how long."""

    RATE = "link rate"
    ROUND_TRIPS = "round trips"
    CONTACTS = "contacts"
    OUTAGES = "outages"
    OTHERS = "other sources"
    CAP = "cap"
    HOURS = "hours"


@dataclass(frozen=True, slots=True)
class SimulatedLink:
    """A link of a simulated haul."""

    name: str
    profile: LinkProfile
    """As its capacity is reckoned with (`averaged`)."""
    outage_lost: float = 0.0
    """Seconds that each outage costs after it is over."""
    contact_lost: float = 0.0
    """Seconds that each gap between contacts costs after it is over."""
    terms: LinkTerms = PLAIN_TERMS
    used: int = 0
    """Bytes that count towards the cap before the haul begins."""
    wire: float = 1.0
    """Bytes that count for each byte of payload."""


class LinkInTime:
    """A link at a moment: whether it carries anything, at which rate, and until when that holds."""

    def __init__(self, link: SimulatedLink, seed: int, epoch: float) -> None:
        self.link = link
        self.role: Role = link.terms.role
        self.physical = link.profile.segment / link.profile.mtu * (1 - link.profile.loss)
        self.why: Limit | None = None
        self.rate = 0.0
        self.until = 0.0
        self.down_since: float | None = None
        self.account = Account(link.terms, used=link.used, wire=link.wire)
        self._epoch = epoch
        self._schedule = Schedule(link.profile, seed_for(seed, link.name), epoch)
        self._blind_until = 0.0
        self._was = Phase.UP

    def look(self, at: float) -> None:
        """Move on to the moment `at`.

        Then `rate` has the bytes of IP per second from `at` to `until`, and `why` what is in the way if that
        is 0.
        """
        if at >= self.until:
            self._look(at)
        if self.why is None and self.account.spent:
            self.rate, self.why = 0.0, Limit.CAP

    def prospect(self, share: float) -> LinkOutlook:
        """The link as a haul's own forecast sees it, for a source that reaches `share` of its capacity."""
        rate = self.link.profile.down * share
        return LinkOutlook(rate, self.link.terms, self._schedule.plan, self._epoch, self.room())

    def room(self) -> float:
        """Bytes of payload that the link may carry before it has to be looked at."""
        return self.account.room()

    def _look(self, at: float) -> None:
        self.rate, self.why = 0.0, None
        piece = self._schedule.piece(at)
        self.until = piece.until
        account = self.account
        if self._epoch + at >= account.until:
            account.look(self._epoch + at)
        allowed = account.rate
        self.until = min(self.until, max(account.until - self._epoch, math.nextafter(at, math.inf)))
        closed = Phase.CLOSED if not allowed else piece.phase
        if closed is not Phase.UP:
            # The longest kind of interruption tells what getting over it costs.
            self._was = Phase.CLOSED if Phase.CLOSED in (self._was, closed) else Phase.DOWN
            self.why = Limit.OUTAGES
            if closed is Phase.CLOSED:
                self.why = Limit.CONTACTS if piece.phase is Phase.CLOSED else Limit.HOURS
            self.down_since = at if self.down_since is None else self.down_since
            return
        # What a rehearsal lost beyond the interruption itself (`Recovery`) is lost behind it, as a time in
        # which nothing comes.
        if self._was is not Phase.UP:
            lost = self.link.contact_lost if self._was is Phase.CLOSED else self.link.outage_lost
            self._blind_until = at + lost
            self._was = Phase.UP
        if at < self._blind_until:
            self.why, self.until = Limit.OUTAGES, min(self.until, self._blind_until)
            return
        self.down_since = None
        trace = self.link.profile.trace
        if piece.trace_share and trace is not None:
            self.until = min(self.until, at + _TRACE_STEP)
            passed = trace.bytes_by(self.until) - trace.bytes_by(at)
            self.rate = passed * piece.trace_share / (self.until - at)
        else:
            self.rate = piece.down / 8
        self.rate = min(self.rate, allowed)

    def is_down(self, at: float) -> bool:
        """Whether a last resort counts it as down: what is closed at once, an outage after a while."""
        if self.why is None:
            return False
        if self.why is not Limit.OUTAGES:
            return True
        return self.down_since is not None and at - self.down_since >= RESORT_AFTER


class Overflow:
    """Whether a source needs its overflow links, as a haul decides it."""

    def __init__(self, shares: Mapping[str, float], links: Mapping[str, LinkInTime], due: float) -> None:
        own = [(links[name], share) for name, share in shares.items()]
        self._primary = [(link, share) for link, share in own if link.role == "primary"]
        self._any = any(link.role == "overflow" for link, _ in own)
        self._due = due
        self._help = OverflowDecision()

    def needed(self, now: float, left: float) -> bool:
        """At `now` (Unix seconds), with that many bytes left."""
        if not self._any or self._due == math.inf:
            return False
        carried = capacity([link.prospect(share) for link, share in self._primary], now, self._due)
        return self._help.look(carried, left)

    def look_again(self, at: float) -> float:
        """Seconds after which to ask anew."""
        # Finer as the deadline comes near, and no finer than a second. Chosen, not measured.
        return max(1.0, (self._due - at) / 200) if self._any and at < self._due < math.inf else math.inf
