"""A source below its least rate for the patience is put off; where something else holds it up, it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.memory.faults import Fault, FaultKind, always
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.paced import PacedSource
from skyhaul_connectors.transfer.schedule.least_rate import LeastRate
from skyhaul_connectors.transfer.settings import Lane, SourceLanes
from skyhaul_schemas.errors import RangeRefused, RangeSpent, SourceFailing, SourceSilent

from ..rig import Rig, behind, emulated_link, over, random_objects, whole_segments

OBJECTS = random_objects(5, [60_000])


def at_once(main: Coroutine[Any, Any, None]) -> None:
    run_virtual(main, limit=1e7)


def now() -> float:
    return asyncio.get_running_loop().time()


def asking(lanes: dict[str, SourceLanes], rate: float = 1000.0) -> dict[str, SourceLanes]:
    return {name: replace(found, min_rate=rate) for name, found in lanes.items()}


# The mean


def fed(
    rate: LeastRate, seconds: float, bytes_a_second: float, start: float = 0.0, *, counts: bool = True
) -> float:
    """A tenth of a second at a time; returns when it is over."""
    at = start
    for _ in range(round(seconds * 10)):
        at += 0.1
        rate.received(round(bytes_a_second / 10))
        rate.look(at, counts=counts)
    return at


def test_it_is_below_only_after_all_of_the_patience() -> None:
    rate = LeastRate(1000.0, over=60.0)
    rate.begin(0.0)
    at = fed(rate, 59.0, 500.0)
    assert not rate.below(60.0)
    fed(rate, 2.0, 500.0, at)
    assert rate.below(60.0)


def test_the_mean_counts_and_not_each_second() -> None:
    rate = LeastRate(1000.0, over=60.0)
    rate.begin(0.0)
    at = fed(rate, 30.0, 0.0)
    at = fed(rate, 2.0, 50_000.0, at)
    at = fed(rate, 30.0, 0.0, at)
    assert not rate.below(60.0)
    fed(rate, 62.0, 990.0, at)
    assert rate.below(60.0)


def test_time_that_does_not_count_is_no_time() -> None:
    rate = LeastRate(1000.0, over=60.0)
    rate.begin(0.0)
    at = fed(rate, 3000.0, 0.0, counts=False)
    assert not rate.below(60.0)
    rate.begin(at + 5000.0)
    rate.look(at + 5000.1, counts=True)
    assert not rate.below(60.0)


def test_a_process_that_stood_still_blames_nobody() -> None:
    rate = LeastRate(1000.0, over=60.0)
    rate.begin(0.0)
    rate.look(1.0, counts=True)
    rate.look(4000.0, counts=True)
    assert not rate.below(60.0)


def test_the_rate_lately_is_none_before_a_second_counted() -> None:
    rate = LeastRate(1000.0, over=600.0)
    rate.begin(0.0)
    fed(rate, 0.5, 700.0)
    assert rate.now() is None
    fed(rate, 100.0, 700.0, 0.5)
    assert rate.now() == pytest.approx(700.0, rel=0.01)


# The engine


def test_a_source_that_drips_is_put_off_after_the_patience(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.05, rate=20.0, piece=10)
        rig = Rig(tmp_path, asking(over(source, 4)), patience=60.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        with pytest.raises(SourceSilent, match=r"B/s over 1m00s, less than its min_rate of 1 kB/s"):
            await rig.all_in(shard)
        assert 60.0 <= now() < 66.0
        rig.engine.close()

    at_once(main())


def test_its_connections_count_together(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.05, rate=600.0, piece=200)
        rig = Rig(tmp_path, asking(over(source, 4)), patience=20.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        assert await rig.contents(shard) == list(OBJECTS.values())
        assert now() > 20.0
        rig.engine.close()

    at_once(main())


def test_without_a_least_rate_it_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", random_objects(5, [3000]), latency=0.05, rate=20.0, piece=10)
        rig = Rig(tmp_path, over(source, 4), patience=20.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        await rig.all_in(shard)
        assert now() > 60.0
        rig.engine.close()

    at_once(main())


def test_our_own_pace_is_not_the_sources_fault(tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        clock = MonotonicClock(0.0, monotonic=loop.time, wall=lambda: 0.0)
        link = SharedLink(
            "thin", LinkProfile(down=2400.0, up=1e6, rtt=0.1), clock, emulate=False, pace=2400.0
        )
        source = MemorySource("m", OBJECTS, latency=0.05)
        lanes = {"m": SourceLanes((Lane("thin", PacedSource(source, link), shared=link),), 4)}
        rig = Rig(tmp_path, asking(lanes), patience=30.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        assert await rig.contents(shard) == list(OBJECTS.values())
        assert now() > 100.0
        rig.engine.close()

    at_once(main())


@pytest.mark.parametrize(
    "profile",
    [
        LinkProfile(down=4000.0, up=1e6, rtt=0.1),
        LinkProfile(down=1e6, up=1e6, rtt=0.1, outages=((0.5, 500.0),)),
    ],
    ids=["a thin link", "an outage"],
)
def test_nor_is_the_emulated_link(profile: LinkProfile, tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS)
        lanes = asking(behind(source, emulated_link("sky", profile), 4))
        rig = Rig(tmp_path, lanes, patience=700.0 if profile.outages else 30.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        assert await rig.contents(shard) == list(OBJECTS.values())
        assert now() > 100.0
        rig.engine.close()

    at_once(main())


def test_nor_are_closed_contacts(tmp_path: Path) -> None:
    async def main() -> None:
        windows = [Contact(100.0 * i, 100.0 * i + 2.0) for i in range(1, 200)]
        link = emulated_link("sky", LinkProfile(down=64e3, up=1e6, rtt=0.1, contacts=ContactTable(windows)))
        source = MemorySource("m", OBJECTS)
        rig = Rig(tmp_path, asking(behind(source, link, 4)), patience=10.0, wait_for_contact=True)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        assert await rig.contents(shard) == list(OBJECTS.values())
        assert now() > 300.0
        rig.engine.close()

    at_once(main())


@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.REFUSE])
def test_a_source_that_only_answers_wrong_fails_and_is_not_taken_for_slow(
    kind: FaultKind, tmp_path: Path
) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.05, faults=lambda request, attempt: Fault(kind))
        rig = Rig(tmp_path, asking(over(source, 4)), patience=5.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        with pytest.raises((SourceFailing, RangeSpent, RangeRefused)):
            await rig.all_in(shard)
        assert now() <= 120.0
        rig.engine.close()

    at_once(main())


# Giving way


@pytest.mark.parametrize("kind", [FaultKind.STALL], ids=["silent"])
def test_an_object_that_says_nothing_gives_way_to_others(kind: FaultKind, tmp_path: Path) -> None:
    async def main() -> None:
        objects = random_objects(6, [400_000, 50_000, 50_000])
        names = list(objects)
        source = MemorySource("m", objects, latency=0.05, faults=always({names[0]: Fault(kind)}))
        rig = Rig(tmp_path, asking(over(source, 4)), patience=60.0)
        segments = whole_segments(source)
        stuck = rig.engine.fetch(0, "m", segments[:1])
        others = [rig.engine.fetch(n, "m", segments[n : n + 1]) for n in (1, 2)]
        for number, shard in enumerate(others, start=1):
            assert await rig.contents(shard) == [objects[names[number]]]
        assert now() < 30.0
        with pytest.raises(SourceSilent):
            await rig.all_in(stuck)
        rig.engine.close()

    at_once(main())
