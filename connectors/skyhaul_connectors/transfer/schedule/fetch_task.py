"""What the scheduler moves about: works, the pieces of them that wait, and the asks that are out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch
from skyhaul_connectors.transfer.segment import AddressMap
from skyhaul_schemas.commit import TransferCounts
from skyhaul_schemas.errors import CarriageError


@dataclass(slots=True)
class Count:
    """Bytes by one link; see `TransferCounts`."""

    payload: int = 0
    wire: int = 0
    resent: int = 0

    def frozen(self) -> TransferCounts:
        return TransferCounts(payload_bytes=self.payload, wire_bytes=self.wire, resent_bytes=self.resent)


class ByteSink(Protocol):
    """Where a task's bytes go."""

    def write(self, position: int, data: bytes | memoryview) -> None:
        """Take the bytes from `position` of the task's address map on; each byte comes once, in any order.
        `data` may be changed by its owner afterwards. Raises SkyhaulError: the task then ends with it."""


@dataclass(slots=True, eq=False)
class FetchTask:
    """One shard's (or one direct read's) part in a source's queue, in positions of its address map.

    order: less is served first, among works that are as far `behind`: how often it gave way to others, since
    nothing came of it. fruitless: how often what was out for it was dropped without a byte.
    sink: takes what arrives. arrived: what was written. again: what had been counted as payload
    before, and has to cross once more. missing: bytes that are wanted and have not arrived.
    """

    key: int
    order: int
    map: AddressMap
    sink: ByteSink
    arrived: IntervalSet = field(default_factory=IntervalSet)
    again: IntervalSet = field(default_factory=IntervalSet)
    counts: dict[str, Count] = field(default_factory=dict)
    missing: int = 0
    cancelled: bool = False
    behind: int = 0
    fruitless: int = 0

    def count(self, link: str) -> Count:
        found = self.counts.get(link)
        if found is None:
            found = self.counts[link] = Count()
        return found

    def took(self, link: str, fresh: list[Stretch], received: int) -> int:
        """Count `received` bytes of which `fresh` were new; returns how many were sent once more."""
        count = self.count(link)
        new = sum(stop - start for start, stop in fresh)
        repeated = received - new
        if self.again:
            for start, stop in fresh:
                repeated += sum(b - a for a, b in self.again.remove(start, stop))
        count.payload += received - repeated
        count.resent += repeated
        return repeated

    def frozen_counts(self) -> dict[str, TransferCounts]:
        return {link: count.frozen() for link, count in sorted(self.counts.items())}


@dataclass(slots=True, eq=False)
class PendingRange:
    """Positions [start, stop) of one segment that nobody has asked for. retries_used: of the budget. tries:
    in vain. doubted: odd answers in a row."""

    task: FetchTask
    segment: int
    start: int
    stop: int
    retries_used: int = 0
    tries: int = 0
    doubted: int = 0


@dataclass(slots=True, eq=False)
class RangeInFlight:
    """A range that is out on a channel. `cursor` is the position of the next byte; ahead: bytes that were
    out over the lane before it. copies: all that are out for the range, this one among them."""

    request: RangeRequest
    task: FetchTask
    segment: int
    start: int
    stop: int
    channel: int
    sent_at: float
    alone: bool
    ahead: int = 0
    retries_used: int = 0
    tries: int = 0
    doubted: int = 0
    cursor: int = 0
    first_at: float | None = None
    last_at: float = 0.0
    copies: list[RangeInFlight] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self.copies.append(self)

    @property
    def remaining(self) -> int:
        return self.stop - self.cursor


@dataclass(frozen=True, slots=True)
class Open:
    """Open a channel over lane number `lane`, known as `channel` from now on."""

    lane: int
    channel: int


@dataclass(frozen=True, slots=True)
class Send:
    """Ask for a range on a channel."""

    channel: int
    request: RangeRequest


@dataclass(frozen=True, slots=True)
class Close:
    """Close a channel; its events no longer matter."""

    channel: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The work ends with this error; nothing more is asked for it."""

    key: int
    error: CarriageError


Action = Open | Send | Close | GiveUp
