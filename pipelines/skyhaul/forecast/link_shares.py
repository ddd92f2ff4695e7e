"""What the scheduler makes of a source's links, found by rehearsals.

Its share of each link's capacity, what start and end of a haul cost beyond that, and what each interruption
does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from skyhaul.forecast.capacity import (
    averaged,
    calm,
    carried,
    is_interrupted_often,
    with_contacts,
    with_outages,
)
from skyhaul.forecast.feeding import cut_to
from skyhaul.forecast.rehearsal import TICK, Rehearsed, Sample, rehearse
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.transfer.schedule.pace import MAX_CONNECTIONS

LARGEST_SAMPLE = 256 * 1024 * 1024
"""Bytes of one rehearsal at most: a rehearsal runs the real scheduler, whose work grows with the bytes.
Forecasts made so came to 0.984 to 0.995 of hauls in real time (`python benchmarks/bench_estimate.py`,
docs/estimate.md); other sizes were not measured."""

_LONGEST = 3600.0
"""Seconds of virtual time after which a rehearsal ends as it is. Chosen, not measured."""

_FROM, _TO = 0.3, 0.85
"""Of a rehearsal's bytes: the stretch in which it is neither starting nor ending. What lies outside of it is
counted as overhead, once for a whole haul. Chosen, not measured by itself: strides come within 5 % of
rehearsals of the whole (`tests/forecast/test_rehearsal.py`)."""


@dataclass(frozen=True, slots=True)
class LinkShares:
    """What one source makes of its links."""

    shares: Mapping[str, float]
    """Link -> payload over capacity (headers included) while all goes well."""
    overhead: float
    """Seconds that start and end cost beyond that."""
    wire: Mapping[str, float]
    """Bytes on the wire over payload."""
    resent: Mapping[str, float]
    connections: int
    """The most that were open."""
    spool_full: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds of a link's capacity that are lost beyond each interruption itself."""

    outage: float = 0.0
    contact: float = 0.0


def sample_seconds(profiles: Mapping[str, LinkProfile]) -> float:
    """How long a rehearsal over these links should be: long against their round trips."""
    # Ramps and requests are counted in round trips: 40 of the longest one, between 20 and 60 s.
    longest = max(profile.rtt + profile.jitter for profile in profiles.values())
    return 20.0 + min(40.0, 40 * longest)


def sample_bytes(profiles: Mapping[str, LinkProfile]) -> int:
    """Bytes of a rehearsal over these links."""
    rate = sum(profile.payload_rate for profile in profiles.values()) / 8
    return max(1, min(LARGEST_SAMPLE, int(rate * sample_seconds(profiles))))


def measure_shares(
    sample: Sample, profiles: Mapping[str, LinkProfile], *, seed: int, spool_limit: int
) -> LinkShares:
    """Rehearse `sample` over the calm links."""
    within = sample_seconds(profiles)
    quiet = {name: calm(profile, within) for name, profile in profiles.items()}
    rehearsed = rehearse(sample, quiet, seed=seed, spool_limit=spool_limit, limit=_LONGEST)
    reckoned = {name: averaged(profile, within, 0.0) for name, profile in quiet.items()}
    return _shares_of(rehearsed, reckoned, seed)


def joined(reached_by: Iterable[LinkShares]) -> LinkShares:
    """Of links of several roles, which do not carry side by side as a rule: start and end are the first's."""
    first, *others = reached_by
    parts = (first, *others)
    return LinkShares(
        {name: share for part in parts for name, share in part.shares.items()},
        first.overhead,
        {name: wire for part in parts for name, wire in part.wire.items()},
        {name: resent for part in parts for name, resent in part.resent.items()},
        max(part.connections for part in parts),
        any(part.spool_full for part in parts),
    )


def measure_with_most_connections(
    sample: Sample, profiles: Mapping[str, LinkProfile], *, seed: int, spool_limit: int
) -> LinkShares:
    """As `measure_shares`, if the source's `max_connections` as many as the scheduler ever opens."""
    free = Sample(sample.source, sample.shards, MAX_CONNECTIONS, sample.secure)
    return measure_shares(free, profiles, seed=seed, spool_limit=spool_limit)


def recover(sample: Sample, name: str, profile: LinkProfile, *, seed: int, spool_limit: int) -> Recovery:
    """What interruptions of one link cost, found by rehearsing a few as long as the profile's."""
    within = sample_seconds({name: profile})
    quiet = calm(profile, within)
    outages, gaps = outage_lengths(profile, within), contact_gaps(profile)
    if not outages and not gaps:
        return Recovery()
    # Long enough to have ramped up before the next interruption comes.
    first = apart = 5.0 + 8 * (quiet.rtt + quiet.jitter)
    count = int(quiet.payload_rate / 8 * (first + 3.5 * apart))
    short = Sample(
        sample.source,
        cut_to(iter(sample.shards), min(count, LARGEST_SAMPLE), 1 << 30),
        sample.max_connections,
        sample.secure,
    )
    undisturbed = rehearse(short, {name: quiet}, seed=seed, spool_limit=spool_limit, limit=_LONGEST)
    lost = {"outage": 0.0, "contact": 0.0}
    for kind, lengths, disturb in (
        ("outage", outages, with_outages),
        ("contact", gaps, with_contacts),
    ):
        if not lengths:
            continue
        disturbed = disturb(quiet, first, apart, lengths)
        met = rehearse(short, {name: disturbed}, seed=seed, spool_limit=spool_limit, limit=_LONGEST)
        at, count_met, down = first, 0, 0.0
        # Only those that came before the sample was through.
        for length in lengths:
            if at < met.took:
                count_met, down = count_met + 1, down + length
            at += length + apart
        if count_met:
            lost[kind] = max(0.0, (met.took - down - undisturbed.took) / count_met)
    return Recovery(**lost)


def outage_lengths(profile: LinkProfile, within: float) -> list[float]:
    """Seconds of three outages such as the link has; none where it has none."""
    lengths: list[float] = [length for _, length in profile.outages]
    for episodes in profile.episodes:
        if episodes.is_outage:
            lengths += [episodes.lasts.at(share) for share in (0.25, 0.5, 0.75)]
    if profile.handover_gap and not is_interrupted_often(profile, within):
        lengths.append(profile.handover_gap)
    return _three(lengths)


def contact_gaps(profile: LinkProfile) -> list[float]:
    """Seconds of three gaps between contacts; none without a contact plan.

    Longer ones than a minute are like one of a minute."""
    if profile.contacts is None:
        return []
    ordered = sorted(profile.contacts.contacts, key=lambda contact: contact.start)
    gaps = [b.start - a.end for a, b in itertools.pairwise(ordered) if b.start > a.end]
    return _three([min(60.0, gap) for gap in gaps] or [60.0])


def _three(lengths: list[float]) -> list[float]:
    if not lengths:
        return []
    ordered = sorted(lengths)
    # The middle one first: a short sample may be through before the others come.
    return [ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.25, 0.75)]


def _shares_of(rehearsed: Rehearsed, profiles: Mapping[str, LinkProfile], seed: int) -> LinkShares:
    links = rehearsed.links
    total = [sum(marks) for marks in zip(*(track.arrived for track in links.values()), strict=True)]
    all_in = total[-1]
    start = next(i for i, count in enumerate(total) if count >= _FROM * all_in)
    end = max(i for i, count in enumerate(total) if count <= _TO * all_in)
    # A sample that is through in a few ticks has no middle to speak of: all of it counts, start and end too.
    if end - start < 10 or total[end] - total[start] < 0.25 * all_in:
        start, end = 0, len(total) - 1
    shares: dict[str, float] = {}
    expected = 0.0
    for name, track in links.items():
        took = carried(name, profiles[name], seed, start * TICK, end * TICK)
        shares[name] = (track.arrived[end] - track.arrived[start]) / took if took else 0.0
        expected += shares[name] * carried(name, profiles[name], seed, 0.0, rehearsed.took)
    overhead = rehearsed.took * (1 - all_in / expected) if expected else 0.0
    return LinkShares(
        shares,
        max(0.0, overhead) if math.isfinite(overhead) else 0.0,
        {name: track.wire / track.payload if track.payload else 1.0 for name, track in links.items()},
        {name: track.resent / track.payload if track.payload else 0.0 for name, track in links.items()},
        rehearsed.connections,
        rehearsed.spool_full,
    )
