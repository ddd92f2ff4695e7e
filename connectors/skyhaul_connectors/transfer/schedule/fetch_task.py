"""What the scheduler moves about: fetch tasks, the ranges of them that wait, and the ranges in flight.

Each class writes its own fields; everybody else calls its methods
(`tests/transfer/schedule/test_ownership.py`).
"""

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

    def received(self, payload: int, resent: int) -> None:
        """Bytes of ranges came: `payload` of them for the first time, `resent` once more."""
        self.payload += payload
        self.resent += resent

    def add_wire(self, count: int) -> None:
        """`count` bytes were read off a connection."""
        self.wire += count

    def frozen(self) -> TransferCounts:
        return TransferCounts(payload_bytes=self.payload, wire_bytes=self.wire, resent_bytes=self.resent)


class ByteSink(Protocol):
    """Where a task's bytes go."""

    def write(self, position: int, data: bytes | memoryview) -> None:
        """Take the bytes from `position` of the task's address map on; each byte comes once, in any order.

        `data` may be changed by its owner afterwards: what is kept has to be copied.

        Raises:
            SkyhaulError: The task then ends with it."""


@dataclass(slots=True, eq=False)
class FetchTask:
    """One shard's (or one direct read's) part in a source's queue, in positions of its address map.

    Attributes:
        key: The engine's name for the task.
        order: Less is served first, among tasks that are as far `behind`.
        map: Where each position lies in the source's objects.
        sink: Takes what arrives.
        arrived: The positions that were written.
        again: Positions that had been counted as payload before, and have to cross once more.
        counts: Bytes by link.
        missing: Bytes that are wanted and have not arrived.
        cancelled: Nobody wants the task any more; what is in flight for it is thrown away when it comes.
        behind: How often it gave way to others, since nothing came of it.
        fruitless: How often in a row what was in flight for it was dropped without a byte.
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

    def want(self, count: int) -> None:
        """Add `count` bytes to those that are to be fetched."""
        self.missing += count

    def arrive(self, link: str, start: int, stop: int) -> tuple[list[Stretch], int, int]:
        """Positions [start, stop) came over the link.

        Returns:
            What of them is new, in rising order; how many bytes that is; and how many of all that came had
            crossed before.
        """
        # Called for every packet, mostly with one fresh stretch: hence loops and no generators.
        fresh = self.arrived.add(start, stop)
        new = 0
        for low, high in fresh:
            new += high - low
        received = stop - start
        repeated = received - new
        # What read wrong had been counted as payload when it first came: its second coming is re-sent, or
        # payload would be more than the object has.
        if self.again:
            for low, high in fresh:
                repeated += sum(b - a for a, b in self.again.remove(low, high))
        self.count(link).received(received - repeated, repeated)
        self.missing -= new
        self.fruitless = 0
        return fresh, new, repeated

    def lose(self, start: int, stop: int) -> list[Stretch]:
        """Note that [start, stop) read wrong and must cross again. Returns the parts that had arrived."""
        lost = self.arrived.remove(start, stop)
        for low, high in lost:
            self.again.add(low, high)
        return lost

    def cancel(self) -> None:
        """Mark the task as unwanted: what still comes for it is thrown away."""
        self.cancelled = True

    def drop_fruitless(self) -> int:
        """Count a drop of its ranges in flight. Returns how many came in a row without a byte in between."""
        self.fruitless += 1
        return self.fruitless

    def fall_behind(self) -> None:
        """Give way to tasks that fell behind less often. The caller must reorder the queue afterwards."""
        self.behind += 1
        self.fruitless = 0

    def count(self, link: str) -> Count:
        """The link's counts, which the caller may add to."""
        found = self.counts.get(link)
        if found is None:
            found = self.counts[link] = Count()
        return found

    def frozen_counts(self) -> dict[str, TransferCounts]:
        return {link: count.frozen() for link, count in sorted(self.counts.items())}


@dataclass(slots=True, eq=False)
class PendingRange:
    """Positions [start, stop) of one segment that are to be asked for.

    Attributes:
        retries_used: Units of the retry budget (`error_policy.BUDGET`).
        tries: How often it was asked for in vain.
        doubted: Odd answers in a row.
    """

    task: FetchTask
    segment: int
    start: int
    stop: int
    retries_used: int = 0
    tries: int = 0
    doubted: int = 0

    def split(self, size: int) -> PendingRange:
        """Take the first `size` bytes off, as a range of their own; the others stay."""
        start = self.start
        self.start = start + size
        return PendingRange(
            self.task, self.segment, start, self.start, self.retries_used, self.tries, self.doubted
        )

    def join(self, following: PendingRange) -> None:
        """Append the range that begins where this one stops. The higher counts of the two hold for both."""
        self.stop = following.stop
        self.retries_used = max(self.retries_used, following.retries_used)
        self.tries = max(self.tries, following.tries)
        self.doubted = max(self.doubted, following.doubted)


@dataclass(slots=True, eq=False)
class RangeInFlight:
    """A range that was asked for on a channel.

    Attributes:
        request: What the channel was asked; its tag is the range's name.
        channel: The channel's number.
        sent_at: When it was asked for (seconds).
        alone: Whether nothing else was in flight on the channel, so that its first byte tells a round trip.
        ahead: Bytes that were in flight over the lane before it.
        retries_used, tries, doubted: As of `PendingRange`.
        cursor: The position of the next byte.
        first_at: When its first byte came; None before.
        last_at: When its last byte came; 0 before.
        copies: All ranges that are in flight for the same positions, this one among them; one list, which
            the copies share.
        ended: Answered, failed or dropped.
    """

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

    # `eq=False` above: ranges are told apart by identity, so that `remove` finds this one and no equal copy.
    def __post_init__(self) -> None:
        self.copies.append(self)

    @property
    def remaining(self) -> int:
        """Bytes that have not come."""
        return self.stop - self.cursor

    def received(self, count: int, now: float) -> bool:
        """`count` bytes came at the cursor. Returns whether they are the first."""
        self.cursor += count
        self.last_at = now
        if self.first_at is None:
            self.first_at = now
            return True
        return False

    def end(self) -> None:
        """It is over, whole or not."""
        self.ended = True
        self.copies.remove(self)


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
    """The task ends with this error; nothing more is asked for it."""

    key: int
    error: CarriageError


Action = Open | Send | Close | GiveUp
