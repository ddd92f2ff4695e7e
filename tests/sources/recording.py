"""A channel's owner for tests: checks the protocol's promises, and keeps what it was told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from skyhaul_connectors.sources.protocol import Channel, RangeRequest, Route, Source
from skyhaul_schemas.errors import CarriageError
from skyhaul_schemas.plan import PinnedObject


@dataclass
class Outcome:
    """What became of one request. `error` None and `done` False: it was open when the channel closed."""

    data: bytearray = field(default_factory=bytearray)
    done: bool = False
    error: CarriageError | None = None

    @property
    def whole(self) -> bytes:
        assert self.done, f"not finished: {self.error!r}"
        return bytes(self.data)


class Recorder:
    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.events: list[str] = []
        self.wire_bytes = 0
        self.is_open = False
        self.timed: bool | None = None
        self.closed_with: CarriageError | None = None
        self.is_closed = False
        self.inside_request = False
        self.changed = asyncio.Event()

    def opened(self, timed: bool = True) -> None:
        assert not self.is_open
        self.timed = timed
        self._note("opened")
        self.is_open = True

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        self._note("received")
        outcome = self.outcomes[request.tag]
        assert not outcome.done
        assert outcome.error is None
        assert offset == request.offset + len(outcome.data), "ranges arrive in rising order without gaps"
        assert len(data) > 0
        outcome.data += data
        assert len(outcome.data) <= request.length, "never more than what was asked"

    def finished(self, request: RangeRequest) -> None:
        self._note("finished")
        outcome = self.outcomes[request.tag]
        assert not outcome.done
        assert outcome.error is None
        assert len(outcome.data) == request.length
        outcome.done = True

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        self._note("failed")
        outcome = self.outcomes[request.tag]
        assert not outcome.done
        assert outcome.error is None
        outcome.error = error

    def wire(self, count: int) -> None:
        self._note("wire")
        self.wire_bytes += count

    def closed(self, error: CarriageError | None) -> None:
        self._note("closed")
        self.is_closed = True
        self.closed_with = error

    def ask(self, channel: Channel, request: RangeRequest) -> Outcome:
        outcome = self.outcomes[request.tag] = Outcome()
        self.inside_request = True
        channel.request(request)
        self.inside_request = False
        return outcome

    async def settle(self, seconds: float = 10.0) -> None:
        """Until every request has ended or the channel is closed."""
        async with asyncio.timeout(seconds):
            while not self.is_closed and any(not o.done and o.error is None for o in self.outcomes.values()):
                self.changed.clear()
                await self.changed.wait()

    def _note(self, event: str) -> None:
        assert not self.inside_request, f"{event} from inside request()"
        assert not self.is_closed, f"{event} after closed"
        self.events.append(event)
        self.changed.set()


async def fetch(
    source: Source,
    ranges: Sequence[tuple[PinnedObject, int, int]],
    *,
    route: Route | None = None,
    at_once: bool = False,
    linger: float = 0.0,
) -> tuple[list[Outcome], Recorder]:
    """Asks for (object, offset, length) ranges over one channel, one by one or all at once. `linger`:
    seconds to wait for what the channel says after the last one."""
    events = Recorder()
    channel = source.connect(events, route or Route())
    outcomes = []
    for tag, (obj, offset, length) in enumerate(ranges):
        if events.is_closed:
            break
        outcomes.append(events.ask(channel, RangeRequest(obj, offset, length, tag)))
        if not at_once:
            await events.settle()
    await events.settle()
    if linger and not events.is_closed:
        events.changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(events.changed.wait(), linger)
    if not events.is_closed:
        channel.close()
        channel.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert events.is_closed
        assert events.closed_with is None
    await asyncio.sleep(0)
    return outcomes, events


async def first_opening(source: Source) -> Recorder:
    """What a channel to which nothing is asked yet has told once it takes requests."""
    recorder = Recorder()
    channel = source.connect(recorder, Route())
    while not recorder.is_open:
        await recorder.changed.wait()
        recorder.changed.clear()
    channel.close()
    return recorder
