"""The scheduler under any order of events: no byte lost, none accepted twice, bounds kept, all done."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from skyhaul_connectors.transfer.intervals import IntervalSet
from skyhaul_connectors.transfer.schedule.fetch_task import (
    Action,
    Close,
    FetchTask,
    GiveUp,
    Open,
    RangeInFlight,
    Send,
)
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.lane import LaneState
from skyhaul_connectors.transfer.schedule.scheduler import SourceScheduler
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_schemas.errors import (
    CarriageError,
    ConnectFailed,
    ConnectionLost,
    ObjectMissing,
    RangesIgnored,
    RangeSpent,
    ServerBusy,
    ServerError,
    SourceFailing,
    SourceSilent,
    StalledError,
)
from skyhaul_schemas.plan import PinnedObject

from .nowhere import Nowhere

MOST = 6
TRANSIENT: list[CarriageError] = [
    ConnectionLost("reset"),
    StalledError("stalled"),
    ServerError("500"),
    ServerBusy("503", retry_after=1.0),
]

DOUBTED: list[CarriageError] = [ObjectMissing("gone"), RangesIgnored("200")]


class World(RuleBasedStateMachine):
    """A source with two lanes, played by Hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        lanes = [LaneState(0, "leo", MOST), LaneState(1, "geo", MOST)]
        health = SourceHealth("s", patience=600.0, give_up_after=120.0, min_rate=1000.0)
        self.scheduler = SourceScheduler("s", lanes, MOST, health, seed=1)
        self.works: dict[int, FetchTask] = {}
        self.wanted: dict[int, IntervalSet] = {}
        self.accepted: dict[int, IntervalSet] = {}
        self.ended: dict[int, CarriageError] = {}
        self.channels: dict[int, list[RangeInFlight]] = {}
        self.open: set[int] = set()
        self.pipelining: set[int] = set()
        self.next_key = 0
        self.most = MOST

    # -- what the world does

    @rule(sizes=st.lists(st.integers(1, 300_000), min_size=1, max_size=4))
    def work_is_added(self, sizes: list[int]) -> None:
        key = self.next_key
        self.next_key += 1
        objects = [PinnedObject("s", f"{key}/{i}", size, "") for i, size in enumerate(sizes)]
        work = FetchTask(key, key, AddressMap([Segment(o, 0, o.size) for o in objects]), Nowhere())
        self.works[key] = work
        self.wanted[key] = IntervalSet()
        self.accepted[key] = IntervalSet()
        self.scheduler.add(work)
        for segment in range(len(sizes)):
            self.scheduler.want(key, segment, self.now)
            self.wanted[key].add(*work.map.stretch(segment))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 1.5, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.scheduler.decide(self.now))

    @rule()
    def decisions_are_made(self) -> None:
        self.carry_out(self.scheduler.decide(self.now))

    @rule(most=st.integers(0, MOST))
    def others_need_connections_or_give_them_back(self, most: int) -> None:
        self.most = most
        self.scheduler.allow(most, 1000.0)
        self.carry_out(self.scheduler.decide(self.now))

    @precondition(lambda self: self.connecting())
    @rule(data=st.data(), pipelines=st.booleans(), timed=st.booleans())
    def a_channel_opens(self, data: st.DataObject, pipelines: bool, timed: bool) -> None:
        channel = data.draw(st.sampled_from(self.connecting()))
        self.open.add(channel)
        self.scheduler.opened(channel, self.now, timed=timed)
        if pipelines:
            self.pipelining.add(channel)
            self.scheduler.pipelines(channel, True)

    @precondition(lambda self: self.connecting())
    @rule(data=st.data())
    def a_connection_fails(self, data: st.DataObject) -> None:
        channel = data.draw(st.sampled_from(self.connecting()))
        self.close(channel, ConnectFailed("refused"))

    @precondition(lambda self: self.answering())
    @rule(data=st.data(), share=st.floats(0.01, 1.0))
    def bytes_arrive(self, data: st.DataObject, share: float) -> None:
        channel = data.draw(st.sampled_from(self.answering()))
        self.deliver(channel, share)

    @precondition(lambda self: self.answering())
    @rule(data=st.data(), error=st.sampled_from([*TRANSIENT, *DOUBTED]))
    def an_answer_is_an_error(self, data: st.DataObject, error: CarriageError) -> None:
        channel = data.draw(st.sampled_from(self.answering()))
        ask = self.channels[channel].pop(0)
        self.scheduler.failed(ask, error, self.now)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), error=st.sampled_from([None, *TRANSIENT[:2]]))
    def a_channel_closes(self, data: st.DataObject, error: CarriageError | None) -> None:
        self.close(data.draw(st.sampled_from(sorted(self.open))), error)

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def bytes_turn_out_rotten(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.living()))
        if self.accepted[key]:
            start, stop = next(iter(self.accepted[key]))
            self.accepted[key].remove(start, (start + stop + 1) // 2)
            self.scheduler.again(key, [(start, (start + stop + 1) // 2)], self.now)

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def a_work_is_called_off(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.living()))
        del self.works[key]
        self.scheduler.remove(key)

    # -- what must hold

    @invariant()
    def no_byte_is_lost(self) -> None:
        queue = self.scheduler._state.queue
        pieces = [e[-1] for e in queue._ready] + [e[-1] for e in queue._delayed]
        assert queue.waiting == sum(p.stop - p.start for p in pieces)
        for key in self.living():
            work = self.works[key]
            covered = IntervalSet(self.accepted[key])
            assert covered == work.arrived
            for piece in (p for p in pieces if p.task is work):
                assert not work.arrived.overlaps(piece.start, piece.stop), "waits, and has arrived"
                covered.add(piece.start, piece.stop)
            for ask in self.asks_of(work):
                covered.add(ask.cursor, ask.stop)
            assert all(covered.covers(start, stop) for start, stop in self.wanted[key])
            assert work.missing == self.wanted[key].total - self.accepted[key].total

    @invariant()
    def at_most_two_copies_are_out(self) -> None:
        for key in self.living():
            edges: list[tuple[int, int]] = []
            for ask in self.asks_of(self.works[key]):
                edges += [(ask.cursor, 1), (ask.stop, -1)]
            depth = 0
            for _, step in sorted(edges, key=lambda e: (e[0], e[1])):
                depth += step
                assert depth <= 2

    @invariant()
    def bounds_are_kept(self) -> None:
        assert len(self.channels) <= self.most
        for channel, asks in self.channels.items():
            if channel not in self.pipelining:
                assert len(asks) <= 1
        for lane in self.scheduler.lanes:
            assert lane.outstanding == sum(a.remaining for c in lane.channels.values() for a in c.in_flight)
            assert lane.in_flight_count == sum(len(c.in_flight) for c in lane.channels.values())
            assert lane.open_channels == sum(c.open for c in lane.channels.values())

    def teardown(self) -> None:
        """Once the world behaves, everything that was not given up is done, and soon."""
        began = self.now
        self.most = MOST
        self.scheduler.allow(MOST, 1000.0)
        for _ in range(6000):
            if not self.scheduler.missing:
                break
            self.carry_out(self.scheduler.decide(self.now))
            for channel in self.connecting():
                self.open.add(channel)
                self.scheduler.opened(channel, self.now)
            for channel in self.answering():
                self.deliver(channel, 1.0)
            due = self.scheduler.wakeup(self.now)
            self.now = max(self.now + 0.02, min(due, self.now + 0.05) if due is not None else 0.0)
        assert not self.scheduler.missing
        assert self.now - began < 60.0
        for key in self.living():
            assert self.accepted[key] == self.wanted[key]
        allowed = (ObjectMissing, RangesIgnored, RangeSpent, SourceFailing, SourceSilent)
        assert all(isinstance(error, allowed) for error in self.ended.values())

    # -- inside

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Open(_, channel):
                    assert channel not in self.channels
                    self.channels[channel] = []
                case Send(channel, request):
                    if channel in self.channels:
                        ask = self.scheduler.in_flight(request.tag)
                        if ask is not None:
                            self.channels[channel].append(ask)
                case Close(channel):
                    self.forget(channel)
                case GiveUp(key, error):
                    self.ended[key] = error
                    self.works.pop(key, None)
        assert len(self.channels) <= self.most

    def deliver(self, channel: int, share: float) -> None:
        ask = self.channels[channel][0]
        if ask.ended:
            self.channels[channel].pop(0)
            return
        count = max(1, int(ask.remaining * share))
        before = IntervalSet(ask.task.arrived)
        fresh = self.scheduler.received(ask, count, self.now)
        for start, stop in fresh:
            assert not before.overlaps(start, stop), "accepted twice"
            if ask.task.key in self.works:
                self.accepted[ask.task.key].add(start, stop)
        if ask.cursor == ask.stop:
            self.channels[channel].pop(0)
            self.scheduler.finished(ask, self.now)

    def close(self, channel: int, error: CarriageError | None) -> None:
        self.forget(channel)
        self.scheduler.closed(channel, error, self.now)

    def forget(self, channel: int) -> None:
        self.channels.pop(channel, None)
        self.open.discard(channel)
        self.pipelining.discard(channel)

    def asks_of(self, work: FetchTask) -> list[RangeInFlight]:
        return [ask for ask in self.scheduler._state.in_flight.values() if ask.task is work]

    def living(self) -> list[int]:
        return [key for key in self.works if key in self.scheduler._state.tasks]

    def connecting(self) -> list[int]:
        return sorted(set(self.channels) - self.open)

    def answering(self) -> list[int]:
        return [c for c in sorted(self.open) if self.channels[c] and not self.channels[c][0].ended]


World.TestCase.settings = settings(
    deadline=None, derandomize=True, max_examples=50, stateful_step_count=50, print_blob=True
)
TestScheduler = World.TestCase


class Longer(World):
    pass


Longer.TestCase.settings = settings(
    deadline=None, derandomize=True, max_examples=500, stateful_step_count=80, print_blob=True
)
TestSchedulerForLong = pytest.mark.slow(Longer.TestCase)
