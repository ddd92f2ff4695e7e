"""A channel's owner for tests: holds the channel to what the protocol promises, and keeps what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from skyhaul_connectors.sources.protocol import RangeRequest, Route, Source
from skyhaul_schemas.errors import CarriageError, Disposition
from skyhaul_schemas.plan import PinnedObject

Range = tuple[PinnedObject, int, int]
"""(object, offset, length), in bytes; length >= 1."""


@dataclass
class Outcome:
    """What became of one request.

    Attributes:
        data: Bytes that came.
        done: The range was finished.
        error: Why it failed. None with `done` False: the channel closed before.
    """

    data: bytearray = field(default_factory=bytearray)
    done: bool = False
    error: CarriageError | None = None

    @property
    def ended(self) -> bool:
        return self.done or self.error is not None


class ChannelOwner:
    """Implements ChannelEvents, and notes each promise that a channel breaks.

    Everything runs on the loop's thread, so nothing is locked.
    """

    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome] = {}
        """By the requests' tags."""
        self.faults: list[str] = []
        """Broken promises, in words: the loop would log an AssertionError of a callback, and go on."""
        self.wire_bytes = 0
        self.is_open = False
        self.is_closed = False
        self.closed_with: CarriageError | None = None
        self.asking = False
        """Inside `Channel.request`, which must return before anything is told of it."""
        self.changed = asyncio.Event()

    def opened(self, timed: bool = True) -> None:
        self._hold(not self.is_open, "opened twice")
        self._told("opened")
        self.is_open = True

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        outcome = self._outcome("received", request)
        at = request.offset + len(outcome.data)
        self._hold(offset == at, f"bytes at {offset} where {at} was due: ranges rise without gaps")
        self._hold(len(data) > 0, "received without a byte")
        # Copied: a memoryview is valid during the call only.
        outcome.data += data
        self._hold(len(outcome.data) <= request.length, "more bytes than were asked for")

    def finished(self, request: RangeRequest) -> None:
        outcome = self._outcome("finished", request)
        self._hold(
            len(outcome.data) == request.length,
            f"finished with {len(outcome.data)} of {request.length} bytes",
        )
        outcome.done = True

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        outcome = self._outcome("failed", request)
        self._hold(isinstance(error, CarriageError), f"failed with {error!r}, which is no CarriageError")
        outcome.error = error

    def wire(self, count: int) -> None:
        self._told("wire")
        self._hold(count > 0, "wire without a byte")
        self.wire_bytes += count

    def closed(self, error: CarriageError | None) -> None:
        self._told("closed")
        self.is_closed = True
        self.closed_with = error

    def _outcome(self, event: str, request: RangeRequest) -> Outcome:
        self._told(event)
        # By tag and not by the request itself: a channel may hand back an equal one.
        outcome = self.outcomes.setdefault(request.tag, Outcome())
        self._hold(not outcome.ended, f"{event} after the request had ended")
        return outcome

    def _told(self, event: str) -> None:
        self._hold(not self.asking, f"{event} from inside request()")
        self._hold(not self.is_closed, f"{event} after closed")
        self.changed.set()

    def _hold(self, kept: bool, fault: str) -> None:
        if not kept:
            self.faults.append(fault)


@dataclass
class Told:
    """What channels told of a list of ranges.

    Attributes:
        outcomes: One a range, in order; that of its last try.
        faults: Promises that a channel broke, in words.
        wire_bytes: Bytes that were read off connections.
        closed_with: Why the last channel closed; None: it was asked to.
    """

    outcomes: list[Outcome]
    faults: list[str] = field(default_factory=list)
    wire_bytes: int = 0
    closed_with: CarriageError | None = None


def ask(source: Source, ranges: Sequence[Range], *, at_once: bool = False, seconds: float = 60.0) -> Told:
    """Ask for `ranges`, as a haul does.

    Where a channel closes and nobody is to blame, or with an error that may pass, what is left is asked over
    another one.

    Args:
        source: The source.
        ranges: What is asked.
        at_once: Queue all that is left as soon as the channel pipelines; else one by one.
        seconds: For all of it; TimeoutError beyond.
    """
    return asyncio.run(_asked(source, ranges, at_once, seconds))


async def _asked(source: Source, ranges: Sequence[Range], at_once: bool, seconds: float) -> Told:
    requests = [RangeRequest(obj, offset, length, tag) for tag, (obj, offset, length) in enumerate(ranges)]
    told = Told([Outcome() for _ in requests])
    async with asyncio.timeout(seconds):
        # A server may end its connection after each answer, and a trial of pipelining costs some more.
        for _ in range(2 * len(requests) + 8):
            left = [request for request in requests if not told.outcomes[request.tag].ended]
            blamed = told.closed_with
            if not left or (blamed is not None and blamed.disposition is not Disposition.TRANSIENT):
                break
            owner = await _over_one_channel(source, left, at_once)
            # A range that a channel broke off begins anew over the next one: of its bytes only these count.
            for tag, outcome in owner.outcomes.items():
                told.outcomes[tag] = outcome
            told.faults += owner.faults
            told.wire_bytes += owner.wire_bytes
            told.closed_with = owner.closed_with
    return told


async def _over_one_channel(source: Source, requests: Sequence[RangeRequest], at_once: bool) -> ChannelOwner:
    owner = ChannelOwner()
    channel = source.connect(owner, Route())
    for request in requests:
        if owner.is_closed:
            break
        owner.outcomes[request.tag] = Outcome()
        owner.asking = True
        channel.request(request)
        owner.asking = False
        # Asked anew each time: a channel pipelines once its server has shown that it can.
        if not (at_once and channel.pipelines):
            await _settled(owner)
    await _settled(owner)
    if not owner.is_closed:
        channel.close()
        channel.close()  # twice is as once
        # `closed` has to come by itself; where it does not, the caller's limit of time ends this.
        while not owner.is_closed:
            await owner.changed.wait()
            owner.changed.clear()
        if owner.closed_with is not None:
            owner.faults.append(f"closed with {owner.closed_with!r} because its owner asked for it")
    await asyncio.sleep(0.01)  # what comes after `closed` is a fault
    return owner


async def _settled(owner: ChannelOwner) -> None:
    """Until each request has ended, or the channel."""
    # Cleared before the wait: nothing is told between the two, for both are on the loop's thread.
    while not owner.is_closed and not all(outcome.ended for outcome in owner.outcomes.values()):
        owner.changed.clear()
        await owner.changed.wait()
