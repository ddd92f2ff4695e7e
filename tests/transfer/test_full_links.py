"""How full the engine keeps emulated links, in virtual time: one, intermittent, several, thin."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.transfer.settings import Lane, SourceLanes
from skyhaul_connectors.transfer.spool.open_shard import OpenShard
from skyhaul_schemas.commit import TransferCounts

from .rig import MIB, Rig, emulated_link, whole_segments

MBIT = 1e6
LEO = LinkProfile(
    down=200 * MBIT, up=20 * MBIT, rtt=0.045, loss=0.004, loss_up=0.004, handover_every=15, handover_gap=0.06
)
GEO = LinkProfile(down=50 * MBIT, up=5 * MBIT, rtt=0.6, loss=0.01, loss_up=0.01)
THIN = LinkProfile(down=64e3, up=9600, rtt=0.6)


def haul(
    folder: Path, profiles: Sequence[LinkProfile], sizes: Sequence[int], most: int = 256
) -> tuple[float, dict[str, TransferCounts]]:
    """Seconds that the objects took over the links together, and the counts."""

    async def main() -> tuple[float, dict[str, TransferCounts]]:
        source = MemorySource("m", {f"{n:05d}": bytes(size) for n, size in enumerate(sizes)})
        links = [emulated_link(f"link{n}", profile, seed=3) for n, profile in enumerate(profiles)]
        lanes = tuple(Lane(link.name, EmulatedSource(source, link), shared=link) for link in links)
        rig = Rig(folder, {"m": SourceLanes(lanes, most)})
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        await rig.all_in(shard)
        took = asyncio.get_running_loop().time()
        counts = shard.counts()
        rig.engine.release(shard, keep=False)
        await asyncio.sleep(0.1)
        rig.engine.close()
        return took, counts

    return run_virtual(main(), limit=1e5)


@pytest.mark.parametrize(
    ("profile", "sizes", "most", "share"),
    [
        pytest.param(LEO, [64 * MIB], 16, 0.90, id="leo"),
        pytest.param(LEO.with_(sender="cubic"), [64 * MIB], 256, 0.91, id="leo-cubic"),
        pytest.param(GEO, [40 * MIB], 256, 0.75, id="geo"),
        pytest.param(GEO.with_(sender="cubic"), [40 * MIB], 256, 0.70, id="geo-cubic"),
        pytest.param(GEO.with_(sender="cubic"), [16 * MIB], 256, 0.50, id="geo-cubic-short"),
        pytest.param(LEO.with_(sender="cubic"), [20_000] * 1000, 256, 0.74, id="leo-small"),
        pytest.param(THIN, [500_000], 16, 0.95, id="thin"),
        pytest.param(THIN, [20_000] * 20, 16, 0.95, id="thin-small"),
    ],
)
def test_a_link_is_kept_full(
    ram_path: Path, profile: LinkProfile, sizes: list[int], most: int, share: float
) -> None:
    took, counts = haul(ram_path, [profile], sizes, most)
    assert sum(sizes) * 8 / took >= share * profile.payload_rate
    assert counts["link0"].wire_bytes <= 1.15 * sum(sizes)


@pytest.mark.parametrize("sender", ["paced", "cubic"])
def test_outages_cost_little_more_than_themselves(ram_path: Path, sender: str) -> None:
    profile = LEO.with_(down=20 * MBIT, sender=sender, outages=tuple((5.0 + 20 * n, 5.0) for n in range(20)))
    took, counts = haul(ram_path, [profile], [64 * MIB])
    outages = sum(min(took, start + length) - start for start, length in profile.outages if start < took)
    assert outages >= 10
    assert 64 * MIB * 8 / (took - outages) >= 0.88 * profile.payload_rate
    assert counts["link0"].resent_bytes <= 4 * MIB


def test_two_links_carry_what_both_can(ram_path: Path) -> None:
    took, counts = haul(ram_path, [LEO, GEO], [128 * MIB])
    assert 128 * MIB * 8 / took >= 0.8 * (LEO.payload_rate + GEO.payload_rate)
    assert counts["link1"].payload_bytes >= 12 * MIB


def test_a_link_that_dies_costs_no_byte_twice_beyond_its_open_ranges(ram_path: Path) -> None:
    dying = LEO.with_(outages=((1.5, 5e3),), handover_every=0, handover_gap=0)
    took, counts = haul(ram_path, [dying, GEO], [64 * MIB])
    assert counts["link0"].payload_bytes >= 16 * MIB
    assert sum(c.payload_bytes for c in counts.values()) == 64 * MIB
    assert sum(c.resent_bytes for c in counts.values()) <= 2 * MIB
    assert took < 15


def test_a_link_that_comes_back_is_taken_back(ram_path: Path) -> None:
    away = LEO.with_(outages=((1.0, 3.0),))
    _, counts = haul(ram_path, [away, GEO], [96 * MIB])
    assert counts["link0"].payload_bytes >= 40 * MIB


def test_the_next_shard_of_one_large_segment_is_claimed_before_the_last_one_is_in(ram_path: Path) -> None:
    sizes = [40 * MIB] * 3
    low_water = 32 * MIB

    async def main() -> float:
        source = MemorySource("m", {f"{n:05d}": bytes(size) for n, size in enumerate(sizes)})
        link = emulated_link("geo", GEO, seed=3)
        rig = Rig(
            ram_path, {"m": SourceLanes((Lane("geo", EmulatedSource(source, link), shared=link),), 256)}
        )
        opened: list[OpenShard] = []
        for number, segment in enumerate(whole_segments(source)):
            opened.append(rig.engine.fetch(number, "m", [segment]))
            while rig.engine.backlog() >= low_water:  # noqa: ASYNC110  # as the conductor looks
                await asyncio.sleep(0.05)
        for shard in opened:
            await rig.all_in(shard)
        took = asyncio.get_running_loop().time()
        for shard in opened:
            rig.engine.release(shard, keep=False)
        await asyncio.sleep(0.1)
        rig.engine.close()
        return took

    took = run_virtual(main(), limit=1e5)
    assert sum(sizes) * 8 / took >= 0.8 * GEO.payload_rate
