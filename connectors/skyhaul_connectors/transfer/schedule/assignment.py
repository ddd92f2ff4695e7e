"""Which range goes to which channel: in order, where there is room, to the lane that has it done first."""

from __future__ import annotations

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.schedule.fetch_task import PendingRange, RangeInFlight
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.pace import (
    FIRST_GUESS,
    FIRST_RANGE,
    TRIAL_RANGE,
    outstanding_limit,
    pipeline_depth,
    range_size,
)
from skyhaul_connectors.transfer.schedule.state import SourceState

_HEDGE_EVERY = 0.02
_HEDGE_ROOM = 4 * 1024 * 1024

LATE = 1.2
"""A channel that was silent for this many round trips, with a range out, repairs a loss."""

OLD = 2.2
"""So does one that has not brought a range after this many, however it trickles."""

THIN = 4.0
"""How much longer a range is waited for that takes the link more than a quarter of a round trip."""

CHEAP, TINY, LAST = 0.022, 0.006, 0.0012
"""When less than this share of what came is missing, a copy of all of it costs little, and of what is late a
further one. When less than the second is, so does a third one: what misses then was lost twice. And so on."""

HALF = 0.5
"""Of what the link holds: where more is missing, most of it is on its way, and copies would be in its way."""

SPARE = 0.01
"""Of what came: what is copied over a link that has nothing else to do, late or not, from one whose round
trip is twice as long."""


class Assignment:
    """Hands pieces of the queue to channels, and second copies of late ranges once it is empty."""

    def __init__(self, state: SourceState) -> None:
        self._state = state
        self._next_hedge = float("-inf")
        self._spared = 0

    def assign(self, lane: LaneState, now: float) -> None:
        """Fill the lane's channels."""
        queue = self._state.queue
        if not queue.ready or not lane.usable or lane.phase(now) is Phase.CLOSED:
            return
        waited = lane.connecting_for(now) if lane.estimate.rtt is None else 0.0
        allowed = lane.concurrency.target(now, lane.estimate, waited)
        channels = max(1, min(len(lane.channels), allowed))
        size = range_size(lane.estimate, channels, queue.waiting)
        lane.depth = pipeline_depth(lane.estimate, channels, size)
        lane.limit = outstanding_limit(lane.estimate, channels)
        if lane.room is not None:
            lane.limit = int(min(lane.limit, lane.outstanding + lane.room(now)))
        busy = lane.busy if len(lane.channels) > allowed else 0
        for channel in sorted(lane.accepting.values(), key=_readiest):
            if not queue.ready or not channel.open:
                return
            if not channel.in_flight:
                if busy >= allowed:
                    continue
                busy += 1
            if not self._fill(lane, channel, channels, now):
                return
            if channel.in_flight and not _has_room(channel, lane):
                del lane.accepting[channel.number]

    def hedge(self, now: float) -> None:
        """Idle channels fetch the missing rest of open ranges once nothing waits: of late ones, oldest
        first, and none of a range that may still come in time (else small objects cost thrice). A quick
        link that has nothing to do copies what a slow one has asked for last: it would be found late last."""
        state = self._state
        if state.queue.ready or not state.in_flight or now < self._next_hedge or state.whole:
            return
        self._next_hedge = now + _HEDGE_EVERY
        idle = [
            channel
            for lane in sorted(state.lanes, key=lambda lane: lane.estimate.usual_rtt)
            if lane.usable and lane.phase(now) is Phase.UP and _may_hedge(lane, now)
            for channel in lane.channels.values()
            if channel.open and not channel.in_flight
        ]
        came = sum(lane.estimate.meter.total for lane in state.lanes)
        cheap = min(CHEAP * came, HALF * max(lane.estimate.holds for lane in state.lanes))
        most = 1 + sum(state.missing <= min(cheap, share * came) for share in (CHEAP, TINY, LAST))
        for flight in list(state.in_flight.values()):
            if not idle:
                return
            if flight.ended or flight.task.cancelled:
                continue
            late = self._is_late(flight, now)
            lacking = (max(2, most + (most > 1)) if late else most) - len(flight.copies)
            if lacking > 0:
                for _ in range(min(lacking, len(idle))):
                    self._copy(flight, idle, now)
            elif late and self._is_oldest_of_late_copies(flight, now):
                # Its channel is given up, and its place is free for a copy.
                state.close(state.channels[flight.channel])
        spare = SPARE * came
        for flight in reversed(list(state.in_flight.values())):
            if not idle or self._spared + flight.remaining > spare:
                return
            if (
                not flight.task.cancelled
                and len(flight.copies) == 1
                and self._is_slower(self._lane_of(flight), idle[0])
            ):
                self._spared += flight.remaining
                self._copy(flight, idle, now)

    def _is_oldest_of_late_copies(self, flight: RangeInFlight, now: float) -> bool:
        copies = flight.copies
        return (
            len(copies) > 1
            and flight is min(copies, key=_age)
            and all(self._is_late(copy, now) for copy in copies)
        )

    def _is_slower(self, lane: LaneState, idle: ChannelState) -> bool:
        return 2 * self._state.lanes[idle.lane].estimate.usual_rtt < lane.estimate.usual_rtt

    def _copy(self, flight: RangeInFlight, idle: list[ChannelState], now: float) -> None:
        """Ask the first idle channel for what is missing of the range, too."""
        gaps = flight.task.arrived.gaps(flight.cursor, flight.stop)
        if gaps:
            pending = PendingRange(
                flight.task,
                flight.segment,
                gaps[0][0],
                gaps[-1][1],
                flight.retries_used,
                flight.tries,
                flight.doubted,
            )
            self._state.send(pending, idle.pop(0), now, flight.copies)

    def _fill(self, lane: LaneState, channel: ChannelState, channels: int, now: float) -> bool:
        """False where the lane should take no more."""
        queue = self._state.queue
        while queue.ready:
            if channel.in_flight and not _has_room(channel, lane):
                return True
            if lane.outstanding >= lane.limit:
                return False
            size = min(range_size(lane.estimate, channels, queue.waiting), queue.waiting)
            if self._state.whole:
                self._state.send(queue.take(), channel, now)
                continue
            if lane.room is not None:
                size = min(size, lane.limit - lane.outstanding)
            if not channel.answered:
                size = min(size, FIRST_RANGE if lane.in_flight_count else TRIAL_RANGE)
            if not self._is_first(lane, size, now):
                return False
            self._state.send(queue.cut(size), channel, now)
        return True

    def _is_first(self, lane: LaneState, size: int, now: float) -> bool:
        """False where another lane will have all that waits before this lane has one more range
        (earliest completion first, as Lim et al. 2017 do for multipath TCP). Never false for all lanes,
        since `size` is at most what waits. A lane whose rate is not known yet is not judged by it: what its
        ramp shows would keep it from ramping up."""
        estimate = lane.estimate
        if len(self._state.lanes) == 1 or estimate.rate is None or not estimate.settled:
            return True
        here = _lasts(lane, estimate.rate, size)
        for other in self._state.lanes:
            rate = other.estimate.rate
            if other is lane or rate is None or not other.open_channels or not other.usable:
                continue
            if other.phase(now) is Phase.UP and _lasts(other, rate, self._state.queue.waiting) < here:
                return False
        return True

    def _lane_of(self, flight: RangeInFlight) -> LaneState:
        return self._state.lanes[self._state.channels[flight.channel].lane]

    def _is_late(self, flight: RangeInFlight, now: float) -> bool:
        lane = self._lane_of(flight)
        estimate = lane.estimate
        # A full link is no reason to ask twice: what is out takes its time for all, whether it was asked
        # for before or since.
        rate = max(estimate.rate or FIRST_GUESS, estimate.meter.rate(now))
        usual = max(estimate.usual_rtt, max(flight.ahead, lane.outstanding) / rate)
        if flight.remaining / rate > estimate.usual_rtt / 4:
            usual *= THIN  # the link itself takes longer than any repair; a copy would only delay it
        silent = now - max(flight.sent_at, flight.last_at, self._state.channels[flight.channel].last_at)
        return silent > LATE * usual or now - flight.sent_at > OLD * usual


def _lasts(lane: LaneState, rate: float, count: int) -> float:
    """Seconds until `count` further bytes would be in: what is out arrives meanwhile, so a round trip counts
    only where it is longer."""
    return max(lane.estimate.rtt_or(1.0), (lane.outstanding + count) / rate)


def _may_hedge(lane: LaneState, now: float) -> bool:
    """Second copies are not for what is left of a cap."""
    return lane.room is None or lane.room(now) >= _HEDGE_ROOM


def _has_room(channel: ChannelState, lane: LaneState) -> bool:
    """Whether a channel that has something to do takes more: only pipelined, and a bounded amount."""
    return channel.open and channel.pipelines and channel.outstanding < lane.depth


def _age(flight: RangeInFlight) -> float:
    return flight.sent_at


def _readiest(channel: ChannelState) -> tuple[bool, int, int]:
    return (not channel.open, channel.outstanding, channel.number)
