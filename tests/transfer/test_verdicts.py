"""When the engine goes on trying, when it defers, and when it fails: patience, errors, outages, contacts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.sources.memory.faults import Fault, FaultKind, always, in_turn, seeded
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_schemas.errors import (
    CarriageError,
    ChecksumMismatch,
    Interrupted,
    LinkClosed,
    ObjectMissing,
    RangeSpent,
    SourceChanged,
    SourceFailing,
    SourceSilent,
)

from .rig import MIB, Rig, behind, emulated_link, over, random_objects, whole_segments

LINK = LinkProfile(down=8e6, up=1e6, rtt=0.1)
OBJECTS = random_objects(3, [MIB, 20_000, 20_000, MIB])
TOTAL = sum(map(len, OBJECTS.values()))


def at_once(main: Coroutine[Any, Any, None]) -> None:
    run_virtual(main, limit=1e6)


def now() -> float:
    return asyncio.get_running_loop().time()


class Blackout:
    """Every request stalls between two moments of the loop's time."""

    def __init__(self, start: float, stop: float, kind: FaultKind = FaultKind.STALL) -> None:
        self._window = (start, stop)
        self._kind = kind

    def __call__(self, request: RangeRequest, attempt: int) -> Fault | None:
        start, stop = self._window
        return Fault(self._kind) if start <= now() < stop else None


def test_a_source_that_is_silent_defers_its_shards_after_patience(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.05, faults=Blackout(0.1, 1e9))
        rig = Rig(tmp_path, over(source), patience=60.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        with pytest.raises(SourceSilent, match="no byte for"):
            await rig.all_in(shard)
        assert 60.0 <= now() < 75.0

        began = now()
        late = rig.engine.fetch(1, "m", whole_segments(source))
        with pytest.raises(SourceSilent):
            await rig.all_in(late)
        assert now() - began < 15.0, "the next shard gets a trial, not the full patience again"
        rig.engine.close()

    at_once(main())


def test_refused_connections_defer_after_patience(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, refuse_connects=10**9)
        rig = Rig(tmp_path, over(source), patience=30.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        with pytest.raises(SourceSilent, match="connection refused"):
            await rig.all_in(shard)
        assert 30.0 <= now() < 36.0
        rig.engine.close()

    at_once(main())


def test_an_outage_shorter_than_patience_costs_no_budget(tmp_path: Path) -> None:
    async def main() -> None:
        link = emulated_link("leo", LINK.with_(outages=((1.0, 500.0),)))
        source = MemorySource("m", OBJECTS)
        rig = Rig(tmp_path, behind(source, link), patience=600.0)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        assert await rig.contents(shard) == list(OBJECTS.values())
        assert 501.0 < now() < 510.0
        assert rig.engine.drivers["m"].scheduler.lanes[0].silence.outages == 1
        rig.engine.close()

    at_once(main())


def test_after_an_outage_bytes_flow_again_within_two_round_trips_and_a_second(tmp_path: Path) -> None:
    async def main() -> None:
        link = emulated_link("leo", LINK.with_(outages=((0.8, 20.0),)))
        source = MemorySource("m", OBJECTS)
        rig = Rig(tmp_path, behind(source, link))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        lane = rig.engine.drivers["m"].scheduler.lanes[0]
        await asyncio.sleep(20.7)
        had = lane.counts.payload
        assert had < TOTAL
        await asyncio.sleep(0.1 + 1.0 + 2 * LINK.rtt)
        assert lane.counts.payload > had
        await rig.all_in(shard)
        rig.engine.close()

    at_once(main())


@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.BUSY])
def test_a_source_that_only_answers_with_errors_fails_within_two_minutes(
    tmp_path: Path, kind: FaultKind
) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.05, faults=lambda request, attempt: Fault(kind))
        rig = Rig(tmp_path, over(source))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        with pytest.raises((SourceFailing, RangeSpent)):
            await rig.all_in(shard)
        assert 10.0 < now() <= 120.0
        rig.engine.close()

    at_once(main())


def test_after_that_verdict_the_next_shard_fails_with_its_first_error(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.05, faults=Blackout(0, 150.0, FaultKind.BUSY))
        rig = Rig(tmp_path, over(source))
        for number, longest in ((0, 120.0), (1, 5.0)):
            began = now()
            shard = rig.engine.fetch(number, "m", whole_segments(source))
            with pytest.raises(SourceFailing):
                await rig.all_in(shard)
            assert now() - began <= longest
        await asyncio.sleep(160.0)
        shard = rig.engine.fetch(2, "m", whole_segments(source))
        await rig.all_in(shard)
        rig.engine.close()

    at_once(main())


def test_errors_now_and_then_are_got_over(tmp_path: Path) -> None:
    async def main() -> None:
        faults = seeded(5, 0.5, kinds=(FaultKind.ERROR, FaultKind.BUSY, FaultKind.SHORT), at_most=6)
        source = MemorySource("m", OBJECTS, latency=0.02, faults=faults)
        rig = Rig(tmp_path, over(source))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        assert await rig.contents(shard) == list(OBJECTS.values())
        rig.engine.close()

    at_once(main())


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.DENY, "AccessRefused"),
        (FaultKind.REFUSE, "RangeRefused"),
        (FaultKind.MALFORMED, "MalformedAnswer"),
        (FaultKind.CHANGE, "SourceChanged"),
        (FaultKind.DELETE, "ObjectMissing"),
        (FaultKind.ERROR, "RangeSpent"),
        (FaultKind.RESET, "RangeSpent"),
    ],
)
def test_one_object_that_fails_disturbs_no_other_shard(tmp_path: Path, kind: FaultKind, error: str) -> None:
    async def main() -> None:
        bad = next(iter(OBJECTS))
        source = MemorySource("m", OBJECTS, latency=0.02, rate=100_000, faults=always({bad: Fault(kind)}))
        rig = Rig(tmp_path, over(source))
        segments = whole_segments(source)
        failing = rig.engine.fetch(0, "m", segments[:1])
        sound = rig.engine.fetch(1, "m", segments[1:])
        assert await rig.contents(sound) == list(OBJECTS.values())[1:]
        with pytest.raises(CarriageError) as caught:
            await rig.all_in(failing)
        assert caught.value.kind == error
        assert now() < 120.0
        rig.engine.close()

    at_once(main())


def test_a_retry_after_holds_for_the_whole_source(tmp_path: Path) -> None:
    async def main() -> None:
        first = next(iter(OBJECTS))
        faults = in_turn({first: [Fault(FaultKind.BUSY, seconds=17.0)]})
        source = MemorySource("m", OBJECTS, latency=0.01, pipelines=False, faults=faults)
        asked: list[float] = []
        script = source._faults
        assert script is not None
        source._faults = lambda request, attempt: asked.append(now()) or script(request, attempt)  # type: ignore[func-returns-value]  # notes the time, then asks the script
        rig = Rig(tmp_path, over(source))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        await rig.all_in(shard)
        told = min(asked)
        assert not [at for at in asked if told + 0.1 < at < told + 17.0]
        lane = rig.engine.drivers["m"].scheduler.lanes[0]
        assert lane.concurrency.target(now(), lane.estimate) < 16
        rig.engine.close()

    at_once(main())


def test_a_wrong_checksum_is_fetched_three_times_more_and_then_fails(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", {"a": b"x" * 1000}, checksums=True)
        segment = whole_segments(source)
        source._faults = always({"a": Fault(FaultKind.CORRUPT, after=7)})
        rig = Rig(tmp_path, over(source))
        shard = rig.engine.fetch(0, "m", segment)
        with pytest.raises(ChecksumMismatch, match="'a' arrived 4 times"):
            await rig.all_in(shard)
        assert [s.sent for s in source.served] == [1000] * 4
        assert shard.counts()["net"].payload_bytes == 1000
        assert shard.counts()["net"].resent_bytes == 3000
        rig.engine.close()

    at_once(main())


def contacts(*windows: tuple[float, float]) -> ContactTable:
    return ContactTable(tuple(Contact(start, stop, None) for start, stop in windows))


def test_a_contact_that_closes_defers_what_is_left(tmp_path: Path) -> None:
    async def main() -> None:
        link = emulated_link("pass", LINK.with_(contacts=contacts((0.0, 1.5), (100.0, 200.0))))
        source = MemorySource("m", OBJECTS)
        rig = Rig(tmp_path, behind(source, link))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        with pytest.raises(LinkClosed, match="no contact over pass"):
            await rig.all_in(shard)
        assert now() < 2.0
        late = rig.engine.fetch(1, "m", whole_segments(source))
        with pytest.raises(LinkClosed):
            await rig.all_in(late)
        rig.engine.close()

    at_once(main())


def test_a_haul_that_waits_sleeps_until_the_next_contact(tmp_path: Path) -> None:
    async def main() -> None:
        windows = contacts((0.0, 1.5), (4000.0, 4001.0), (9000.0, 9500.0))
        link = emulated_link("pass", LINK.with_(contacts=windows))
        source = MemorySource("m", OBJECTS)
        rig = Rig(tmp_path, behind(source, link), patience=60.0, wait_for_contact=True)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        assert await rig.contents(shard) == list(OBJECTS.values())
        assert 9000.0 < now() < 9010.0
        counts = shard.counts()["pass"]
        assert counts.resent_bytes < 400_000, "what had arrived stayed"
        rig.engine.close()

    at_once(main())


def test_stopping_ends_every_fetch_with_the_reason_and_keeps_what_arrived(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.05, rate=100_000)
        rig = Rig(tmp_path, over(source, 4))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        await asyncio.sleep(1.03)
        arrived = shard.counts()["net"].payload_bytes
        flushed: list[float] = []
        rig.engine.stop(Interrupted("Ctrl-C"), lambda: flushed.append(now()))
        with pytest.raises(Interrupted, match="Ctrl-C"):
            await rig.all_in(shard)
        with pytest.raises(Interrupted):
            await rig.all_in(rig.engine.fetch(1, "m", whole_segments(source)))
        await asyncio.sleep(0.1)
        assert flushed
        rig.engine.close()

        again = Rig(tmp_path, over(source, 4))
        resumed = again.engine.fetch(0, "m", whole_segments(source))
        await asyncio.sleep(0.01)
        assert again.engine.resumed_bytes == arrived
        await again.all_in(resumed)
        again.engine.close()

    at_once(main())


def test_a_source_that_changes_under_the_plan_fails_the_shard(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.05, rate=400_000)
        rig = Rig(tmp_path, over(source, 4))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        await asyncio.sleep(0.5)
        source.replace("object-00003", b"other" * 1000)
        with pytest.raises(SourceChanged):
            await rig.all_in(shard)
        rig.engine.close()

    at_once(main())


def test_a_direct_read_comes_first_and_fails_alone(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, latency=0.01, rate=200_000)
        rig = Rig(tmp_path, over(source, 2))
        segments = whole_segments(source)
        shard = rig.engine.fetch(0, "m", segments[:1])
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.3)

        def read(path: int, offset: int, length: int) -> asyncio.Future[bytes]:
            answer: asyncio.Future[bytes] = loop.create_future()
            done: Callable[[bytes], None] = answer.set_result
            rig.engine.read_direct(shard, segments[path].object, offset, length, done, answer.set_exception)
            return answer

        assert await read(3, 500, 2000) == OBJECTS["object-00003"][500:2500]
        assert not shard.is_in(0), "it overtook the shard's own segment"
        source.delete("object-00002")
        with pytest.raises(ObjectMissing):
            await read(2, 0, 10)
        await rig.all_in(shard)
        assert shard.counts()["net"].payload_bytes == MIB + 2000
        rig.engine.close()

    at_once(main())
