"""A transfer engine on a virtual clock, and what tests ask of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.transfer.background import InlineBackground
from skyhaul_connectors.transfer.engine import TransferEngine
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_connectors.transfer.spool.disk import Disk
from skyhaul_connectors.transfer.spool.open_shard import OpenShard

PLAN = "0123456789abcdef" * 4
MIB = 1024 * 1024


def random_objects(seed: int, sizes: Sequence[int]) -> dict[str, bytes]:
    draw = random.Random(seed)
    return {f"object-{index:05d}": draw.randbytes(size) for index, size in enumerate(sizes)}


def whole_segments(source: Source) -> list[Segment]:
    return [Segment(obj, 0, obj.size) for obj in source.listing()]


@dataclass
class Rig:
    """An engine over sources in memory. Must be made in a running loop."""

    spool: Path
    sources: Mapping[str, SourceLanes]
    spool_limit: int = 1 << 40
    patience: float = 600.0
    give_up_after: float = 120.0
    wait_for_contact: bool = False
    seed: int = 0
    disk: Disk | None = None
    commit_takes: float = 0.004

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        background = InlineBackground(self.loop, self.commit_takes)
        self.engine = TransferEngine(
            self.sources,
            EngineSettings(
                self.spool,
                self.spool_limit,
                self.patience,
                PLAN,
                self.give_up_after,
                self.wait_for_contact,
                self.seed,
            ),
            loop=self.loop,
            journal=background,
            checker=background,
            disk=self.disk,
        )

    async def segment_in(self, shard: OpenShard, segment: int) -> None:
        """Wait as a consumer does. Raises what the fetch ended with."""
        asked = False
        while not shard.is_in(segment):
            if shard.error is not None:
                raise shard.error
            if not asked:
                asked = True
                self.engine.demand(shard, segment)
            await self.changed(shard)

    async def changed(self, shard: OpenShard) -> None:
        woken = self.loop.create_future()
        shard.on_change = lambda: woken.done() or woken.set_result(None)
        if shard.error is None:
            await woken

    async def all_in(self, shard: OpenShard) -> None:
        for segment in range(len(shard.map.segments)):
            await self.segment_in(shard, segment)

    async def contents(self, shard: OpenShard) -> list[bytes]:
        """Every segment's bytes, as soon as it is in."""
        found: list[bytes] = []
        for index, segment in enumerate(shard.map.segments):
            while True:
                await self.segment_in(shard, index)
                data, wrong = shard.read(index, segment.offset, segment.length)
                if not wrong:
                    break
                self.engine.reads_wrong(shard, wrong)
            found.append(data)
        return found


def over(source: Source, max_connections: int = 16) -> dict[str, SourceLanes]:
    """The source over the plain network."""
    return {source.name: SourceLanes((Lane("net", source),), max_connections)}


def emulated_link(name: str, profile: LinkProfile, seed: int = 0) -> SharedLink:
    """A link on the running loop's clock."""
    loop = asyncio.get_running_loop()
    return SharedLink(name, profile, MonotonicClock(0.0, monotonic=loop.time, wall=lambda: 0.0), seed=seed)


def behind(source: Source, link: SharedLink, max_connections: int = 16) -> dict[str, SourceLanes]:
    """The source over an emulated link."""
    lane = Lane(link.name, EmulatedSource(source, link), shared=link)
    return {source.name: SourceLanes((lane,), max_connections)}
