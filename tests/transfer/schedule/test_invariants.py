"""What must hold of the scheduler's state: it does, a breach of each rule is named, and `-X dev` looks."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from skyhaul_connectors.transfer.intervals import IntervalSet
from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask, PendingRange, Send
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.invariants import InvariantBroken, check
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.scheduler import SourceScheduler
from skyhaul_connectors.transfer.schedule.state import SourceState
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_schemas.plan import PinnedObject

from .test_scheduler import World

SIZE = 200_000


class Checked(World):
    """The world of `test_scheduler`, looked at after each of its steps."""

    @invariant()
    def the_invariants_hold(self) -> None:
        check(self.scheduler._state)


Checked.TestCase.settings = settings(
    deadline=None, derandomize=True, max_examples=25, stateful_step_count=40, print_blob=True
)
TestInvariantsInAnyOrderOfEvents = Checked.TestCase


def fetching(lanes: int = 1) -> tuple[SourceScheduler, SourceState]:
    """A source of one object, with one range in flight on each of four channels, one of them pipelined."""
    scheduler = SourceScheduler(
        "s",
        [LaneState(number, f"link-{number}", 4) for number in range(lanes)],
        4,
        SourceHealth("s", patience=600.0, give_up_after=120.0),
    )
    segment = Segment(PinnedObject("s", "a", SIZE, ""), 0, SIZE)
    scheduler.add(FetchTask(0, 0, AddressMap([segment]), lambda at, data: None))
    scheduler.want(0, 0, 0.0)
    scheduler.decide(0.0)
    for number in list(scheduler._state.channels):
        scheduler.opened(number, 0.1)
    scheduler.decide(0.1)
    check(scheduler._state)
    return scheduler, scheduler._state


def a_channel(state: SourceState) -> ChannelState:
    return next(channel for channel in state.channels.values() if channel.in_flight)


def _lose_a_channel(state: SourceState) -> None:
    del state.channels[next(iter(state.channels))]


def _rename_a_channel(state: SourceState) -> None:
    a_channel(state).number = 77


def _allow_less(state: SourceState) -> None:
    state.max_connections = 1


def _count_bytes_twice(state: SourceState) -> None:
    state.lanes[0].outstanding += 1


def _count_a_range_twice(state: SourceState) -> None:
    state.lanes[0].in_flight_count += 1


def _miscount_open_channels(state: SourceState) -> None:
    state.lanes[0].open_channels -= 1


def _forget_bytes_of_a_channel(state: SourceState) -> None:
    channel = a_channel(state)
    channel.outstanding -= 1
    state.lanes[0].outstanding -= 1


def _close_to_ranges(state: SourceState) -> None:
    channel = ChannelState(99, 0, 0.0)
    state.channels[99] = state.lanes[0].channels[99] = channel


def _give_to_a_channel_that_is_gone(state: SourceState) -> None:
    state.lanes[0].accepting[99] = ChannelState(99, 0, 0.0)


def _ask_before_it_is_open(state: SourceState) -> None:
    a_channel(state).open = False
    state.lanes[0].open_channels -= 1


def _ask_for_two_without_pipelining(state: SourceState) -> None:
    first = a_channel(state)
    other = next(c for c in state.channels.values() if c.in_flight and c is not first)
    flight = other.in_flight.pop()
    other.outstanding -= flight.remaining
    first.in_flight.append(flight)
    first.outstanding += flight.remaining
    flight.channel = first.number
    state.lanes[0].accepting[other.number] = other


def _lose_a_range(state: SourceState) -> None:
    del state.in_flight[next(iter(state.in_flight))]


def _end_a_range_by_halves(state: SourceState) -> None:
    a_channel(state).in_flight[0].ended = True


def _pass_the_end(state: SourceState) -> None:
    flight = a_channel(state).in_flight[0]
    flight.start = flight.cursor + 1


def _forget_its_copy(state: SourceState) -> None:
    a_channel(state).in_flight[0].copies.clear()


def _copy_something_else(state: SourceState) -> None:
    flights = list(state.in_flight.values())
    flights[1].segment = 3
    flights[0].copies.append(flights[1])


def _miscount_what_waits(state: SourceState) -> None:
    state.queue.waiting += 1


def _wait_for_what_nobody_wants(state: SourceState) -> None:
    task = state.tasks[0]
    state.queue.push(PendingRange(FetchTask(9, 9, task.map, task.sink), 0, 0, 10))


def _miscount_what_is_missing(state: SourceState) -> None:
    state.missing += 1


def _lose_bytes(state: SourceState) -> None:
    task = state.tasks[0]
    task.missing += 10
    state.missing += 10


def _cancel_by_halves(state: SourceState) -> None:
    state.tasks[0].cancelled = True


@pytest.mark.parametrize(
    ("breach", "told"),
    [
        (_lose_a_channel, "its channels are not those of its lanes"),
        (_rename_a_channel, "is not where its number and its lane say"),
        (_allow_less, "4 channels where 1 are allowed"),
        (_count_bytes_twice, "lane 0 has outstanding"),
        (_count_a_range_twice, "lane 0 has in_flight_count"),
        (_miscount_open_channels, "lane 0 has open_channels"),
        (_forget_bytes_of_a_channel, "has outstanding .*, its ranges"),
        (_close_to_ranges, "channel 99 is idle and accepts nothing"),
        (_give_to_a_channel_that_is_gone, "gives ranges to a channel that is gone"),
        (_ask_before_it_is_open, "has ranges in flight and is not open"),
        (_ask_for_two_without_pipelining, "has 2 ranges in flight and takes one"),
        (_lose_a_range, "the ranges in flight are not those of its channels"),
        (_end_a_range_by_halves, "has ended, or says otherwise"),
        (_pass_the_end, "outside"),
        (_forget_its_copy, "is no copy of itself"),
        (_copy_something_else, "has copies that have ended, or are for something else"),
        (_miscount_what_waits, "bytes wait, its ranges have"),
        (_wait_for_what_nobody_wants, "which nobody wants"),
        (_miscount_what_is_missing, "bytes are missing, of its tasks"),
        (_lose_bytes, "wait or are in flight"),
        (_cancel_by_halves, "task 0 misses"),
    ],
)
def test_each_breach_is_named(breach: Callable[[SourceState], None], told: str) -> None:
    _, state = fetching()
    breach(state)
    with pytest.raises(InvariantBroken, match=told):
        check(state)


def test_bytes_that_end_an_outage_are_not_asked_for_again() -> None:
    """A range has two copies on channels that fell silent. After the long silence one of them brings bytes:
    the other channel is dropped, and what has just come is not put back into the queue with its range."""
    lane = LaneState(0, "leo", 4)
    scheduler = SourceScheduler("s", [lane], 4, SourceHealth("s", patience=600.0, give_up_after=120.0))
    segment = Segment(PinnedObject("s", "a", 10_000, ""), 0, 10_000)
    for key in range(2):
        scheduler.add(FetchTask(key, key, AddressMap([segment]), lambda at, data: None))
        scheduler.want(key, 0, 0.0)
    scheduler.decide(0.0)
    for number in list(lane.channels):
        scheduler.opened(number, 0.1)
    first, other = [
        scheduler.in_flight(action.request.tag)
        for action in scheduler.decide(0.1)
        if isinstance(action, Send)
    ]
    assert first is not None
    assert other is not None
    scheduler.received(other, 10_000, 0.2)
    scheduler.finished(other, 0.2)
    scheduler.decide(0.5)
    assert len(first.copies) == 2
    copy = first.copies[1]
    now = 0.5
    while not lane.silent:
        now += 0.1
        scheduler.decide(now)
    assert not first.ended
    assert not copy.ended
    state = scheduler._state
    scheduler.received(copy, 4_000, now + 4.0)
    assert not lane.silent
    assert first.ended, "its channel was dropped"
    waiting = IntervalSet((pending.start, pending.stop) for pending in state.queue)
    assert not waiting.overlaps(0, 4_000), "it has arrived"
    check(state)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    """A scheduler whose lane has lost count, and its next step."""
    code = """
        from tests.transfer.schedule.test_invariants import fetching
        scheduler, state = fetching()
        state.lanes[0].outstanding += 1
        scheduler.decide(0.2)
        print("went on")
    """
    return subprocess.run(
        [sys.executable, "-W", "ignore", *flags, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_breach_ends_the_step_in_development_mode_and_is_not_looked_for_otherwise() -> None:
    looked = run("-X", "dev")
    assert looked.returncode == 1
    assert "InvariantBroken: s: lane 0 has outstanding" in looked.stderr
    assert run().stdout == "went on\n"
