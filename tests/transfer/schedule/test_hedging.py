"""Second copies of late ranges: when they are asked for, and that they save and never cost a byte."""

from __future__ import annotations

import pytest

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask, Open, RangeInFlight, Send
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.lane import LaneState
from skyhaul_connectors.transfer.schedule.scheduler import SourceScheduler
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_schemas.errors import ConnectionLost
from skyhaul_schemas.plan import PinnedObject

from .nowhere import Nowhere

SIZE = 10_000
RTT = 0.1


class Table:
    """An object of one range a channel; the first channel never answers."""

    def __init__(self, channels: int = 2) -> None:
        self.lane = LaneState(0, "leo", channels)
        health = SourceHealth("s", patience=600.0, give_up_after=120.0)
        self.scheduler = SourceScheduler("s", [self.lane], channels, health)
        self.work, self.other, *_ = [self.add(key) for key in range(channels)]
        self.now = 0.0
        self.asks: list[RangeInFlight] = []
        self.channels: list[int] = []
        self.decide(0.0)
        for channel in self.channels:
            self.scheduler.opened(channel, RTT)
        self.decide(RTT)
        self.first, *others = self.asks
        for other in others:
            self.scheduler.received(other, SIZE, 2 * RTT)
            self.scheduler.finished(other, 2 * RTT)

    def add(self, key: int) -> FetchTask:
        segment = Segment(PinnedObject("s", str(key), SIZE, ""), 0, SIZE)
        work = FetchTask(key, key, AddressMap([segment]), Nowhere())
        self.scheduler.add(work)
        self.scheduler.want(key, 0, 0.0)
        return work

    def decide(self, now: float) -> list[RangeInFlight]:
        """The asks that went out."""
        fresh: list[RangeInFlight] = []
        for action in self.scheduler.decide(now):
            match action:
                case Open(_, channel):
                    self.channels.append(channel)
                case Send(_, request):
                    ask = self.scheduler.in_flight(request.tag)
                    assert ask is not None
                    fresh.append(ask)
        self.asks += fresh
        return fresh


def hedged() -> tuple[Table, RangeInFlight]:
    table = Table()
    assert table.decide(2 * RTT) == [], "it may still come in time"
    (copy,) = table.decide(0.5)
    assert (copy.task, copy.start, copy.stop) == (table.first.task, 0, SIZE)
    assert table.decide(5 * RTT + 0.1) == [], "two copies, not three"
    return table, copy


def test_the_copy_that_comes_first_is_kept_and_the_other_counts_as_resent() -> None:
    table, copy = hedged()
    assert table.scheduler.received(table.first, 4_000, 0.61) == [(0, 4_000)]
    assert table.scheduler.received(copy, 6_000, 0.62) == [(4_000, 6_000)]
    assert table.scheduler.received(table.first, 6_000, 0.63) == [(6_000, SIZE)]
    table.scheduler.finished(table.first, 0.63)
    assert table.scheduler.missing == 0
    assert table.scheduler.received(copy, 4_000, 0.64) == []
    counts = table.work.counts["leo"] if table.first.task is table.work else table.other.counts["leo"]
    assert (counts.payload, counts.resent) == (SIZE, SIZE)


@pytest.mark.parametrize("which", ["first", "copy"])
def test_when_one_copy_fails_the_other_goes_on_and_nothing_is_asked_again(which: str) -> None:
    table, copy = hedged()
    failing = table.first if which == "first" else copy
    staying = copy if which == "first" else table.first
    table.scheduler.failed(failing, ConnectionLost("reset"), 0.6)
    assert table.scheduler._state.queue.waiting == 0
    table.scheduler.received(staying, SIZE, 0.62)
    table.scheduler.finished(staying, 0.62)
    assert table.scheduler.missing == 0


def test_when_both_fail_the_range_is_asked_again_once() -> None:
    table, copy = hedged()
    table.scheduler.failed(table.first, ConnectionLost("reset"), 0.6)
    table.scheduler.failed(copy, ConnectionLost("reset"), 0.6)
    assert table.scheduler._state.queue.waiting == SIZE
    asked = table.decide(2.0)
    assert [(ask.start, ask.stop) for ask in asked] == [(0, SIZE)]


def test_a_full_link_is_no_reason_for_a_copy() -> None:
    table = Table()
    table.lane.estimate.sample(100.0)
    assert table.decide(2.0) == [], "at 100 B/s ten kilobytes take their time"


@pytest.mark.parametrize(
    ("came", "copies"), [(10, 0), (40, 0), (50, 1), (160, 1), (170, 2), (800, 2), (900, 3)]
)
def test_the_less_is_missing_the_more_copies_go_out_before_anything_is_late(came: int, copies: int) -> None:
    table = Table(channels=4)
    table.lane.estimate.meter.add(2 * RTT, came * SIZE)
    asked = table.decide(2 * RTT)
    assert [(ask.start, ask.stop) for ask in asked] == [(0, SIZE)] * copies
    assert len(table.first.copies) == 1 + copies


def test_what_is_late_when_little_is_missing_is_copied_once_more() -> None:
    table = Table(channels=4)
    table.lane.estimate.meter.add(2 * RTT, 100 * SIZE)
    assert len(table.decide(2 * RTT)) == 1
    assert len(table.decide(3 * RTT)) == 1, "after 1.2 round trips"
    assert len(table.first.copies) == 3
    assert table.decide(3.3 * RTT) == []


def test_when_one_of_three_copies_comes_the_others_are_not_asked_again() -> None:
    table = Table(channels=4)
    table.lane.estimate.meter.add(2 * RTT, 500 * SIZE)
    table.decide(2 * RTT)
    _, second, third = table.first.copies
    table.scheduler.failed(table.first, ConnectionLost("reset"), 2.6 * RTT)
    table.scheduler.received(third, SIZE, 2.7 * RTT)
    table.scheduler.finished(third, 2.7 * RTT)
    table.scheduler.failed(second, ConnectionLost("reset"), 2.8 * RTT)
    assert table.scheduler.missing == 0
    assert table.scheduler._state.queue.waiting == 0


def test_a_quick_link_that_rests_copies_what_a_slow_one_asked_for_last() -> None:
    slow, quick = LaneState(0, "geo", 5), LaneState(1, "leo", 1)
    health = SourceHealth("s", patience=600.0, give_up_after=120.0)
    scheduler = SourceScheduler("s", [slow, quick], 6, health)
    for key in range(6):
        work = FetchTask(
            key, key, AddressMap([Segment(PinnedObject("s", str(key), SIZE, ""), 0, SIZE)]), Nowhere()
        )
        scheduler.add(work)
        scheduler.want(key, 0, 0.0)

    def decide(now: float) -> list[RangeInFlight]:
        found = [scheduler.in_flight(a.request.tag) for a in scheduler.decide(now) if isinstance(a, Send)]
        return [ask for ask in found if ask is not None]

    def lane_of(ask: RangeInFlight) -> LaneState:
        return slow if ask.channel in slow.channels else quick

    asks: list[RangeInFlight] = []
    for turn in range(5):  # connections are dialled one after the other
        asks += decide(0.01 * turn)
    for channel in [*quick.channels, *slow.channels]:
        scheduler.opened(channel, 0.05 if channel in quick.channels else 0.6)
    asks += decide(0.6)
    assert [lane_of(ask) for ask in asks].count(slow) == 5
    (own,) = [ask for ask in asks if lane_of(ask) is quick]
    scheduler.received(own, SIZE, 0.65)
    scheduler.finished(own, 0.65)
    quick.estimate.meter.add(0.65, 1_000_000)  # a hundredth of it is one range
    (copy,) = decide(0.65)
    assert lane_of(copy) is quick
    last = [ask for ask in asks if lane_of(ask) is slow][-1]
    assert last.copies == [last, copy]
    scheduler.received(copy, SIZE, 0.7)
    scheduler.finished(copy, 0.7)
    assert decide(0.7) == [], "what is spared is spent"


def test_a_channel_that_has_not_connected_yet_says_nothing_of_the_round_trip() -> None:
    lane = LaneState(0, "leo", 2)
    scheduler = SourceScheduler("s", [lane], 2, SourceHealth("s", patience=600.0, give_up_after=120.0))
    segment = Segment(PinnedObject("s", "0", SIZE, ""), 0, SIZE)
    scheduler.add(FetchTask(0, 0, AddressMap([segment]), Nowhere()))
    scheduler.want(0, 0, 0.0)
    scheduler.decide(0.0)
    (channel,) = lane.channels
    scheduler.opened(channel, 0.001, timed=False)
    assert lane.estimate.rtt is None
    (ask,) = [scheduler.in_flight(a.request.tag) for a in scheduler.decide(0.001) if isinstance(a, Send)]
    assert ask is not None
    scheduler.received(ask, 1, 0.601)
    assert lane.estimate.rtt == pytest.approx(0.6)
