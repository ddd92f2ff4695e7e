"""What an emulated channel says when it opens, and in which order it asks then."""

from __future__ import annotations

import asyncio

import pytest

from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.memory.channel import MemoryChannel
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.sources.protocol import ChannelEvents, Route
from sources.over_link.emulation import CLEAN, CONTENT, Owner, on_link, one_range, the_object


class Untimed(MemorySource):
    """Its openings tell no round trip, as those of a list of URLs on several servers."""

    def connect(self, events: ChannelEvents, route: Route) -> MemoryChannel:
        opened = events.opened
        events.opened = lambda timed=True: opened(False)  # type: ignore[method-assign]
        return super().connect(events, route)


@pytest.mark.parametrize(
    ("secure", "inner", "timed"),
    [
        (False, MemorySource, True),
        (True, MemorySource, False),
        (False, Untimed, False),
        (True, Untimed, False),
    ],
)
def test_an_opening_is_a_round_trip_only_where_it_took_just_one(
    secure: bool, inner: type[MemorySource], timed: bool
) -> None:
    owner = on_link(CLEAN, one_range, inner=inner("memory", {"a": CONTENT}), secure=secure)
    assert owner.when("finished") > 0
    assert owner.timed is timed


def test_what_is_asked_as_the_channel_opens_stands_behind_what_was_asked_before() -> None:
    class Eager(Owner):
        def opened(self, timed: bool = True) -> None:
            super().opened(timed)
            self.ask(self.wanted, 3 * 1448, 1448)

    async def script(source: EmulatedSource, _link: SharedLink) -> Owner:
        owner = Eager(source)
        owner.wanted = the_object(source)
        for index in range(3):
            owner.ask(owner.wanted, index * 1448, 1448)
        await asyncio.sleep(5)
        return owner

    inner = MemorySource("memory", {"a": CONTENT})
    on_link(CLEAN, script, inner=inner)
    assert [served.offset for served in inner.served] == [0, 1448, 2 * 1448, 3 * 1448]
