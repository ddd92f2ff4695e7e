"""Hundreds of hauls through faults of source and link, in virtual time: the bytes are right each time, and
the counts add up."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.sources.memory.faults import Fault, FaultKind, FaultScript, seeded
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.transfer.settings import Lane, SourceLanes
from skyhaul_schemas.commit import TransferCounts

from .rig import Rig, behind, emulated_link, over, random_objects, whole_segments

MBIT = 1e6


def corrupting(seed: int, script: FaultScript) -> FaultScript:
    """One silent wrong byte in some of the objects, besides the script's faults."""
    seen: set[str] = set()

    def fault(request: RangeRequest, attempt: int) -> Fault | None:
        path = request.object.path
        if path not in seen and random.Random(f"corrupt/{seed}/{path}").random() < 0.2:
            seen.add(path)
            return Fault(FaultKind.CORRUPT, after=0)
        return script(request, attempt)

    return fault


def draw_source(draw: random.Random, seed: int) -> tuple[MemorySource, dict[str, bytes]]:
    sizes = [draw.choice([0, 1, 100, 20_000, 200_000, 1_500_000]) for _ in range(draw.randint(1, 10))]
    objects = random_objects(seed, sizes)
    source = MemorySource(
        "m",
        objects,
        latency=draw.choice([0, 0.02, 0.3]),
        rate=draw.choice([None, 50_000, 1_000_000]),
        piece=draw.choice([5_000, 65_536]),
        pipelines=draw.random() < 0.5,
        faults=corrupting(seed, seeded(seed, draw.choice([0, 0.05, 0.3]))),
        checksums=True,
        refuse_connects=draw.choice([0, 0, 5]),
    )
    return source, objects


def draw_link(draw: random.Random) -> LinkProfile:
    return LinkProfile(
        down=draw.choice([1, 20, 200]) * MBIT,
        up=MBIT,
        rtt=draw.choice([0.02, 0.1, 0.6]),
        jitter=draw.choice([0, 0.02]),
        loss=draw.choice([0, 0.01, 0.1]),
        loss_up=draw.choice([0, 0.01]),
        reset=draw.choice([0, 0.001]),
        handover_every=15.0,
        handover_gap=draw.choice([0, 0.2]),
        outages=tuple((draw.uniform(0, 20), draw.uniform(0.1, 8)) for _ in range(draw.randint(0, 3))),
        sender=draw.choice(["paced", "cubic"]),
    )


def check(counts: dict[str, TransferCounts], objects: dict[str, bytes]) -> None:
    assert sum(c.payload_bytes for c in counts.values()) == sum(map(len, objects.values()))
    for c in counts.values():
        assert c.wire_bytes >= c.payload_bytes


async def haul(folder: Path, seed: int, *, links: int) -> None:
    draw = random.Random(f"haul/{seed}/{links}")
    source, objects = draw_source(draw, seed)
    most = draw.choice([1, 3, 16, 64])
    if links == 0:
        lanes = over(source, most)
    elif links == 1:
        lanes = behind(source, emulated_link("a", draw_link(draw), seed), most)
    else:
        both = [behind(source, emulated_link(name, draw_link(draw), seed), most) for name in "ab"]
        lanes = {"m": SourceLanes(tuple(_lanes(both)), most)}
    rig = Rig(folder, lanes, seed=seed, patience=1e5, spool_limit=draw.choice([1 << 40, 2_000_000]))
    shard = rig.engine.fetch(7, "m", whole_segments(source))
    for index, content in enumerate(objects.values()):
        segment = shard.map.segments[index]
        await rig.segment_in(shard, index)
        data, wrong = shard.read(index, segment.offset, segment.length)
        assert not wrong
        assert data == content
        rig.engine.drop(shard, index)
    check(shard.counts(), objects)
    rig.engine.release(shard, keep=False)
    await asyncio.sleep(1)
    assert rig.engine.spool_bytes == 0
    rig.engine.close()


def _lanes(both: list[dict[str, SourceLanes]]) -> list[Lane]:
    return [lane for lanes in both for lane in lanes["m"].lanes]


@pytest.mark.parametrize("links", [0, 1, 2])
@pytest.mark.parametrize("block", range(3))
def test_every_byte_is_right_whatever_went_wrong(ram_path: Path, links: int, block: int) -> None:
    for seed in range(4 * block, 4 * block + 4):
        print(f"seed {seed}")
        run_virtual(haul(ram_path / str(seed), seed, links=links), limit=1e5)
        assert list(ram_path.glob("*/*/*.bytes")) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("links", [0, 1, 2])
def test_every_byte_is_right_over_hundreds_of_seeds(ram_path: Path, links: int) -> None:
    for seed in range(100, 400):
        print(f"seed {seed}")
        run_virtual(haul(ram_path / str(seed), seed, links=links), limit=1e5)
        assert list(ram_path.glob("*/*/*.bytes")) == []


@pytest.mark.parametrize("seed", range(6))
def test_a_haul_killed_again_and_again_ends_with_the_same_bytes(ram_path: Path, seed: int) -> None:
    """Each run dies at a random moment; the last one finishes. Payload over all runs is counted once."""
    draw = random.Random(f"kills/{seed}")
    objects = random_objects(seed, [draw.choice([0, 100, 20_000, 900_000]) for _ in range(8)])

    async def run(dies_after: float | None) -> None:
        source = MemorySource(
            "m", objects, latency=0.05, rate=200_000, checksums=True, faults=seeded(seed, 0.1)
        )
        rig = Rig(ram_path, over(source, 4), seed=seed)
        shard = rig.engine.fetch(1, "m", whole_segments(source))
        if dies_after is not None:
            await asyncio.sleep(dies_after)
            rig.engine._spool._journal.close()
            rig.engine._spool._lock.release()
            return
        assert await rig.contents(shard) == list(objects.values())
        counts = shard.counts()["net"]
        total = sum(map(len, objects.values()))
        assert counts.payload_bytes == total, "what a kill lost crosses again, and is payload then"
        rig.engine.close()

    for _ in range(6):
        run_virtual(run(draw.uniform(0.05, 1.5)), limit=1e5)
    run_virtual(run(None), limit=1e5)
