"""A whole haul in long strides: each link's capacity as its schedule has it, times the share that the
scheduler makes of it. From one change of anything to the next nothing is simulated; sans-I/O.

Sources that share a link divide it evenly, each up to what it can take (max-min fairness).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from skyhaul_connectors.links.dice import seed_for
from skyhaul_connectors.links.profile import LinkProfile
from skyhaul_connectors.links.schedule import Phase, Schedule

HORIZON = 2 * 365 * 86400.0
"""Seconds after which a haul is not waited for."""

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


@dataclass(frozen=True, slots=True)
class RolledLink:
    """profile: as its capacity is reckoned with. outage_lost, contact_lost: seconds that each interruption
    costs when it is over."""

    name: str
    profile: LinkProfile
    outage_lost: float = 0.0
    contact_lost: float = 0.0


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
    done: by source. payload: bytes by link. left: bytes that never come. spent: source -> what it waited
    for, in seconds. steps: how many strides it took."""

    took: float = 0.0
    done: dict[str, float] = field(default_factory=dict)
    payload: dict[str, float] = field(default_factory=dict)
    left: float = 0.0
    spent: dict[str, dict[Limit, float]] = field(default_factory=dict)
    steps: int = 0


class _Link:
    """A link at a moment: whether it carries anything, at which rate, and until when that holds."""

    def __init__(self, link: RolledLink, seed: int, epoch: float) -> None:
        self.link = link
        self.schedule = Schedule(link.profile, seed_for(seed, link.name), epoch)
        self.physical = link.profile.segment / link.profile.mtu * (1 - link.profile.loss)
        self.phase = Phase.UP
        self.rate = 0.0
        self.until = 0.0
        self._blind_until = 0.0
        self._was = Phase.UP

    def look(self, at: float) -> None:
        """`rate`: bytes of IP per second from `at` to `until`."""
        piece = self.schedule.piece(at)
        self.phase, self.until, self.rate = piece.phase, piece.until, 0.0
        if piece.phase is not Phase.UP:
            # The longest kind of interruption tells what getting over it costs.
            self._was = Phase.CLOSED if Phase.CLOSED in (self._was, piece.phase) else Phase.DOWN
            return
        if self._was is not Phase.UP:
            lost = self.link.contact_lost if self._was is Phase.CLOSED else self.link.outage_lost
            self._blind_until = at + lost
            self._was = Phase.UP
        if at < self._blind_until:
            self.phase, self.until = Phase.DOWN, min(self.until, self._blind_until)
            return
        trace = self.link.profile.trace
        if piece.trace_share and trace is not None:
            self.until = min(self.until, at + _TRACE_STEP)
            passed = trace.bytes_by(self.until) - trace.bytes_by(at)
            self.rate = passed * piece.trace_share / (self.until - at)
        else:
            self.rate = piece.down / 8


def roll(
    sources: Sequence[RolledSource], links: Iterable[RolledLink], *, seed: int, epoch: float = 0.0
) -> Rolled:
    """The haul of all `sources`, begun at `epoch` (Unix seconds), under one seed of the links' luck."""
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
            if at >= link.until:
                link.look(at)
        begun = [source for source in active if at >= source.overhead]
        flows = _flows(begun, used)
        until = min([link.until for link in used.values()] + [HORIZON])
        for source in active:
            if at < source.overhead:
                until = min(until, source.overhead)
            rate = sum(flows.get((source.name, name), 0.0) for name in source.shares)
            if rate > 0:
                until = min(until, at + left[source.name] / rate)
        if until <= at:
            until = math.nextafter(at, math.inf)
        if until >= HORIZON:
            break
        for source in active:
            left[source.name] -= _pass(rolled, source, used, flows, until - at, begun=at >= source.overhead)
            if left[source.name] <= _ENOUGH:
                rolled.done[source.name] = until
        at = until
    rolled.left = sum(count for count in left.values() if count > _ENOUGH)
    for source in sources:
        rolled.done.setdefault(source.name, 0.0 if left[source.name] <= _ENOUGH else math.inf)
    rolled.took = max(rolled.done.values(), default=0.0)
    return rolled


def _flows(active: Sequence[RolledSource], links: Mapping[str, _Link]) -> dict[tuple[str, str], float]:
    """(source, link) -> bytes of payload per second."""
    flows: dict[tuple[str, str], float] = {}
    for name, link in links.items():
        if not link.rate:
            continue
        wants = sorted((source.shares[name], source.name) for source in active if name in source.shares)
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
        could += links[name].rate * links[name].physical
        alone += links[name].rate * source.shares[name]
    if could:
        spent[Limit.RATE] += seconds * min(1.0, arrived / could)
        spent[Limit.OTHERS] += seconds * max(0.0, alone - arrived) / could
        spent[Limit.ROUND_TRIPS] += seconds * max(0.0, could - max(arrived, alone)) / could
    else:
        closed = all(links[name].phase is Phase.CLOSED for name in source.shares)
        spent[Limit.CONTACTS if closed else Limit.OUTAGES] += seconds
    return arrived * seconds
