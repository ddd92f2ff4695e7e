"""A whole haul in long strides: each link's capacity as its schedule has it, times the share that the
scheduler makes of it. From one change of anything to the next nothing is simulated; sans-I/O.

Sources that share a link divide it evenly, each up to what it can take (max-min fairness). Roles and terms
of links are those of a haul: a last resort carries while all others are down or closed, an overflow while
the deadline would be missed without it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from skyhaul.forecast.account import Account
from skyhaul_connectors.links.dice import seed_for
from skyhaul_connectors.links.profile import LinkProfile
from skyhaul_connectors.links.schedule import Phase, Schedule
from skyhaul_connectors.links.terms import LinkTerms
from skyhaul_schemas.linkterms import Role

HORIZON = 2 * 365 * 86400.0
"""Seconds after which a haul is not waited for."""

RESORT_AFTER = 10.0
"""Seconds of an outage after which a last resort is used."""

_TRACE_STEP = 1.0
_ENOUGH = 0.5
"""Bytes below which a source has nothing left: floats do not add up to the last byte."""


class Limit(enum.Enum):
    """What a source waits for; `spent` says for how long."""

    RATE = "link rate"
    ROUND_TRIPS = "round trips"
    CONTACTS = "contacts"
    OUTAGES = "outages"
    OTHERS = "other sources"
    CAP = "cap"
    HOURS = "hours"


_TELLING = (Limit.OUTAGES, Limit.CAP, Limit.HOURS, Limit.CONTACTS)


@dataclass(frozen=True, slots=True)
class RolledLink:
    """profile: as its capacity is reckoned with. outage_lost, contact_lost: seconds that each interruption
    costs when it is over. used: bytes that count towards the cap already; wire: bytes that count for each
    of payload."""

    name: str
    profile: LinkProfile
    outage_lost: float = 0.0
    contact_lost: float = 0.0
    terms: LinkTerms | None = None
    used: int = 0
    wire: float = 1.0


@dataclass(frozen=True, slots=True)
class RolledSource:
    """bytes to fetch; shares: link -> payload over the link's capacity that it reaches alone; overhead:
    seconds of start and end."""

    name: str
    bytes: int
    shares: Mapping[str, float]
    overhead: float = 0.0


@dataclass(slots=True)
class Rolled:
    """One seed's haul. took: seconds until the last source is done, math.inf where one never is.
    done: by source. payload: bytes by link; cost: of links with a price. left: bytes that never come.
    spent: source -> what it waited for, in seconds. steps: how many strides it took."""

    took: float = 0.0
    done: dict[str, float] = field(default_factory=dict)
    payload: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    left: float = 0.0
    spent: dict[str, dict[Limit, float]] = field(default_factory=dict)
    steps: int = 0


class _Link:
    """A link at a moment: whether it carries anything, at which rate, and until when that holds."""

    def __init__(self, link: RolledLink, seed: int, epoch: float) -> None:
        self.link = link
        self.role: Role = link.terms.role if link.terms is not None else "primary"
        self.physical = link.profile.segment / link.profile.mtu * (1 - link.profile.loss)
        self.why: Limit | None = None
        self.rate = 0.0
        self.until = 0.0
        self.down_since: float | None = None
        self.account = Account(link.terms, used=link.used, wire=link.wire) if link.terms is not None else None
        self._epoch = epoch
        self._schedule = Schedule(link.profile, seed_for(seed, link.name), epoch)
        self._blind_until = 0.0
        self._was = Phase.UP

    def look(self, at: float) -> None:
        """`rate`: bytes of IP per second from `at` to `until`; `why`: what is in the way where it is 0."""
        if at >= self.until:
            self._look(at)
        account = self.account
        if account is not None and self.why is None and account.spent:
            self.rate, self.why = 0.0, Limit.CAP

    def room(self) -> float:
        """Bytes of payload that the link may carry before it has to be looked at."""
        return math.inf if self.account is None else self.account.room()

    def _look(self, at: float) -> None:
        self.rate, self.why = 0.0, None
        piece = self._schedule.piece(at)
        self.until = piece.until
        allowed = math.inf
        account = self.account
        if account is not None:
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


def roll(
    sources: Sequence[RolledSource],
    links: Iterable[RolledLink],
    *,
    seed: int,
    epoch: float = 0.0,
    deadline: float | None = None,
) -> Rolled:
    """The haul of all `sources`, begun at `epoch` (Unix seconds), under one seed of the links' luck.
    deadline: seconds after the epoch; what overflow links are for."""
    state = {link.name: _Link(link, seed, epoch) for link in links}
    left = {source.name: float(source.bytes) for source in sources}
    rolled = Rolled(
        payload=dict.fromkeys(state, 0.0),
        spent={source.name: dict.fromkeys(Limit, 0.0) for source in sources},
    )
    at = 0.0
    while at < HORIZON:
        rolled.steps += 1
        active = [source for source in sources if left[source.name] > _ENOUGH]
        if not active:
            break
        used = {name: state[name] for source in active for name in source.shares}
        for link in used.values():
            link.look(at)
        carrying = {
            source.name: _carrying(source, used, at, left[source.name], deadline) for source in active
        }
        flows = _flows([source for source in active if at >= source.overhead], used, carrying)
        until = _next_change(at, active, used, flows, left)
        if until >= HORIZON:
            break
        for source in active:
            left[source.name] -= _pass(rolled, source, used, flows, until - at, begun=at >= source.overhead)
            if left[source.name] <= _ENOUGH:
                rolled.done[source.name] = until
        for name, link in used.items():
            if link.account is not None:
                link.account.take(sum(flow for (_, via), flow in flows.items() if via == name) * (until - at))
        at = until
    rolled.left = sum(count for count in left.values() if count > _ENOUGH)
    for source in sources:
        rolled.done.setdefault(source.name, 0.0 if left[source.name] <= _ENOUGH else math.inf)
    rolled.took = max(rolled.done.values(), default=0.0)
    for name, link in state.items():
        cost = link.account.cost if link.account is not None else None
        if cost is not None:
            rolled.cost[name] = cost
    return rolled


def _carrying(
    source: RolledSource, links: Mapping[str, _Link], at: float, left: float, deadline: float | None
) -> frozenset[str]:
    """The links that carry for the source now, by their roles."""
    roles: dict[str, set[str]] = {"primary": set(), "overflow": set(), "last-resort": set()}
    for name in source.shares:
        roles[links[name].role].add(name)
    carrying = roles["primary"]
    if roles["overflow"] and deadline is not None:
        rate = sum(links[name].link.profile.down / 8 * source.shares[name] for name in carrying)
        if at + (left / rate if rate else math.inf) > deadline:
            carrying = carrying | roles["overflow"]
    if all(links[name].is_down(at) for name in carrying):
        carrying = carrying | roles["last-resort"]
    return frozenset(carrying)


def _next_change(
    at: float,
    active: Sequence[RolledSource],
    links: Mapping[str, _Link],
    flows: Mapping[tuple[str, str], float],
    left: Mapping[str, float],
) -> float:
    """Until when everything goes on as it does at `at`."""
    until = HORIZON
    for name, link in links.items():
        until = min(until, link.until)
        if link.down_since is not None and link.down_since + RESORT_AFTER > at:
            until = min(until, link.down_since + RESORT_AFTER)
        flow = sum(flow for (_, via), flow in flows.items() if via == name)
        if flow and link.room() < math.inf:
            until = min(until, at + link.room() / flow)
    for source in active:
        if at < source.overhead:
            until = min(until, source.overhead)
        rate = sum(flows.get((source.name, name), 0.0) for name in source.shares)
        if rate > 0:
            until = min(until, at + left[source.name] / rate)
    return until if until > at else math.nextafter(at, math.inf)


def _flows(
    active: Sequence[RolledSource], links: Mapping[str, _Link], carrying: Mapping[str, frozenset[str]]
) -> dict[tuple[str, str], float]:
    """(source, link) -> bytes of payload per second."""
    flows: dict[tuple[str, str], float] = {}
    for name, link in links.items():
        if not link.rate:
            continue
        wants = sorted(
            (source.shares[name], source.name) for source in active if name in carrying[source.name]
        )
        free = max((share for share, _ in wants), default=0.0)
        for index, (share, source_name) in enumerate(wants):
            given = min(share, free / (len(wants) - index))
            free -= given
            flows[source_name, name] = given * link.rate
    return flows


def _pass(
    rolled: Rolled,
    source: RolledSource,
    links: Mapping[str, _Link],
    flows: Mapping[tuple[str, str], float],
    seconds: float,
    *,
    begun: bool,
) -> float:
    """Let `seconds` pass for one source: the bytes that arrive meanwhile."""
    spent = rolled.spent[source.name]
    if not begun:
        spent[Limit.ROUND_TRIPS] += seconds
        return 0.0
    arrived, could, alone = 0.0, 0.0, 0.0
    for name in source.shares:
        flow = flows.get((source.name, name), 0.0)
        rolled.payload[name] += flow * seconds
        arrived += flow
        if not flow:
            continue
        could += links[name].rate * max(links[name].physical, source.shares[name])
        alone += links[name].rate * source.shares[name]
    if could:
        spent[Limit.RATE] += seconds * arrived / could
        spent[Limit.OTHERS] += seconds * (alone - arrived) / could
        spent[Limit.ROUND_TRIPS] += seconds * (could - alone) / could
    else:
        spent[_reason(links[name].why for name in source.shares)] += seconds
    return arrived * seconds


def _reason(whys: Iterable[Limit | None]) -> Limit:
    """Of several links that carry nothing, what an open one waits for says more than that others are
    closed."""
    found = set(whys)
    return next((why for why in _TELLING if why in found), Limit.OUTAGES)
