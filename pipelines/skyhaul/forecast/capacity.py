"""What a link carries over stretches of time: its rate, integrated. Bytes of IP, seconds."""

from __future__ import annotations

import dataclasses

from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.indexed_random import seed_for
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.profile.schedule import Phase, Schedule

_SHORTEST_VARIATION = 600.0
"""Seconds of a haul from which on the mean of a rate that is drawn anew all the time stands for its single
draws. Chosen, not measured."""


def carried(name: str, profile: LinkProfile, seed: int, start: float, end: float) -> float:
    """Bytes that link `name` could carry in [start, end), headers included."""
    schedule = Schedule(profile, seed_for(seed, name), 0.0)
    total, at = 0.0, start
    # Exact: between two changes of its schedule a link's rate is constant, but for a trace, which adds itself
    # up.
    while at < end:
        piece = schedule.piece(at)
        until = min(end, piece.until)
        if piece.phase is Phase.UP:
            if piece.trace_share and profile.trace is not None:
                passed = profile.trace.bytes_by(until) - profile.trace.bytes_by(at)
                total += passed * piece.trace_share
            else:
                total += piece.down / 8 * (until - at)
        at = until
    return total


def is_interrupted_often(profile: LinkProfile, within: float) -> bool:
    """Whether a few of its handovers fall into `within` seconds.

    A rehearsal of that length then tells what they cost."""
    return profile.handover_every > 0 and profile.handover_every <= within / 4


def calm(profile: LinkProfile, within: float) -> LinkProfile:
    """The link without interruptions, as it is within a contact; handovers that come often stay."""
    changes: dict[str, object] = {
        "outages": (),
        "episodes": (),
        "contacts": None,
    }
    if not is_interrupted_often(profile, within):
        changes |= {"handover_gap": 0.0}
    contact = main_contact(profile)
    if contact is not None and contact.rate is not None:
        changes |= {"down": contact.rate, "up": min(profile.up, contact.rate), "trace": None}
    if contact is not None and contact.delay is not None:
        changes |= {"rtt": max(profile.rtt, 2 * contact.delay)}
    return profile.with_(**changes)


def main_contact(profile: LinkProfile) -> Contact | None:
    """The contact that lasts longest: what holds in it is taken for what holds in all."""
    if profile.contacts is None or not profile.contacts.contacts:
        return None
    return max(profile.contacts.contacts, key=lambda contact: contact.end - contact.start)


def with_outages(profile: LinkProfile, first: float, apart: float, lengths: list[float]) -> LinkProfile:
    """A calm link that goes down `lengths[i]` seconds long, `apart` seconds after it came back."""
    outages: list[tuple[float, float]] = []
    at = first
    for length in lengths:
        outages.append((at, length))
        at += length + apart
    return profile.with_(outages=tuple(outages))


def with_contacts(profile: LinkProfile, first: float, apart: float, gaps: list[float]) -> LinkProfile:
    """A calm link whose contact ends after `first` seconds; each later one lasts `apart`."""
    contacts: list[Contact] = [Contact(0.0, first)]
    at = first
    for gap in gaps:
        contacts.append(Contact(at + gap, at + gap + apart))
        at += gap + apart
    last = contacts[-1]
    contacts[-1] = dataclasses.replace(last, end=1e9)
    return profile.with_(contacts=ContactTable(tuple(contacts)))


def averaged(profile: LinkProfile, within: float, seconds: float) -> LinkProfile:
    """The link whose capacity a forecast reckons with.

    It has no gaps of handovers that come often: their cost is in the share that a rehearsal of `within`
    seconds reaches. For a haul of about `seconds` that is long, a rate that is drawn anew all the time is its
    mean.
    """
    changes: dict[str, object] = {}
    if is_interrupted_often(profile, within):
        changes |= {"handover_gap": 0.0}
    if profile.rate_quantiles is not None and seconds > _SHORTEST_VARIATION:
        points = [profile.rate_quantiles.at((index + 0.5) / 1000) for index in range(1000)]
        mean = sum(points) / len(points) / profile.rate_quantiles.median
        changes |= {"down": profile.down * mean, "rate_quantiles": None, "up_quantiles": None}
    return profile.with_(**changes) if changes else profile
