"""Hauls side by side on one emulated link, in virtual time: the scheduler and its driver over the link's
model, with nothing behind them that could be slow. What arrives is noted by time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.virtual_time import run_virtual

from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_connectors.transfer.source_driver import SourceDriver
from skyhaul_schemas.errors import SkyhaulError

from ..rig import emulated_link

TICK = 0.05
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Haul:
    """Objects of `sizes` bytes, from second `start` on, over at most `connections`."""

    sizes: Sequence[int]
    connections: int = 64
    start: float = 0.0


@dataclass(slots=True)
class Seen:
    """arrivals: (second, position) of each piece; channels: open ones by tick; took: second of the last byte;
    ended: when each object was whole."""

    arrivals: list[tuple[float, int, int]] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    took: float = 0.0

    def bytes_in(self, start: float, end: float) -> int:
        """Arrived within [start, end)."""
        return sum(size for at, _, size in self.arrivals if start <= at < end)

    def rate(self, start: float, end: float) -> float:
        """bit/s over [start, end)."""
        return self.bytes_in(start, end) * 8 / (end - start)

    def first_after(self, moment: float) -> float:
        return min(at for at, _, _ in self.arrivals if at >= moment)


def side_by_side(profile: LinkProfile, hauls: Sequence[Haul], *, seed: int = 3) -> list[Seen]:
    """What each haul saw."""

    async def main() -> list[Seen]:
        link = emulated_link("sky", profile, seed)
        return list(await asyncio.gather(*(_haul(haul, link, number) for number, haul in enumerate(hauls))))

    return run_virtual(main(), limit=1e5)


async def _haul(haul: Haul, link: SharedLink, number: int) -> Seen:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(haul.start)
    zeros = {f"{n:05d}": bytes(size) for n, size in enumerate(haul.sizes)}
    source = MemorySource("s", zeros, pipelines=True)
    seen = Seen(ended=[0.0] * len(haul.sizes))
    driver = SourceDriver(
        "s",
        SourceLanes((Lane("sky", EmulatedSource(source, link), shared=link),), haul.connections),
        EngineSettings(Path(), 1 << 40, 1e9, "", 1e9, wait_for_contact=True, seed=number),
        loop,
        _Watched(),
    )
    address = AddressMap([Segment(obj, 0, obj.size) for obj in source.listing()])
    left = [segment.length for segment in address.segments]

    class Sink:
        def write(self, position: int, data: bytes | memoryview) -> None:
            seen.arrivals.append((loop.time(), position, len(data)))
            index = address.segment_at(position)
            left[index] -= len(data)
            if not left[index]:
                seen.ended[index] = loop.time()

    driver.scheduler.add(FetchTask(0, 0, address, Sink()))
    for index in range(len(address.segments)):
        driver.scheduler.want(0, index, loop.time())
    driver.wake()
    while driver.scheduler.missing:
        seen.channels.append(driver.scheduler.lanes[0].open_channels)
        await asyncio.sleep(TICK)
    seen.took = max(seen.ended)
    driver.stop()
    return seen


class _Watched:
    """`SourceEvents` of a haul without an engine: what arrives is seen in its sink."""

    def task_complete(self, key: int) -> None: ...

    def task_failed(self, key: int, error: SkyhaulError) -> None:
        raise error

    def nothing_missing(self) -> None: ...
