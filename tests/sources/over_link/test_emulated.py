"""A source behind an emulated link, in virtual time: when things happen, and that only time is added."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from range_fetcher import Fetcher
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.presets import PRESETS
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.memory.faults import Fault, FaultKind, in_turn
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import (
    ConnectFailed,
    ConnectionLost,
    LinkClosed,
    ServerError,
    StalledError,
)
from sources.over_link.emulation import (
    CLEAN,
    CONTENT,
    Owner,
    haul,
    link_on_loop,
    on_link,
    one_range,
    the_object,
)
from virtual_time import run_virtual


def test_connecting_takes_one_round_trip_and_the_first_byte_another() -> None:
    owner = on_link(LinkProfile(down=1e9, up=1e9, rtt=0.6), one_range)
    assert owner.when("opened") == pytest.approx(0.6, abs=0.002)
    assert owner.bytes[0][0] == pytest.approx(1.2, abs=0.002)
    assert owner.when("finished") == pytest.approx(owner.bytes[-1][0], abs=0.001)


def test_a_secure_source_takes_one_round_trip_more() -> None:
    owner = on_link(LinkProfile(down=1e9, up=1e9, rtt=0.6), one_range, secure=True)
    assert owner.when("opened") == pytest.approx(1.2, abs=0.002)
    assert owner.bytes[0][0] == pytest.approx(1.8, abs=0.002)


def test_a_thin_uplink_delays_requests() -> None:
    async def script(source: EmulatedSource, _link: SharedLink) -> Owner:
        owner = Owner(source)
        await asyncio.sleep(1)
        for index in range(100):
            owner.ask(the_object(source), index * 1448, 1448)
        await asyncio.sleep(10)
        return owner

    owner = on_link(LinkProfile(down=1e9, up=100e3, rtt=0.1), script)
    last = [at for at, said in owner.said if said == "finished"][-1]
    assert last == pytest.approx(1 + 100 * 372 * 8 / 100e3 + 0.1, rel=0.03)


@pytest.mark.parametrize("range_bytes", [16 * 1024, 32 * 1024, 64 * 1024, 128 * 1024])
def test_a_200_mbit_link_gives_its_physical_limit_as_payload(range_bytes: int) -> None:
    """2.5 times the bandwidth-delay product is open; start-up (two round trips) is left out."""
    ahead = 3 * 1024 * 1024 // range_bytes // 32
    got = haul(CLEAN, channels=32, range_bytes=range_bytes, ahead=max(1, ahead))
    assert got.log.rate(0.1, 0.3) == pytest.approx(CLEAN.payload_rate, rel=0.01)
    assert got.seconds == pytest.approx(2 * CLEAN.rtt + len(CONTENT) * 8 / CLEAN.payload_rate, rel=0.03)


def test_a_slow_link_delivers_steadily_and_not_in_lumps() -> None:
    got = haul(LinkProfile(down=100e3, up=100e3, rtt=0.6), 60_000, channels=1, range_bytes=60_000)
    pauses = [after - before for (before, _), (after, _) in pairwise(got.log.arrivals)]
    assert max(pauses) < 0.2
    assert got.log.rate(2.0, 4.0) == pytest.approx(100e3 * 1448 / 1500, rel=0.1)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seed", [1, 2])
def test_over_every_preset_every_byte_comes_right_and_none_faster_than_the_link(
    preset: str, seed: int
) -> None:
    profile = PRESETS[preset]
    got = haul(profile, 3_000_000, channels=40, range_bytes=32_000, seed=seed)
    fastest = max(profile.down, 450e6 if profile.rate_quantiles else 0) * 1448 / 1500
    bytes_by = 0
    for at, count in got.log.arrivals:
        bytes_by += count
        assert bytes_by * 8 <= fastest * (at - got.began + 0.001)
    assert got.log.payload == 3_000_000
    assert all(isinstance(error, ConnectionLost | StalledError | None) for _, error in got.log.closed)


@pytest.mark.parametrize("preset", ["leo-mobile", "geo"])
def test_the_same_seed_gives_the_same_haul_to_the_microsecond(preset: str) -> None:
    def play(seed: int) -> tuple[list[tuple[float, int]], int]:
        got = haul(PRESETS[preset], 2_000_000, seed=seed)
        return got.log.arrivals, got.log.wire

    assert play(4) == play(4)
    assert play(4) != play(5)


def test_several_sources_share_one_link() -> None:
    async def main() -> list[tuple[float, int]]:
        link = link_on_loop(CLEAN)
        fetchers = []
        for name in ("east", "west"):
            source = EmulatedSource(MemorySource(name, {"a": CONTENT}), link)
            fetchers.append(Fetcher(source, next(source.listing()), channels=16, range_bytes=65536, ahead=4))
        logs = [await fetcher.run() for fetcher in fetchers]
        assert all(log.content == CONTENT for log in logs)
        return sorted(arrival for log in logs for arrival in log.arrivals)

    arrivals = run_virtual(main())
    total = sum(n for at, n in arrivals if 0.1 <= at < 0.6) * 8 / 0.5
    assert total == pytest.approx(CLEAN.payload_rate, rel=0.01)


def test_nothing_arrives_during_an_outage_and_the_haul_goes_on_after_it() -> None:
    profile = CLEAN.with_(outages=((0.2, 1.0),))
    got = haul(profile)
    assert not [at for at, _ in got.log.arrivals if 0.2 < at < 1.2]
    assert [at for at, _ in got.log.arrivals if at > 1.2]
    assert got.log.closed
    assert all(error is None for _, error in got.log.closed), "an outage closes nothing by itself"
    assert got.link.times().outages == 1
    assert got.link.times().down == pytest.approx(1.0)


def test_after_an_outage_a_new_connection_is_faster_than_an_old_one() -> None:
    """Senders back off: tries at 0.2, 0.7, 1.7, 3.7, 7.8 s; a connection opened after the outage is not
    held up by what the old one still has in its queue."""

    async def script(source: EmulatedSource, _link: SharedLink) -> Owner:
        old = Owner(source)
        old.ask(the_object(source), 0, 4_000_000)
        await asyncio.sleep(5.3)
        new = Owner(source)
        new.ask(the_object(source), 0, 65536)
        await asyncio.sleep(20)
        assert max(at for at, _ in old.bytes) > 7.2
        assert not [at for at, _ in old.bytes if 0.2 < at < 7.2]
        return new

    new = on_link(CLEAN.with_(outages=((0.15, 5.05),)), script)
    assert new.when("finished") == pytest.approx(2 * 0.045, abs=0.01)


def test_a_sender_backs_off_also_where_nothing_was_on_its_way() -> None:
    """Without delay nothing is in the air when the link goes down: tries after 0.2 and 0.6 s."""
    got = haul(LinkProfile(down=8e6, up=8e6, rtt=0.0, outages=((0.5, 0.3),)), 1_000_000, channels=1)
    pauses = [(before, after - before) for (before, _), (after, _) in pairwise(got.log.arrivals)]
    at, longest = max(pauses, key=lambda pause: pause[1])
    assert at + longest == pytest.approx(0.5 + 0.2 + 0.4, abs=0.02)


def test_a_connection_that_is_opened_during_an_outage_waits_for_a_retry() -> None:
    profile = CLEAN.with_(outages=((0.0, 2.0),))
    owner = on_link(profile, one_range)
    assert owner.when("opened") == pytest.approx(3.0 + 0.045, abs=0.001), "tries after 1, 3, 7 s"
    late = on_link(profile, one_range, timeouts=Timeouts(connect=2.5))
    assert late.said == [(2.5, "closed")]
    assert isinstance(late.error, ConnectFailed)
    assert str(late.error) == "memory: no connection over link leo-west within 2.5s"


def test_an_outage_longer_than_the_idle_deadline_ends_the_channel_as_a_real_client_would() -> None:
    async def script(source: EmulatedSource, _link: SharedLink) -> Owner:
        owner = Owner(source)
        owner.ask(the_object(source), 0, 4_000_000)
        await asyncio.sleep(20)
        return owner

    profile = CLEAN.with_(outages=((0.15, 15.0),))
    owner = on_link(profile, script, timeouts=Timeouts(idle=4.0))
    assert owner.when("closed") == pytest.approx(0.15 + 4.0, abs=0.1)
    assert isinstance(owner.error, StalledError)


def test_a_channel_with_nothing_due_may_be_silent_for_ever() -> None:
    async def script(source: EmulatedSource, _link: SharedLink) -> Owner:
        owner = Owner(source)
        owner.ask(the_object(source), 0, 1000)
        await asyncio.sleep(100)
        owner.ask(the_object(source), 0, 1000)
        await asyncio.sleep(6.5)
        owner.ask(the_object(source), 0, 1000)
        await asyncio.sleep(6.5)
        return owner

    owner = on_link(CLEAN.with_(rtt=3.0), script, timeouts=Timeouts(idle=4.0))
    assert [said for _, said in owner.said] == ["opened", "finished", "finished", "finished"]


def test_a_loss_holds_back_its_own_stream_and_no_other() -> None:
    """While streams wait for lost packets the link serves others: it is done with all bytes as early as a
    clean one, but for the 1 % that crossed twice; only the last stragglers come later."""
    profile = LinkProfile(down=20e6, up=5e6, rtt=0.6, loss=0.01)
    lossy = haul(profile, 4_000_000, channels=20, range_bytes=50_000, ahead=4)
    clean = haul(profile.with_(loss=0.0), 4_000_000, channels=20, range_bytes=50_000, ahead=4)
    carried = (lossy.link.model.free_down - 0.9, clean.link.model.free_down - 0.9)
    assert carried[0] == pytest.approx(carried[1] * 1.01, rel=0.004)
    assert 0.2 < lossy.seconds - clean.seconds < 2.5, "the last losses want round trips of their own"


def test_resent_packets_take_room_on_the_link() -> None:
    profile = LinkProfile(down=20e6, up=5e6, rtt=0.02, loss=0.2)
    got = haul(profile, 6_000_000, channels=60, range_bytes=20_000, ahead=4)
    assert got.log.rate(0.5, 2.0) < profile.payload_rate / 1.15


def test_a_reset_closes_the_channel_after_what_came_before_it() -> None:
    profile = LinkProfile(down=20e6, up=5e6, rtt=0.1, loss=0.01, reset=1.0)
    got = haul(profile, 2_000_000, channels=4, range_bytes=100_000)
    resets = [error for _, error in got.log.closed if error is not None]
    assert len(resets) > 5
    assert {str(error) for error in resets} == {"link leo-west: the connection was reset"}
    assert all(isinstance(error, ConnectionLost) for error in resets)
    assert got.log.payload == 2_000_000, "each byte was delivered once: the rest of a range is asked anew"


def test_a_cubic_sender_obeys_the_square_root_law() -> None:
    """1.22 * MSS / (RTT * sqrt(p)): 0.24 Mbit/s at 600 ms and 1 % loss (Mathis et al. 1997)."""
    profile = LinkProfile(down=50e6, up=5e6, rtt=0.6, loss=0.01, sender="cubic")
    one = haul(profile, 2_000_000, channels=1, range_bytes=2_000_000, ahead=1)
    assert one.seconds == pytest.approx(2_000_000 * 8 / 0.236e6, rel=0.25)
    many = haul(profile, 4_000_000, channels=100, range_bytes=16 * 1024)
    assert many.seconds < one.seconds / 8, "only many streams fill such a link"


def test_in_a_closed_contact_nothing_connects_and_what_was_open_is_closed() -> None:
    contacts = ContactTable((Contact(0, 2, None), Contact(60, 120, None)))

    async def script(source: EmulatedSource, link: SharedLink) -> Owner:
        obj = the_object(source)
        open_before = Owner(source)
        open_before.ask(obj, 0, 8_000_000)
        await asyncio.sleep(5)
        assert open_before.when("closed") == 2.0
        assert isinstance(open_before.error, LinkClosed)
        assert str(open_before.error) == "link leo-west: no contact now; the next opens in 58.0s"
        assert max(at for at, _ in open_before.bytes) < 2.0
        assert link.closed_until() == 60.0
        refused = Owner(source)
        await asyncio.sleep(0)
        assert refused.said == [(0.0, "closed")]
        assert isinstance(refused.error, LinkClosed)
        await asyncio.sleep(56)
        assert link.closed_until() is None
        again = Owner(source)
        again.ask(obj, 0, 1000)
        await asyncio.sleep(2)
        assert again.when("finished") < 1
        await asyncio.sleep(60)
        assert str(again.error) == "link leo-west: no contact now, and its plan has no later one"
        return again

    on_link(LinkProfile(down=2e6, up=1e6, rtt=0.05, contacts=contacts), script)


def test_errors_of_the_source_come_through_unchanged_and_late_by_the_link() -> None:
    faults = in_turn({"a": [Fault(FaultKind.ERROR), Fault(FaultKind.RESET, after=3000)]})
    inner = MemorySource("memory", {"a": CONTENT}, faults=faults)

    async def script(source: EmulatedSource, _link: SharedLink) -> Owner:
        owner = Owner(source)
        owner.ask(the_object(source), 0, 5000)
        await asyncio.sleep(3)
        assert isinstance(owner.error, ServerError)
        assert owner.when("failed") == pytest.approx(1.2, abs=0.01)
        owner.ask(the_object(source), 0, 5000)
        await asyncio.sleep(3)
        assert isinstance(owner.error, ConnectionLost)
        assert "link" not in str(owner.error)
        assert sum(count for _, count in owner.bytes) == 3000
        return owner

    on_link(LinkProfile(down=100e6, up=100e6, rtt=0.6), script, inner=inner)


def test_a_source_that_refuses_to_connect_says_so_a_round_trip_later() -> None:
    inner = MemorySource("memory", {"a": CONTENT}, refuse_connects=1)
    owner = on_link(LinkProfile(down=1e9, up=1e9, rtt=0.6), one_range, inner=inner)
    assert isinstance(owner.error, ConnectFailed)
    assert [said for _, said in owner.said] == ["closed"]
    assert owner.when("closed") == pytest.approx(0.6, abs=0.001)


def test_closing_ends_everything_at_once_and_gives_the_link_to_others() -> None:
    async def script(source: EmulatedSource, _link: SharedLink) -> Owner:
        obj = the_object(source)
        first = Owner(source)
        first.ask(obj, 0, 8_000_000)
        await asyncio.sleep(1.0)
        got = len(first.bytes)
        first.channel.close()
        assert first.said[-1][1] != "closed", "closed() is never said from inside close()"
        second = Owner(source)
        second.ask(obj, 0, 100_000)
        await asyncio.sleep(5)
        assert first.said[-1][1] == "closed"
        assert first.error is None
        assert len(first.bytes) == got
        return second

    second = on_link(LinkProfile(down=8e6, up=1e6, rtt=0.1), script)
    assert second.when("finished") == pytest.approx(0.2 + 100_000 * 8 / 8e6, rel=0.15), (
        "the rest of the 8 MB (8 s of the link) did not stand before it"
    )


def test_wire_bytes_arrive_with_the_data_heads_included() -> None:
    """A source that reports 300 bytes of head an answer: the link carries them, the owner hears of them."""

    class WithHeads(MemorySource):
        def connect(self, events, route):  # type: ignore[no-untyped-def]  # a test's shim
            wire = events.wire
            events.wire = lambda count: wire(count + 300)
            return super().connect(events, route)

    async def script(source: EmulatedSource, _link: SharedLink) -> Owner:
        owner = Owner(source)
        for index in range(50):
            owner.ask(the_object(source), index * 1000, 1000)
        await asyncio.sleep(0.5)
        halfway, payload = owner.wired, sum(count for _, count in owner.bytes)
        assert payload <= halfway <= payload * 1.3 + 300
        await asyncio.sleep(10)
        return owner

    inner = WithHeads("memory", {"a": CONTENT})
    owner = on_link(LinkProfile(down=1e6, up=10e6, rtt=0.1), script, inner=inner)
    assert owner.wired == 50 * 1300
    assert owner.bytes[-1][0] == pytest.approx(0.2 + 50 * (1000 + 52 + 300 + 52) * 8 / 1e6, rel=0.1)


def test_what_is_kept_of_the_source_is_what_was_asked_for_and_no_view_of_its_buffers() -> None:
    """The source may reuse its buffer as soon as `received` returns."""

    class Reusing(MemorySource):
        def connect(self, events, route):  # type: ignore[no-untyped-def]  # a test's shim
            received = events.received
            buffer = bytearray(1 << 20)

            def reuse(request: RangeRequest, offset: int, data: bytes) -> None:
                buffer[: len(data)] = data
                received(request, offset, memoryview(buffer)[: len(data)])
                buffer[: len(data)] = bytes(len(data))

            events.received = reuse
            return super().connect(events, route)

    async def main() -> None:
        link = link_on_loop(CLEAN)
        source = EmulatedSource(Reusing("memory", {"a": CONTENT[:500_000]}), link)
        fetcher = Fetcher(source, next(source.listing()), channels=3, range_bytes=50_000)
        log = await fetcher.run()
        assert log.content == CONTENT[:500_000]

    run_virtual(main())


def test_one_timer_of_the_loop_serves_a_whole_link() -> None:
    async def main() -> int:
        link = link_on_loop(CLEAN)
        source = EmulatedSource(MemorySource("memory", {"a": CONTENT}), link)
        fetcher = Fetcher(source, next(source.listing()), channels=60, range_bytes=16384, ahead=8)
        most = 0
        while not fetcher.done.done():
            await asyncio.sleep(0.01)
            loop = asyncio.get_running_loop()
            most = max(most, sum(not timer.cancelled() for timer in loop._scheduled))  # type: ignore[attr-defined]
        fetcher.stop()
        return most

    assert run_virtual(main()) <= 2
