"""Over any link: every byte comes once and right, only while the link is up, and never faster than it."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from link_profiles import profiles
from range_fetcher import Fetcher, Log
from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.emulation.timeline import SLACK
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_schemas.errors import ConnectFailed, ConnectionLost, LinkClosed, StalledError
from virtual_time import run_virtual

CONTENT = random.Random(3).randbytes(300_000)
FASTEST = 20e6
EVENTUALLY = Contact(60.0, 1e6)


def play(
    profile: LinkProfile, seed: int, channels: int, range_bytes: int, ahead: int
) -> tuple[Log, SharedLink]:
    async def main() -> tuple[Log, SharedLink]:
        clock = MonotonicClock(0.0, monotonic=asyncio.get_running_loop().time, wall=lambda: 0.0)
        link = SharedLink("any", profile, clock, seed=seed)
        source = EmulatedSource(MemorySource("memory", {"a": CONTENT}, piece=20_000), link)
        fetcher = Fetcher(
            source, next(source.listing()), channels=channels, range_bytes=range_bytes, ahead=ahead
        )
        return await fetcher.run(), link

    return run_virtual(main())


links = st.builds(
    lambda profile, loss, burst, jitter, reset, sender: profile.with_(
        loss=loss, loss_up=loss, burst=burst, jitter=jitter, reset=reset, sender=sender,
        contacts=ContactTable((*profile.contacts.contacts, EVENTUALLY)) if profile.contacts else None,
    ),
    profiles,
    st.sampled_from([0.0, 0.001, 0.02, 0.2]),
    st.sampled_from([1.0, 4.0]),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from(["paced", "cubic"]),
)  # fmt: skip


@settings(max_examples=50, derandomize=True, deadline=None)
@given(
    links, st.integers(0, 3), st.integers(1, 12), st.sampled_from([3000, 16384, 100_000]), st.integers(1, 4)
)
def test_every_byte_comes_once_and_right_and_only_while_the_link_is_up(
    profile: LinkProfile, seed: int, channels: int, range_bytes: int, ahead: int
) -> None:
    log, link = play(profile, seed, channels, range_bytes, ahead)
    assert log.content == CONTENT
    assert log.payload == len(CONTENT)
    assert log.wire >= log.payload
    carried = 0
    for at, count in log.arrivals:
        assert Phase.UP in (link.state(at).phase, link.state(at + SLACK).phase)
        carried += count
        assert carried * 8 <= FASTEST * (at + SLACK)
    assert {type(error) for _, error in log.closed} <= {
        ConnectionLost, ConnectFailed, LinkClosed, StalledError, type(None),
    }  # fmt: skip
    assert not log.failed


@settings(max_examples=10, derandomize=True, deadline=None)
@given(links, st.integers(0, 3))
def test_the_same_link_and_seed_play_the_same_haul(profile: LinkProfile, seed: int) -> None:
    first, _ = play(profile, seed, 6, 16384, 2)
    second, _ = play(profile, seed, 6, 16384, 2)
    assert (first.arrivals, first.opened, first.wire) == (second.arrivals, second.opened, second.wire)
