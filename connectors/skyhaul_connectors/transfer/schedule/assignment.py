"""Which range goes to which channel: in order, where there is room, to the lane that has it done first."""

from __future__ import annotations

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.pace import (
    FIRST_RANGE,
    TRIAL_RANGE,
    outstanding_limit,
    pipeline_depth,
    range_size,
)
from skyhaul_connectors.transfer.schedule.state import SourceState


class Assignment:
    """Hands ranges of the queue to channels."""

    def __init__(self, state: SourceState) -> None:
        self._state = state

    def assign(self, lane: LaneState, now: float) -> None:
        """Fill the lane's channels, at `now` (seconds)."""
        queue = self._state.queue
        if not queue.ready or not lane.usable or lane.phase(now) is Phase.CLOSED:
            return
        # Where opening tells no round trip (TLS, a proxy) many channels are open before the first answer;
        # without `waited` only a first few would be used (`test_first_round_trip`).
        waited = lane.connecting_for(now) if lane.estimate.rtt is None else 0.0
        allowed = lane.concurrency.target(now, lane.estimate, waited)
        channels = max(1, min(len(lane.channels), allowed))
        size = range_size(lane.estimate, channels, queue.waiting)
        limit = outstanding_limit(lane.estimate, channels)
        if lane.policy.room is not None:
            limit = int(min(limit, lane.outstanding + lane.policy.room(now)))
        lane.allow(pipeline_depth(lane.estimate, channels, size), limit)
        # After 429 or 503 more channels may be open than are allowed: they stay open, for a new one takes
        # round trips, but no more than `allowed` are used at once.
        busy = lane.busy if len(lane.channels) > allowed else 0
        for channel in sorted(lane.accepting.values(), key=_readiest):
            # Sorted so that those that still connect come last.
            if not queue.ready or not channel.open:
                return
            if not channel.in_flight:
                if busy >= allowed:
                    continue
                busy += 1
            if not self._fill(lane, channel, channels, now):
                return
            if channel.in_flight and not _has_room(channel, lane):
                lane.full(channel)

    def _fill(self, lane: LaneState, channel: ChannelState, channels: int, now: float) -> bool:
        """Give the channel ranges until it is full. False where the whole lane should take no more."""
        queue = self._state.queue
        while queue.ready:
            if channel.in_flight and not _has_room(channel, lane):
                return True
            if lane.outstanding >= lane.limit:
                return False
            # Anew for each range: as the queue empties, ranges shrink, so that the end is shared evenly.
            size = min(range_size(lane.estimate, channels, queue.waiting), queue.waiting)
            if self._state.whole:
                # The object comes whole whatever is asked: in parts it would come once for each of them.
                self._state.send(queue.take(), channel, now)
                continue
            # The lane's own limit may be passed by a part of a range, a cap never.
            if lane.policy.room is not None:
                size = min(size, lane.limit - lane.outstanding)
            if not channel.answered:
                size = min(size, FIRST_RANGE if lane.in_flight_count else TRIAL_RANGE)
            if not self._is_first(lane, size, now):
                return False
            self._state.send(queue.cut(size), channel, now)
        return True

    def _is_first(self, lane: LaneState, size: int, now: float) -> bool:
        """False where another lane will have all that waits before this lane has one more range.

        That is earliest completion first, as Lim et al. (2017) do it for multipath TCP. Never false for all
        lanes, since `size` is at most what waits. A lane whose rate is not known yet is not judged by it:
        what its ramp shows would keep it from ramping up."""
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


def _lasts(lane: LaneState, rate: float, count: int) -> float:
    """Seconds until `count` further bytes would be in.

    What is in flight arrives meanwhile, so a round trip counts only where it is longer."""
    return max(lane.estimate.rtt_or(1.0), (lane.outstanding + count) / rate)


def _has_room(channel: ChannelState, lane: LaneState) -> bool:
    """Whether a channel that has something to do takes more: only pipelined, and a bounded amount."""
    return channel.open and channel.pipelines and channel.outstanding < lane.depth


def _readiest(channel: ChannelState) -> tuple[bool, int, int]:
    return (not channel.open, channel.outstanding, channel.number)
