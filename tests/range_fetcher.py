"""A small client for tests of links: some channels, each keeping a few ranges of one object open."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from skyhaul_connectors.sources.protocol import Channel, RangeRequest, Route, Source
from skyhaul_schemas.errors import CarriageError
from skyhaul_schemas.plan import PinnedObject


@dataclass(slots=True)
class Log:
    """What the client saw: (second, bytes) of each delivery, errors of channels, bytes of the object."""

    arrivals: list[tuple[float, int]] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    closed: list[tuple[float, CarriageError | None]] = field(default_factory=list)
    failed: list[CarriageError] = field(default_factory=list)
    wire: int = 0
    content: bytearray = field(default_factory=bytearray)
    finished_at: float = 0.0

    @property
    def payload(self) -> int:
        return sum(count for _, count in self.arrivals)

    def rate(self, since: float, until: float) -> float:
        """bit/s of payload that arrived in [since, until)."""
        return sum(n for at, n in self.arrivals if since <= at < until) * 8 / (until - since)


class Fetcher:
    """Fetches `obj` once, in ranges of `range_bytes`, over `channels` channels of `ahead` ranges each.
    A channel that closes with an error is opened anew after `redial` seconds, and its ranges asked again
    from where they broke off."""

    def __init__(
        self,
        source: Source,
        obj: PinnedObject,
        *,
        channels: int,
        range_bytes: int,
        ahead: int = 2,
        redial: float = 0.25,
    ) -> None:
        self.source = source
        self.obj = obj
        self.ahead = ahead
        self.redial = redial
        self.log = Log(content=bytearray(obj.size))
        self.loop = asyncio.get_running_loop()
        self.todo: deque[tuple[int, int]] = deque(
            (offset, min(range_bytes, obj.size - offset)) for offset in range(0, obj.size, range_bytes)
        )
        self.left = obj.size
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.ends: list[_End] = []
        self.ended = False
        for _ in range(channels):
            self.dial()

    def dial(self) -> None:
        if not self.ended:
            self.ends.append(_End(self))

    async def run(self) -> Log:
        await self.done
        self.stop()
        await asyncio.sleep(0)
        return self.log

    def stop(self) -> None:
        self.ended = True
        for end in self.ends:
            end.channel.close()


class _End:
    """The owner of one channel."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.fetcher = fetcher
        self.open: dict[int, list[int]] = {}
        self.tag = 0
        self.channel: Channel = fetcher.source.connect(self, Route())
        self.fill()

    def fill(self) -> None:
        while self.fetcher.todo and len(self.open) < self.fetcher.ahead:
            offset, length = self.fetcher.todo.popleft()
            self.tag += 1
            self.open[self.tag] = [offset, length]
            self.channel.request(RangeRequest(self.fetcher.obj, offset, length, self.tag))

    def opened(self, timed: bool = True) -> None:
        self.fetcher.log.opened.append(self.fetcher.loop.time())

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        fetcher = self.fetcher
        left = self.open[request.tag]
        assert offset == left[0], "ranges arrive in order and without gaps"
        fetcher.log.arrivals.append((fetcher.loop.time(), len(data)))
        fetcher.log.content[offset : offset + len(data)] = data
        left[0] += len(data)
        left[1] -= len(data)
        fetcher.left -= len(data)

    def finished(self, request: RangeRequest) -> None:
        assert self.open.pop(request.tag)[1] == 0, "finished after the last byte"
        self.fill()
        if self.fetcher.left == 0 and not self.fetcher.done.done():
            self.fetcher.log.finished_at = self.fetcher.loop.time()
            self.fetcher.done.set_result(None)

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        self.fetcher.log.failed.append(error)
        offset, length = self.open.pop(request.tag)
        self.fetcher.todo.appendleft((offset, length))
        self.fill()

    def wire(self, count: int) -> None:
        self.fetcher.log.wire += count

    def closed(self, error: CarriageError | None) -> None:
        fetcher = self.fetcher
        fetcher.log.closed.append((fetcher.loop.time(), error))
        fetcher.ends.remove(self)
        fetcher.todo.extendleft((offset, length) for offset, length in self.open.values() if length)
        if error is not None:
            fetcher.loop.call_later(fetcher.redial, fetcher.dial)
