"""A whole haul in long strides.

Each link's capacity as its schedule has it, times the share that the scheduler makes of it. From one change
of anything to the next nothing is simulated; sans-I/O.

Sources that share a link divide it evenly, each up to what it can take (max-min fairness). Roles and terms
of links are those of a haul: a last resort carries while all others are down or closed, an overflow while
the deadline would be missed without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from skyhaul.forecast.link_in_time import RESORT_AFTER, Limit, LinkInTime, Overflow, SimulatedLink

HORIZON = 2 * 365 * 86400.0
"""Seconds after which a haul is not waited for: two years. Chosen, not measured."""

_ENOUGH = 0.5
"""Bytes below which a source has nothing left: floats do not add up to the last byte."""

_TELLING = (Limit.OUTAGES, Limit.CAP, Limit.HOURS, Limit.CONTACTS)
"""What a source is said to wait for where its links wait for several things: an outage ends by itself, and a
cap or hours are the user's to change, before the sky is."""


@dataclass(frozen=True, slots=True)
class SimulatedSource:
    """A source of a simulated haul."""

    name: str
    bytes: int
    """To fetch over the links."""
    shares: Mapping[str, float]
    """Link -> payload over the link's capacity, as the source reaches it alone."""
    overhead: float = 0.0
    """Seconds of start and end."""


@dataclass(slots=True)
class Simulated:
    """One seed's haul."""

    took: float = 0.0
    """Seconds until the last source is done, math.inf where one never is."""
    done: dict[str, float] = field(default_factory=dict)
    """By source."""
    payload: dict[str, float] = field(default_factory=dict)
    """Bytes by link."""
    cost: dict[str, float] = field(default_factory=dict)
    """By link, of those with a price."""
    left: float = 0.0
    """Bytes that never come."""
    spent: dict[str, dict[Limit, float]] = field(default_factory=dict)
    """Source -> what it waited for, in seconds."""
    steps: int = 0
    """How many strides it took."""


def simulate(
    sources: Sequence[SimulatedSource],
    links: Iterable[SimulatedLink],
    *,
    seed: int,
    epoch: float = 0.0,
    deadline: float | None = None,
) -> Simulated:
    """The haul of all `sources`, begun at `epoch` (Unix seconds), under one seed of the links' luck.

    Args:
        sources: What is to be hauled, each over its links.
        links: The links, with their terms.
        seed: Of the links' luck: equal seeds give equal hauls.
        epoch: When it begins, in Unix seconds.
        deadline: Seconds after the epoch; what overflow links are for."""
    state = {link.name: LinkInTime(link, seed, epoch) for link in links}
    left = {source.name: float(source.bytes) for source in sources}
    due = math.inf if deadline is None else epoch + deadline
    overflow = {source.name: Overflow(source.shares, state, due) for source in sources}
    simulated = Simulated(
        payload=dict.fromkeys(state, 0.0),
        spent={source.name: dict.fromkeys(Limit, 0.0) for source in sources},
    )
    at = 0.0
    while at < HORIZON:
        simulated.steps += 1
        active = [source for source in sources if left[source.name] > _ENOUGH]
        if not active:
            break
        used = {name: state[name] for source in active for name in source.shares}
        # Only links that an active source has: a link that nobody uses any more makes no strides.
        for link in used.values():
            link.look(at)
        carrying = {
            s.name: _carrying(s, used, at, overflow[s.name].needed(epoch + at, left[s.name])) for s in active
        }
        flows = _flows([source for source in active if at >= source.overhead], used, carrying)
        until = _next_change(at, active, used, flows, left)
        until = min([until] + [at + overflow[source.name].look_again(epoch + at) for source in active])
        if until >= HORIZON:
            break
        for source in active:
            left[source.name] -= _pass(
                simulated, source, used, flows, until - at, begun=at >= source.overhead
            )
            if left[source.name] <= _ENOUGH:
                simulated.done[source.name] = until
        for name, link in used.items():
            link.account.take(sum(flow for (_, via), flow in flows.items() if via == name) * (until - at))
        at = until
    simulated.left = sum(count for count in left.values() if count > _ENOUGH)
    for source in sources:
        simulated.done.setdefault(source.name, 0.0 if left[source.name] <= _ENOUGH else math.inf)
    simulated.took = max(simulated.done.values(), default=0.0)
    for name, link in state.items():
        if link.account.cost is not None:
            simulated.cost[name] = link.account.cost
    return simulated


def _carrying(
    source: SimulatedSource, links: Mapping[str, LinkInTime], at: float, needed: bool
) -> frozenset[str]:
    """The links that carry for the source now, by their roles.

    Args:
        source: The source.
        links: Link -> how it is now.
        at: Seconds since the epoch of the haul.
        needed: Of overflow links."""
    roles: dict[str, set[str]] = {"primary": set(), "overflow": set(), "last-resort": set()}
    for name in source.shares:
        roles[links[name].role].add(name)
    carrying = roles["primary"] | (roles["overflow"] if needed else set())
    if all(links[name].is_down(at) for name in carrying):
        carrying = carrying | roles["last-resort"]
    return frozenset(carrying)


def _next_change(
    at: float,
    active: Sequence[SimulatedSource],
    links: Mapping[str, LinkInTime],
    flows: Mapping[tuple[str, str], float],
    left: Mapping[str, float],
) -> float:
    """The moment until which everything goes on as it does at `at`."""
    until = HORIZON
    for name, link in links.items():
        until = min(until, link.until)
        # A last resort comes in then, though nothing about the links themselves changes.
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
    # At least one float further, or a change that rounds to now would be found for ever.
    return until if until > at else math.nextafter(at, math.inf)


def _flows(
    active: Sequence[SimulatedSource], links: Mapping[str, LinkInTime], carrying: Mapping[str, frozenset[str]]
) -> dict[tuple[str, str], float]:
    """(source, link) -> bytes of payload per second."""
    flows: dict[tuple[str, str], float] = {}
    for name, link in links.items():
        if not link.rate:
            continue
        wants = sorted(
            (source.shares[name], source.name) for source in active if name in carrying[source.name]
        )
        # Max-min: the most that one source reaches alone is what the scheduler makes of the link; those that
        # want least are served first, and what they leave goes to the others.
        free = max((share for share, _ in wants), default=0.0)
        for index, (share, source_name) in enumerate(wants):
            given = min(share, free / (len(wants) - index))
            free -= given
            flows[source_name, name] = given * link.rate
    return flows


def _pass(
    simulated: Simulated,
    source: SimulatedSource,
    links: Mapping[str, LinkInTime],
    flows: Mapping[tuple[str, str], float],
    seconds: float,
    *,
    begun: bool,
) -> float:
    """Let `seconds` pass for one source; return the bytes that arrive meanwhile."""
    spent = simulated.spent[source.name]
    if not begun:
        spent[Limit.ROUND_TRIPS] += seconds
        return 0.0
    arrived, could, alone = 0.0, 0.0, 0.0
    for name in source.shares:
        flow = flows.get((source.name, name), 0.0)
        simulated.payload[name] += flow * seconds
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
    """The reason that is told of several links that carry nothing.

    What an open one waits for says more than that others are closed.
    """
    found = set(whys)
    return next((why for why in _TELLING if why in found), Limit.OUTAGES)
