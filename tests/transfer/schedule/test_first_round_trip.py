"""Channels whose opening tells no round trip (TLS, a list of URLs) are all used before the first answer."""

from __future__ import annotations

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask, Send
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.lane import LaneState
from skyhaul_connectors.transfer.schedule.pace import FIRST_RANGE
from skyhaul_connectors.transfer.schedule.scheduler import SourceScheduler
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_schemas.plan import PinnedObject

from .nowhere import Nowhere

SIZE = 64 * 1024 * 1024


def test_on_a_long_path_every_channel_that_opened_is_asked_at_once() -> None:
    lane = LaneState(0, "geo", 256)
    scheduler = SourceScheduler("s", [lane], 256, SourceHealth("s", patience=600.0, give_up_after=120.0))
    scheduler.add(
        FetchTask(0, 0, AddressMap([Segment(PinnedObject("s", "0", SIZE, ""), 0, SIZE)]), Nowhere())
    )
    scheduler.want(0, 0, 0.0)
    for step in range(90):  # hand-shakes take 1.8 s
        scheduler.decide(0.02 * step)
    dialled = list(lane.channels)
    assert len(dialled) > 200
    for channel in dialled:
        scheduler.opened(channel, 1.8, timed=False)
    asked = [action.channel for action in scheduler.decide(1.8) if isinstance(action, Send)]
    assert sorted(asked) == sorted(dialled)
    assert all(ask.remaining <= FIRST_RANGE for ask in scheduler._state.in_flight.values())
