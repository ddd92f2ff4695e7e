"""Rehearsals against the engine itself in virtual time, and strides against rehearsals of the whole."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.transfer.rig import MIB, Rig, behind, emulated_link
from tests.virtual_time import run_virtual

from skyhaul.forecast.capacity import averaged
from skyhaul.forecast.feeding import cut_to
from skyhaul.forecast.link_in_time import SimulatedLink
from skyhaul.forecast.link_shares import measure_shares, recover, sample_bytes, sample_seconds
from skyhaul.forecast.rehearsal import Sample, rehearse
from skyhaul.forecast.simulation import SimulatedSource, simulate
from skyhaul_connectors.links.profile.presets import PRESETS
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_schemas.plan import PinnedObject

ROOM = 1 << 40

INTERMITTENT = PRESETS["leo"].with_(
    outages=tuple((15.0 + 20 * n, 5.0) for n in range(40)), episodes=(), handover_spike=0.0
)


@pytest.fixture
def ram() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="skyhaul-test-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def objects(count: int, size: int) -> list[Segment]:
    return [Segment(PinnedObject("s", f"{n:06d}", size, ""), 0, size) for n in range(count)]


@pytest.mark.parametrize(
    ("profile", "count", "size", "most"),
    [
        pytest.param(PRESETS["leo"], 16, 4 * MIB, 16, id="leo"),
        pytest.param(PRESETS["leo"], 1500, 20_000, 16, id="leo-small"),
        pytest.param(PRESETS["geo"], 12, 4 * MIB, 256, id="geo"),
        pytest.param(PRESETS["geo"].with_(sender="cubic"), 6, 4 * MIB, 64, id="geo-cubic"),
        pytest.param(INTERMITTENT.with_(down=20 * MIB), 16, 4 * MIB, 32, id="intermittent"),
    ],
)
def test_a_rehearsal_takes_as_long_as_the_engine(
    ram: Path, profile: LinkProfile, count: int, size: int, most: int
) -> None:
    async def engine() -> float:
        source = MemorySource("s", {f"{n:06d}": bytes(size) for n in range(count)}, pipelines=True)
        rig = Rig(ram, behind(source, emulated_link("l", profile, 3), most), wait_for_contact=True)
        shard = rig.engine.fetch(0, "s", [Segment(obj, 0, obj.size) for obj in source.listing()])
        await rig.all_in(shard)
        took = asyncio.get_running_loop().time()
        rig.engine.release(shard, keep=False)
        await asyncio.sleep(0.1)
        rig.engine.close()
        return took

    took = run_virtual(engine(), limit=1e5)
    rehearsed = rehearse(
        Sample("s", [objects(count, size)], most), {"l": profile}, seed=3, spool_limit=ROOM, limit=1e5
    )
    assert rehearsed.whole
    assert rehearsed.links["l"].payload == count * size
    assert rehearsed.took == pytest.approx(took, rel=0.06)


@pytest.mark.parametrize(
    ("profile", "count", "size", "most"),
    [
        pytest.param(PRESETS["leo"], 500, MIB, 64, id="leo"),
        pytest.param(PRESETS["geo"], 300, MIB, 16, id="geo"),
        pytest.param(INTERMITTENT, 500, MIB, 64, id="intermittent"),
        pytest.param(PRESETS["leo-mobile"], 900, MIB, 64, id="leo-mobile"),
    ],
)
def test_strides_take_as_long_as_a_rehearsal_of_the_whole(
    profile: LinkProfile, count: int, size: int, most: int
) -> None:
    links = {"l": profile}
    whole = [objects(count, size)]
    first = cut_to(iter(whole), sample_bytes(links), 4000)
    sample = Sample("s", first, most)
    reached = measure_shares(sample, links, seed=0, spool_limit=ROOM)
    recovery = recover(sample, "l", profile, seed=0, spool_limit=ROOM)
    reckoned = averaged(profile, sample_seconds(links), count * size * 8 / profile.down)
    link = SimulatedLink("l", reckoned, recovery.outage, recovery.contact)
    simulated = simulate(
        [SimulatedSource("s", count * size, reached.shares, reached.overhead)], [link], seed=5
    )
    full = rehearse(Sample("s", whole, most), links, seed=5, spool_limit=ROOM, limit=1e5)
    assert simulated.took == pytest.approx(full.took, rel=0.05)


def test_equal_rehearsals_are_equal() -> None:
    sample = Sample("s", [objects(200, 40_000)], 32)
    answers = [rehearse(sample, {"l": PRESETS["geo"]}, seed=9, spool_limit=ROOM, limit=1e5) for _ in range(2)]
    assert answers[0] == answers[1]


def test_a_spool_smaller_than_the_link_needs_holds_the_transfer_up() -> None:
    sample = Sample("s", [objects(40, MIB)], 256)
    wide = rehearse(sample, {"l": PRESETS["geo"]}, seed=1, spool_limit=ROOM, limit=1e5)
    narrow = rehearse(sample, {"l": PRESETS["geo"]}, seed=1, spool_limit=MIB, limit=1e5)
    assert not wide.spool_full
    assert narrow.spool_full
    assert narrow.took > 2 * wide.took
