"""The scheduler over a simple link in virtual time: recovery after outages, fairness, no starvation, and a
number of connections that settles."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.virtual_time import run_virtual

from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.sources.memory.source import MemorySource

from ..rig import MIB, Rig, behind, emulated_link, whole_segments
from ..test_full_links import GEO, LEO, MBIT


def payload(rig: Rig) -> int:
    return sum(lane.counts.payload for lane in rig.engine.drivers["m"].scheduler.lanes)


@pytest.mark.parametrize("profile", [LEO, GEO], ids=["leo", "geo"])
def test_new_bytes_come_within_two_round_trips_and_a_second_of_an_outage_s_end(
    ram_path: Path, profile: LinkProfile
) -> None:
    outages = ((3.0, 5.0), (14.0, 2.0), (22.0, 9.0))
    away = profile.with_(outages=outages, handover_every=0, handover_gap=0)

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        source = MemorySource("m", {"0": bytes(640 * MIB)})
        rig = Rig(ram_path, behind(source, emulated_link("sky", away), 256))
        rig.engine.fetch(0, "m", whole_segments(source))
        waits: list[float] = []
        for start, length in outages:
            await asyncio.sleep(start + length - loop.time())
            before = payload(rig)
            for _ in range(1000):
                if payload(rig) > before:
                    break
                await asyncio.sleep(0.01)
            waits.append(loop.time() - start - length)
        rig.engine.close()
        return waits

    assert max(run_virtual(main(), limit=1e3)) <= 2 * profile.rtt + 1.0


def test_two_hauls_share_one_link_fairly(ram_path: Path) -> None:
    profile = LEO.with_(sender="cubic")

    async def main() -> tuple[int, int]:
        link = emulated_link("sky", profile)
        rigs = []
        for name in ("one", "two"):
            source = MemorySource("m", {"0": bytes(160 * MIB)})
            rig = Rig(ram_path / name, behind(source, link, 256))
            rig.engine.fetch(0, "m", whole_segments(source))
            rigs.append(rig)
            await asyncio.sleep(1.0)
        begun = [payload(rig) for rig in rigs]
        await asyncio.sleep(6.0)
        one, two = (payload(rig) - count for rig, count in zip(rigs, begun, strict=True))
        for rig in rigs:
            rig.engine.close()
        return one, two

    one, two = run_virtual(main(), limit=1e3)
    assert 0.6 <= one / two <= 1 / 0.6
    assert (one + two) * 8 / 6.0 >= 0.85 * profile.payload_rate


@pytest.mark.parametrize(
    "profile", [LEO.with_(sender="cubic"), GEO.with_(sender="cubic")], ids=["leo", "geo"]
)
def test_the_number_of_connections_settles(ram_path: Path, profile: LinkProfile) -> None:
    """From the sixth second on it moves by no more than a half, and never downwards."""

    async def main() -> list[int]:
        source = MemorySource("m", {"0": bytes(320 * MIB)})
        rig = Rig(ram_path, behind(source, emulated_link("sky", profile), 256))
        rig.engine.fetch(0, "m", whole_segments(source))
        await asyncio.sleep(6.0)
        seen: list[int] = []
        for _ in range(60):
            await asyncio.sleep(0.1)
            seen.append(rig.engine.drivers["m"].scheduler.lanes[0].open_channels)
        rig.engine.close()
        return seen

    seen = run_virtual(main(), limit=1e3)
    assert seen == sorted(seen)
    assert seen[-1] <= 1.5 * seen[0]


@settings(
    deadline=None,
    derandomize=True,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    down=st.sampled_from([0.5, 4.0, 20.0, 100.0, 400.0]),
    rtt=st.sampled_from([0.01, 0.045, 0.14, 0.6]),
    loss=st.sampled_from([0.0, 0.004, 0.02, 0.05]),
    sender=st.sampled_from(["paced", "cubic"]),
    outage=st.booleans(),
    most=st.sampled_from([2, 16, 256]),
)
def test_no_object_starves_on_any_link(
    ram_path: Path, down: float, rtt: float, loss: float, sender: str, outage: bool, most: int
) -> None:
    """Large and small objects end on every link, in a bounded multiple of the least time that the link and
    its senders take, and little is sent twice."""
    profile = LinkProfile(
        down=down * MBIT,
        up=down * MBIT / 10,
        rtt=rtt,
        loss=loss,
        sender=sender,
        outages=((1.0, 4.0),) if outage else (),
    )
    total = int(min(16 * MIB, down * MBIT / 8 * 10))
    sizes = [total // 2, *[max(1, total // 80)] * 40]

    async def main() -> tuple[float, int]:
        source = MemorySource("m", {f"{n:03d}": bytes(size) for n, size in enumerate(sizes)})
        rig = Rig(ram_path, behind(source, emulated_link("sky", profile), most))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        await rig.all_in(shard)
        resent = sum(count.resent_bytes for count in shard.counts().values())
        took = asyncio.get_running_loop().time()
        rig.engine.release(shard, keep=False)
        await asyncio.sleep(0.1)
        rig.engine.close()
        return took, resent

    took, resent = run_virtual(main(), limit=1e4)
    # Mathis et al. (1997), and a window of 10 segments at least, bound what a CUBIC connection brings.
    per_connection = 1.22 * 1448 * 8 / (rtt * loss**0.5) if loss and sender == "cubic" else float("inf")
    rate = min(profile.payload_rate, most * per_connection)
    assert took <= 4 * sum(sizes) * 8 / rate + 20 * rtt + (6.0 if outage else 0.0) + 1.0
    assert resent <= 0.15 * sum(sizes) + 2 * MIB
