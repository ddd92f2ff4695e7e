"""A source over a real link: requests keep the pace and the contacts, nothing else is touched."""

from __future__ import annotations

import asyncio
import math
import random

import pytest

from range_fetcher import Fetcher, Log
from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.links.sharing.sharing import Demand, SharedPace, Step
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.paced import PacedSource
from skyhaul_schemas.errors import LinkClosed
from virtual_time import run_virtual

CONTENT = random.Random(2).randbytes(4_000_000)
REAL = LinkProfile(down=float("inf"), up=float("inf"), rtt=0.0)


def real_link(pace: float | None, profile: LinkProfile = REAL) -> SharedLink:
    clock = MonotonicClock(1e9, monotonic=asyncio.get_running_loop().time, wall=lambda: 1e9)
    return SharedLink("dish", profile, clock, emulate=False, pace=pace)


def fetch(link: SharedLink, name: str = "memory", channels: int = 8) -> Fetcher:
    source = PacedSource(MemorySource(name, {"a": CONTENT}), link)
    return Fetcher(source, next(source.listing()), channels=channels, range_bytes=50_000, redial=1.0)


def test_requests_keep_the_contracted_rate_within_one_percent() -> None:
    async def main() -> Log:
        return await fetch(real_link(8e6)).run()

    log = run_virtual(main())
    assert log.content == CONTENT
    wire = (len(CONTENT) + 80 * 300) * 1500 / 1448
    assert log.finished_at == pytest.approx(wire * 8 / 8e6, rel=0.02)
    for second in range(1, 3):
        payload = 8e6 * 1448 / 1500 * 50_000 / 50_300
        assert log.rate(second, second + 1) == pytest.approx(payload, rel=0.05), "one range is 5 %"


def test_sources_share_the_links_pace() -> None:
    async def main() -> float:
        link = real_link(8e6)
        logs = await asyncio.gather(fetch(link, "east").run(), fetch(link, "west").run())
        return max(log.finished_at for log in logs)

    assert run_virtual(main()) == pytest.approx(
        2 * (len(CONTENT) + 80 * 300) * 1500 / 1448 * 8 / 8e6, rel=0.02
    )


def test_the_pace_can_be_changed_while_a_haul_runs() -> None:
    async def main() -> Log:
        link = real_link(8e6)
        asyncio.get_running_loop().call_later(2.0, link.set_pace, 80e6)
        return await fetch(link).run()

    log = run_virtual(main())
    left = len(CONTENT) - sum(count for at, count in log.arrivals if at < 2)
    assert log.finished_at == pytest.approx(2.0 + left * 8 / 80e6, rel=0.05)


def test_without_a_pace_nothing_waits() -> None:
    async def main() -> Log:
        return await fetch(real_link(None)).run()

    assert run_virtual(main()).finished_at == 0.0


def test_a_contact_that_ends_closes_channels_and_the_next_lets_them_go_on() -> None:
    contacts = ContactTable((Contact(0, 2), Contact(10, 20)))

    async def main() -> Log:
        return await fetch(real_link(8e6, REAL.with_(contacts=contacts))).run()

    log = run_virtual(main())
    assert log.content == CONTENT
    assert not [at for at, _ in log.arrivals if 2 < at < 10]
    refused = [(at, error) for at, error in log.closed if isinstance(error, LinkClosed)]
    assert refused[0][0] == 2.0
    assert str(refused[0][1]) == "link dish: no contact now; the next opens in 8.0s"
    assert log.finished_at < 14


def test_requests_of_a_closed_channel_spend_no_pace() -> None:
    async def main() -> float:
        link = real_link(8e6)
        given_up = fetch(link, "east", channels=40)
        await asyncio.sleep(0.01)
        given_up.stop()
        log = await fetch(link, "west").run()
        return log.finished_at

    assert run_virtual(main()) == pytest.approx((len(CONTENT) + 80 * 300) * 1500 / 1448 * 8 / 8e6, rel=0.05)


def test_all_that_waits_for_a_shared_pace_is_its_demand() -> None:
    """Slots are reserved by it: by the first request alone they are too short."""

    async def main() -> float:
        link = real_link(8e6)
        link.pacer = SharedPace("dish", Silent(), link.clock, 8e6)
        traffic = link.traffic()
        for nbytes in (1000, 20_000, 300_000):
            traffic.pace(nbytes, lambda: True)
        demand = link.pacer._demand(link.clock.now())
        link.close()
        return demand.backlog

    assert asyncio.run(main()) == 8 * 321_000


class Silent:
    """An arrangement that grants nothing."""

    def step(self, now: float, demand: Demand) -> Step:
        return Step((), math.inf)

    def close(self) -> None:
        """Nothing is held."""
