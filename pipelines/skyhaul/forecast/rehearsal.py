"""A stretch of a haul in virtual time: the scheduler, the driver and the emulated links of a real one.

Only what lies behind the links and behind the scheduler is left out: servers answer at once, and bytes
are counted instead of written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skyhaul.forecast.feeding import Feeder, Room
from skyhaul.forecast.silent_source import SilentSource
from skyhaul.forecast.virtual_loop import run_virtual
from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_connectors.transfer.source_driver import SourceDriver
from skyhaul_schemas.errors import SkyhaulError

TICK = 0.05
"""Seconds between two looks at what arrived. Chosen, not measured."""

STARVED = 0.1
"""Share of the time from which on waiting for the spool's room counts as a limit. Chosen, not measured."""

_NEVER = 1e12
"""Seconds of patience: what gives up in a haul would end a rehearsal without an answer."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a rehearsal hauls of one source: segments by shard."""

    source: str
    shards: Sequence[Sequence[Segment]]
    max_connections: int
    secure: bool = False
    """Its connections cost a TLS handshake."""


@dataclass(slots=True)
class LinkTrack:
    """Bytes that arrived over a link: of payload by tick and in all, sent twice, and on the wire."""

    arrived: list[int] = field(default_factory=list)
    payload: int = 0
    resent: int = 0
    wire: int = 0


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal came to."""

    took: float
    """Seconds until all had arrived, or until the limit."""
    whole: bool
    """All had arrived before the limit."""
    links: Mapping[str, LinkTrack]
    connections: int
    """The most that were open at once."""
    spool_full: bool
    """The spool's limit held the transfer up."""


def rehearse(
    sample: Sample,
    profiles: Mapping[str, LinkProfile],
    *,
    seed: int,
    spool_limit: int,
    limit: float,
) -> Rehearsed:
    """Haul a sample over links in virtual time. Equal arguments give equal answers.

    Args:
        sample: What is hauled.
        profiles: The source's links, best first, each from its second 0 on.
        seed: Of the links' luck.
        spool_limit: Bytes that the spool holds.
        limit: Seconds of virtual time after which the rehearsal ends as it is.
    """
    return run_virtual(_rehearse(sample, profiles, seed, spool_limit, limit))


async def _rehearse(
    sample: Sample, profiles: Mapping[str, LinkProfile], seed: int, spool_limit: int, limit: float
) -> Rehearsed:
    loop = asyncio.get_running_loop()
    # The loop's clock for everything, so that links, driver and feeder leap together.
    clock = MonotonicClock(0.0, monotonic=loop.time, wall=lambda: 0.0)
    inner = SilentSource(sample.source)
    lanes = [_lane(inner, SharedLink(name, profile, clock, seed=seed), sample.secure)
             for name, profile in profiles.items()]  # fmt: skip
    driver = SourceDriver(
        sample.source,
        SourceLanes(tuple(lanes), sample.max_connections),
        EngineSettings(Path(), spool_limit, _NEVER, "", _NEVER, wait_for_contact=True, seed=seed),
        loop,
        _NoEngine(),
    )
    room = Room(spool_limit)
    feeder = Feeder(driver.scheduler, sample.shards, room)
    tracks = {name: LinkTrack() for name in profiles}
    connections = 0
    while True:
        feeder.feed(loop.time())
        driver.wake()
        open_now = 0
        for lane in driver.scheduler.lanes:
            tracks[lane.link].arrived.append(lane.counts.payload)
            open_now += lane.open_channels
        connections = max(connections, open_now)
        if feeder.done or loop.time() >= limit:
            break
        await asyncio.sleep(TICK)
    took = loop.time()
    for lane in driver.scheduler.lanes:
        track = tracks[lane.link]
        track.payload, track.resent, track.wire = lane.counts.payload, lane.counts.resent, lane.counts.wire
    driver.stop()
    starved = room.starved * TICK > STARVED * took
    return Rehearsed(took, feeder.done, tracks, connections, starved)


def _lane(inner: SilentSource, link: SharedLink, secure: bool) -> Lane:
    return Lane(link.name, EmulatedSource(inner, link, secure=secure), shared=link)


class _NoEngine:
    """`SourceEvents` of a rehearsal: the feeder looks for itself what has arrived."""

    def task_complete(self, key: int) -> None: ...

    def task_failed(self, key: int, error: SkyhaulError) -> None:
        """Nothing gives up in a rehearsal: there is no patience to run out of."""
        raise error

    def nothing_missing(self) -> None: ...
