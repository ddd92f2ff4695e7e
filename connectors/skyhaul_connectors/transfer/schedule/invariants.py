"""What holds of a scheduler's state between two of its steps; checked after each under `python -X dev`.

The check goes through all that is in flight and all that waits, so that it is for tests and for looking after
a fault, and costs nothing otherwise: without development mode `step` hands a method back as it is.

1. The channels of the source are those of its lanes, each under its number; no more than `max_connections`.
2. A lane's `outstanding` is the sum of its channels', a channel's that of its ranges' `remaining`;
   `in_flight_count` and `open_channels` count what they say.
3. A channel with nothing in flight is among its lane's `accepting`, and those are channels of the lane.
4. Only a channel that is open has ranges in flight; only one that takes several requests at once several.
5. `in_flight` has the ranges of all channels and no other, by tag. None has ended; each lies within its
   bounds and is one of its own copies, which are in flight for the same task and segment.
6. The queue's `waiting` is the sum of its ranges, all of them of tasks that are wanted.
7. A source's `missing` is the sum of its tasks', none of which is cancelled.
8. No byte is lost: what is missing of a task waits or is in flight, and nothing else does but what has
   arrived since by another copy.

That nothing waits that has arrived is left to `tests/transfer/schedule/test_scheduler.py`: bytes that read
wrong are asked for anew while a copy may still bring them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from skyhaul_connectors.transfer.intervals import IntervalSet
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.state import SourceState


class InvariantBroken(AssertionError):
    """The scheduler is in a state that it must never be in: a bug."""


class HasState(Protocol):
    """What holds a source's state."""

    _state: SourceState


H = TypeVar("H", bound=HasState)
P = ParamSpec("P")
T = TypeVar("T")


def step(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], T]:
    """Check the state after each call of the method, in development mode. Raises InvariantBroken then."""
    if not sys.flags.dev_mode:
        return method

    def checked(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result = method(self, *args, **kwargs)
        check(self._state)
        return result

    functools.update_wrapper(checked, method)
    return checked


def check(state: SourceState) -> None:
    """Raise InvariantBroken, with all that does not hold."""
    broken = [
        *_of_the_source(state),
        *(line for lane in state.lanes for line in _of_a_lane(lane)),
        *_of_ranges(state),
        *_of_tasks(state),
    ]
    if broken:
        raise InvariantBroken(f"{state.name}: {'; '.join(broken)}")


def _of_the_source(state: SourceState) -> Iterator[str]:
    channels = {number: channel for lane in state.lanes for number, channel in lane.channels.items()}
    if channels != state.channels or sum(len(lane.channels) for lane in state.lanes) != len(channels):
        yield "its channels are not those of its lanes"
    for number, channel in state.channels.items():
        if channel.number != number or number not in state.lanes[channel.lane].channels:
            yield f"channel {channel.number} is not where its number and its lane say"
    if len(state.channels) > state.max_connections:
        yield f"{len(state.channels)} channels where {state.max_connections} are allowed"


def _of_a_lane(lane: LaneState) -> Iterator[str]:
    channels = list(lane.channels.values())
    for name, has, found in (
        ("outstanding", lane.outstanding, sum(channel.outstanding for channel in channels)),
        ("in_flight_count", lane.in_flight_count, sum(len(channel.in_flight) for channel in channels)),
        ("open_channels", lane.open_channels, sum(channel.open for channel in channels)),
    ):
        if has != found:
            yield f"lane {lane.number} has {name} {has}, its channels {found}"
    if any(lane.channels.get(number) is not channel for number, channel in lane.accepting.items()):
        yield f"lane {lane.number} gives ranges to a channel that is gone"
    for channel in channels:
        yield from _of_a_channel(lane, channel)


def _of_a_channel(lane: LaneState, channel: ChannelState) -> Iterator[str]:
    remaining = sum(flight.remaining for flight in channel.in_flight)
    if channel.outstanding != remaining:
        yield f"channel {channel.number} has outstanding {channel.outstanding}, its ranges {remaining}"
    if not channel.in_flight and channel.number not in lane.accepting:
        yield f"channel {channel.number} is idle and accepts nothing"
    if channel.in_flight and not channel.open:
        yield f"channel {channel.number} has ranges in flight and is not open"
    if len(channel.in_flight) > 1 and not channel.pipelines:
        yield f"channel {channel.number} has {len(channel.in_flight)} ranges in flight and takes one"


def _of_ranges(state: SourceState) -> Iterator[str]:
    on_channels = [
        (flight.request.tag, flight, number)
        for number, channel in state.channels.items()
        for flight in channel.in_flight
    ]
    if {tag: flight for tag, flight, _ in on_channels} != state.in_flight:
        yield "the ranges in flight are not those of its channels"
    for tag, flight, number in on_channels:
        if flight.ended or flight.channel != number:
            yield f"range {tag} is on channel {number} and has ended, or says otherwise"
        if not flight.start <= flight.cursor <= flight.stop:
            yield f"range {tag} has come to {flight.cursor}, outside [{flight.start}, {flight.stop})"
        if flight not in flight.copies:
            yield f"range {tag} is no copy of itself"
        if any(
            copy.ended or copy.task is not flight.task or copy.segment != flight.segment
            for copy in flight.copies
        ):
            yield f"range {tag} has copies that have ended, or are for something else"


def _of_tasks(state: SourceState) -> Iterator[str]:
    waiting = 0
    sought: dict[int, IntervalSet] = {key: IntervalSet() for key in state.tasks}
    for pending in state.queue:
        waiting += pending.stop - pending.start
        if state.tasks.get(pending.task.key) is not pending.task:
            yield f"a range of task {pending.task.key} waits, which nobody wants"
        else:
            sought[pending.task.key].add(pending.start, pending.stop)
    if waiting != state.queue.waiting:
        yield f"{state.queue.waiting} bytes wait, its ranges have {waiting}"
    for flight in state.in_flight.values():
        if not flight.task.cancelled:
            sought[flight.task.key].add(flight.cursor, flight.stop)
    missing = sum(task.missing for task in state.tasks.values())
    if missing != state.missing:
        yield f"{state.missing} bytes are missing, of its tasks {missing}"
    for key, task in state.tasks.items():
        left = sum(stop - start for low, high in sought[key] for start, stop in task.arrived.gaps(low, high))
        if task.cancelled or left != task.missing:
            yield f"task {key} misses {task.missing} bytes, {left} wait or are in flight"
