"""How much of each link a haul used, from the snapshots that it gives while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from skyhaul.hauling.progress import Hauling, LinkProgress

SHORTEST = 1.0
"""Seconds of transfer below which a rate says nothing: a link starts slowly. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class LinkUse:
    """One link over a haul."""

    name: str
    payload_bytes: int
    """Since the haul's start, as are the counts below."""
    wire_bytes: int
    resent_bytes: int
    outages: int
    seconds: float
    """From the first byte to the last, outages included."""
    rate: float | None
    """Wire bit/s over `seconds`; None where they are too few to tell."""
    capacity: float | None
    """The mean bit/s that the link offered while it was up; None where it is unknown."""
    utilisation: float | None
    """The share of `capacity` that the wire bytes took; None where that is unknown."""


@dataclass(slots=True)
class _Meter:
    last: LinkProgress
    at: float
    began: float | None = None
    ended: float = 0.0
    offered_bits: float = 0.0
    up_seconds: float = 0.0
    known: bool = True
    # What was offered since the last byte: counts only once another byte shows that there was more to carry.
    idle_bits: float = 0.0
    idle_seconds: float = 0.0

    def add(self, link: LinkProgress, at: float) -> None:
        step = at - self.at
        grew = link.wire_bytes > self.last.wire_bytes
        # From the snapshot before: the bytes came between the two.
        if grew and self.began is None:
            self.began = self.at
        # State and capacity are those that the step began with. Time while it was down offers nothing.
        if self.began is not None and self.last.state == "up":
            self.known = self.known and self.last.capacity is not None
            self.idle_bits += (self.last.capacity or 0.0) * step
            self.idle_seconds += step
        if grew:
            self.ended = at
            self.offered_bits += self.idle_bits
            self.up_seconds += self.idle_seconds
            self.idle_bits = self.idle_seconds = 0.0
        self.last, self.at = link, at

    def use(self) -> LinkUse:
        seconds = self.ended - self.began if self.began is not None else 0.0
        long_enough = seconds >= SHORTEST
        bits = self.last.wire_bytes * 8
        known = self.known and self.offered_bits > 0 and long_enough
        return LinkUse(
            name=self.last.name,
            payload_bytes=self.last.payload_bytes,
            wire_bytes=self.last.wire_bytes,
            resent_bytes=self.last.resent_bytes,
            outages=self.last.outages,
            seconds=round(seconds, 3),
            rate=round(bits / seconds, 1) if long_enough else None,
            capacity=round(self.offered_bits / self.up_seconds, 1) if known else None,
            utilisation=round(bits / self.offered_bits, 4) if known else None,
        )


class LinkMeter:
    """Adds snapshots up; `uses()` at the end."""

    def __init__(self) -> None:
        self._meters: dict[str, _Meter] = {}

    def add(self, progress: Hauling) -> None:
        for link in progress.links:
            meter = self._meters.get(link.name)
            if meter is None:
                # Counts are of this haul, so they began at 0, whenever the link is first seen.
                self._meters[link.name] = _Meter(last=_before(link), at=0.0)
                meter = self._meters[link.name]
                meter.at = progress.elapsed
            meter.add(link, progress.elapsed)

    def uses(self) -> tuple[LinkUse, ...]:
        return tuple(meter.use() for _, meter in sorted(self._meters.items()))


def _before(link: LinkProgress) -> LinkProgress:
    return LinkProgress(link.name, link.state, 0.0, link.capacity, 0, 0, 0, 0)
