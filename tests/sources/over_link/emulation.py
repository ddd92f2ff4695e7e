"""Hauls and single channels over an emulated link, in virtual time, for tests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from range_fetcher import Fetcher, Log
from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.sources.protocol import Channel, RangeRequest, Route
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import (
    CarriageError,
)
from skyhaul_schemas.plan import PinnedObject
from virtual_time import run_virtual

EPOCH = 1_760_000_000.0


CLEAN = LinkProfile(down=200e6, up=20e6, rtt=0.045)


CONTENT = random.Random(1).randbytes(8 * 1024 * 1024)


def link_on_loop(profile: LinkProfile, seed: int = 1, *, name: str = "leo-west") -> SharedLink:
    """A link whose second 0 is now, on the running virtual loop."""
    clock = MonotonicClock(EPOCH, monotonic=asyncio.get_running_loop().time, wall=lambda: EPOCH)
    return SharedLink(name, profile, clock, seed=seed)


@dataclass(slots=True)
class Haul:
    log: Log
    link: SharedLink
    began: float

    @property
    def seconds(self) -> float:
        return self.log.finished_at - self.began


def haul(
    profile: LinkProfile,
    size: int = len(CONTENT),
    *,
    channels: int = 16,
    range_bytes: int = 64 * 1024,
    ahead: int = 2,
    seed: int = 1,
    start: float = 0.0,
) -> Haul:
    """Fetch `size` bytes over the link and check each of them."""

    async def main() -> Haul:
        loop = asyncio.get_running_loop()
        link = link_on_loop(profile, seed)
        source = EmulatedSource(MemorySource("memory", {"a": CONTENT[:size]}), link)
        fetcher = Fetcher(
            source, next(source.listing()), channels=channels, range_bytes=range_bytes, ahead=ahead
        )
        began = loop.time()
        log = await fetcher.run()
        assert log.content == CONTENT[:size]
        return Haul(log, link, began)

    return run_virtual(main(), start=start)


class Owner:
    """Writes down what one channel says, with the second since the start."""

    def __init__(self, source: EmulatedSource) -> None:
        self.loop = asyncio.get_running_loop()
        self.zero = self.loop.time()
        self.said: list[tuple[float, str]] = []
        self.bytes: list[tuple[float, int]] = []
        self.wired = 0
        self.wanted = PinnedObject("", "", 0, "")
        self.timed: bool | None = None
        self.error: CarriageError | None = None
        self.channel: Channel = source.connect(self, Route())
        assert not self.said, "nothing is said before connect() returned"

    def ask(self, obj: PinnedObject, offset: int, length: int) -> None:
        before = len(self.said)
        self.channel.request(RangeRequest(obj, offset, length, offset))
        assert len(self.said) == before, "nothing is said from inside request()"

    def say(self, what: str) -> None:
        self.said.append((round(self.loop.time() - self.zero, 4), what))

    def when(self, what: str) -> float:
        return next(at for at, said in self.said if said == what)

    def opened(self, timed: bool = True) -> None:
        self.timed = timed
        self.say("opened")

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        self.bytes.append((self.loop.time() - self.zero, len(data)))

    def finished(self, request: RangeRequest) -> None:
        self.say("finished")

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        self.error = error
        self.say("failed")

    def wire(self, count: int) -> None:
        self.wired += count

    def closed(self, error: CarriageError | None) -> None:
        self.error = error
        self.say("closed")


Script = Callable[[EmulatedSource, SharedLink], Coroutine[None, None, Owner]]


def on_link(profile: LinkProfile, script: Script, *, inner: MemorySource | None = None, seed: int = 1,
            secure: bool = False, timeouts: Timeouts | None = None) -> Owner:  # fmt: skip
    async def main() -> Owner:
        link = link_on_loop(profile, seed)
        source = EmulatedSource(
            inner or MemorySource("memory", {"a": CONTENT}), link, secure=secure, timeouts=timeouts
        )
        return await script(source, link)

    return run_virtual(main(), start=3.0)


def the_object(source: EmulatedSource) -> PinnedObject:
    return next(source.listing())


async def one_range(source: EmulatedSource, _link: SharedLink) -> Owner:
    owner = Owner(source)
    owner.ask(the_object(source), 0, 1448)
    await asyncio.sleep(5)
    return owner
