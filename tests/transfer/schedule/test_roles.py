"""Roles of links in virtual time: who carries, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.contract.allowance import Allowance
from skyhaul_connectors.links.contract.rules import LinkRules
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.sources.over_link.metered import MeteredSource
from skyhaul_connectors.sources.over_link.paced import PacedSource
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.transfer.settings import Lane, SourceLanes
from skyhaul_schemas.commit import TransferCounts
from skyhaul_schemas.errors import CapSpent, LinkClosed
from skyhaul_schemas.job.model import LinkSpec

from ..rig import MIB, Rig, whole_segments

LEO = LinkProfile(down=20e6, up=5e6, rtt=0.045)
GEO = LinkProfile(down=10e6, up=5e6, rtt=0.6)


class Sky:
    """Links with rules over one source of 16 MiB; `at` schedules what happens to them."""

    def __init__(
        self,
        folder: Path,
        *links: tuple[str, LinkProfile, dict[str, object]],
        wait: bool = False,
        most: int = 16,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.loop = loop
        clock = MonotonicClock(1.8e9, monotonic=loop.time, wall=lambda: 1.8e9)
        source = MemorySource("m", {f"{n:02d}": bytes(MIB) for n in range(16)})
        self.rules: dict[str, LinkRules] = {}
        self.shared: dict[str, SharedLink] = {}
        lanes = []
        for name, profile, fields in links:
            terms = LinkTerms.of(name, LinkSpec.model_validate({**fields, "emulate": True}))
            allowance = Allowance(capped=terms.cap is not None) if terms.metered else None
            rules = self.rules[name] = LinkRules(terms, allowance=allowance)
            if allowance is not None and terms.cap is not None:
                allowance.limit, allowance.exhausted = terms.cap.bytes, True
            shared = self.shared[name] = SharedLink(name, profile, clock, seed=3, rules=rules)
            wrapped: Source = PacedSource(EmulatedSource(source, shared), shared)
            if allowance is not None:
                wrapped = MeteredSource(wrapped, shared, rules)
            lanes.append(Lane(name, wrapped, shared=shared))
        self.rig = Rig(folder, {"m": SourceLanes(tuple(lanes), most)}, wait_for_contact=wait)
        self.shard = self.rig.engine.fetch(0, "m", whole_segments(source))

    def at(self, second: float, call: Callable[[], object]) -> None:
        self.loop.call_at(second, call)

    def carried(self) -> dict[str, int]:
        return {link: count.payload_bytes for link, count in self.shard.counts().items()}

    async def haul(self) -> tuple[float, dict[str, TransferCounts]]:
        """Seconds it took, and the counts. Raises what the fetch ended with."""
        try:
            await self.rig.all_in(self.shard)
            return self.loop.time(), self.shard.counts()
        finally:
            self.rig.engine.release(self.shard, keep=False)
            await asyncio.sleep(0.1)
            self.rig.engine.close()


def down(start: float, length: float) -> LinkProfile:
    return LEO.with_(outages=((start, length),))


def test_a_last_resort_waits_for_short_outages_and_ends_when_the_others_are_back(ram_path: Path) -> None:
    async def main() -> None:
        sky = Sky(ram_path, ("leo", down(1.0, 6.0), {}), ("gold", GEO, {"role": "last-resort"}))
        _, counts = await sky.haul()
        assert "gold" not in counts

    run_virtual(main(), limit=300)

    async def longer() -> None:
        sky = Sky(ram_path, ("leo", down(1.0, 12.0), {}), ("gold", GEO, {"role": "last-resort"}))
        seen: dict[float, int] = {}
        for second in (10.5, 13.0, 17.2, 18.0):
            sky.at(second, lambda second=second: seen.update({second: sky.carried().get("gold", 0)}))
        _, counts = await sky.haul()
        assert seen[10.5] == 0
        assert seen[13.0] > MIB // 4, "carries after ten seconds of silence"
        assert seen[18.0] - seen[17.2] == 0, "and lets the other have it back"
        assert sum(c.payload_bytes for c in counts.values()) == 16 * MIB
        assert sum(c.resent_bytes for c in counts.values()) <= MIB

    run_virtual(longer(), limit=300)


@pytest.mark.parametrize("most", [2, 5])
def test_a_last_resort_gets_connections_that_the_dead_link_held(ram_path: Path, most: int) -> None:
    async def main() -> None:
        dead = ("leo", down(1.0, 1e6), {})
        sky = Sky(ram_path, dead, ("gold", LEO, {"role": "last-resort"}), most=most)
        took, counts = await sky.haul()
        assert sum(c.payload_bytes for c in counts.values()) == 16 * MIB
        assert counts["gold"].payload_bytes > 8 * MIB
        assert took < 60

    run_virtual(main(), limit=300)


def test_a_last_resort_stands_in_at_once_for_a_contact_that_closed(ram_path: Path) -> None:
    passes = ContactTable((Contact(0, 2), Contact(8, 1e6)))

    async def main() -> None:
        sky = Sky(ram_path, ("leo", LEO.with_(contacts=passes), {}), ("gold", GEO, {"role": "last-resort"}))
        seen: dict[float, int] = {}
        sky.at(4.5, lambda: seen.update({4.5: sky.carried().get("gold", 0)}))
        _, counts = await sky.haul()
        assert seen[4.5] > 256 * 1024
        assert counts["leo"].payload_bytes > counts["gold"].payload_bytes

    run_virtual(main(), limit=300)


def test_overflow_carries_while_it_is_needed(ram_path: Path) -> None:
    async def main() -> None:
        sky = Sky(ram_path, ("leo", LEO, {}), ("geo", GEO, {"role": "overflow"}))
        seen: dict[float, int] = {}
        sky.at(2.0, lambda: setattr(sky.rules["geo"], "needed", True))
        sky.at(4.0, lambda: setattr(sky.rules["geo"], "needed", False))
        for second in (2.0, 5.5, 6.5):
            sky.at(second, lambda second=second: seen.update({second: sky.carried().get("geo", 0)}))
        await sky.haul()
        assert seen[2.0] == 0
        assert seen[5.5] > 512 * 1024
        assert seen[6.5] == seen[5.5], "what was out has come in, and nothing more is asked for"

    run_virtual(main(), limit=300)


def test_a_lone_overflow_link_that_nobody_needs_is_closed(ram_path: Path) -> None:
    async def main() -> None:
        await Sky(ram_path, ("geo", GEO, {"role": "overflow"})).haul()

    with pytest.raises(LinkClosed):
        run_virtual(main(), limit=300)


def test_a_cap_is_used_up_and_not_passed(ram_path: Path) -> None:
    async def main() -> None:
        sky = Sky(ram_path, ("leo", LEO, {"cap": "5MB/month"}))
        try:
            await sky.haul()
        finally:
            allowance = sky.rules["leo"].allowance
            assert allowance is not None
            assert 5_000_000 - 64 * 1024 <= allowance.counted <= 5_000_000
            assert allowance.promised == 0

    with pytest.raises(CapSpent, match="link leo: its cap of 5 MB/month is used up"):
        run_virtual(main(), limit=300)


def test_a_link_that_is_switched_off_hands_its_ranges_over_and_comes_back(ram_path: Path) -> None:
    async def main() -> None:
        sky = Sky(ram_path, ("leo", LEO, {}), ("geo", GEO, {}))
        seen: dict[float, int] = {}
        sky.at(1.5, lambda: setattr(sky.rules["leo"], "override", 0.0))
        sky.at(5.0, lambda: setattr(sky.rules["leo"], "override", None))
        for second in (2.0, 5.0, 7.0):
            sky.at(second, lambda second=second: seen.update({second: sky.carried()["leo"]}))
        _, counts = await sky.haul()
        assert seen[5.0] == seen[2.0]
        assert seen[7.0] > seen[5.0] + MIB
        assert sum(c.payload_bytes for c in counts.values()) == 16 * MIB
        assert sum(c.resent_bytes for c in counts.values()) == 0

    run_virtual(main(), limit=300)


def test_switched_off_with_wait_a_haul_sleeps_until_it_is_on(ram_path: Path) -> None:
    async def main() -> float:
        sky = Sky(ram_path, ("leo", LEO, {}), wait=True)
        sky.at(1.5, lambda: setattr(sky.rules["leo"], "override", 0.0))
        sky.at(5000.0, lambda: setattr(sky.rules["leo"], "override", None))
        took, _ = await sky.haul()
        return took

    assert 5000 < run_virtual(main(), limit=1e5) < 5020


def test_a_rate_that_is_set_holds_on_an_emulated_link_too(ram_path: Path) -> None:
    async def main() -> None:
        sky = Sky(ram_path, ("leo", LEO, {}))
        seen: dict[float, int] = {}
        sky.at(2.0, lambda: sky.rig.engine.set_pace("leo", 4e6, redial=True))
        for second in (1.0, 2.0, 3.0, 8.0):
            sky.at(second, lambda second=second: seen.update({second: sky.carried()["leo"]}))
        await sky.haul()
        assert (seen[2.0] - seen[1.0]) * 8 > 15e6
        assert (seen[8.0] - seen[3.0]) * 8 / 5 == pytest.approx(4e6 * LEO.payload_rate / LEO.down, rel=0.1)

    run_virtual(main(), limit=300)
