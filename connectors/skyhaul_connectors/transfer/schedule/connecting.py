"""When channels open and close: as many as a lane can use, and new ones when it has gone silent."""

from __future__ import annotations

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.schedule.giving_way import GivingWay
from skyhaul_connectors.transfer.schedule.lane import PROBES, LaneState
from skyhaul_connectors.transfer.schedule.pace import range_size
from skyhaul_connectors.transfer.schedule.state import SourceState


class Connecting:
    """Opens and drops the channels of a source's lanes."""

    def __init__(self, state: SourceState, giving_way: GivingWay) -> None:
        self._state = state
        self._giving_way = giving_way

    def watch(self, lane: LaneState, now: float) -> None:
        """Notice that the lane has gone silent; keep its concurrency informed."""
        state = self._state
        busy = lane.outstanding > 0 and state.queue.waiting > 0
        lane.concurrency.observe(now, lane.estimate, lane.open_channels, busy)
        due = lane.silence_due() if state.missing else None
        if due is not None and now >= due and lane.phase(now) is not Phase.CLOSED:
            lane.fall_silent(now)

    def dial(self, lane: LaneState, now: float) -> None:
        """Open what the lane can use and has not."""
        state = self._state
        if lane.standby or lane.phase(now) is Phase.CLOSED:
            return
        if lane.silent_since is not None:
            self._probe(lane, now)
            return
        if now < lane.next_connect or not state.queue.ready:
            return
        wanted = lane.concurrency.target(now, lane.estimate, lane.connecting_for(now))
        if lane.failed_connects:
            wanted = min(wanted, lane.open_channels + 1)
        kept_free = sum(
            1 for other in state.lanes if other is not lane and not other.standby and not other.channels
        )
        free = state.max_connections - len(state.channels) - min(kept_free, state.max_connections - 1)
        wanted = min(wanted - len(lane.channels), free)
        if wanted <= 0:
            return
        size = range_size(lane.estimate, wanted + len(lane.channels), state.queue.waiting)
        useful = max(state.queue.ready, state.queue.waiting // size) - len(lane.channels) + lane.busy
        for _ in range(min(wanted, useful)):
            state.open(lane, now)

    def reconnect(self, lane: LaneState) -> None:
        """A probe got through: what stayed silent is dropped, and `dial` opens anew."""
        since = lane.silent_since
        tasks: set[int] = set()
        for channel in list(lane.channels.values()):
            if (
                since is not None
                and not channel.probe
                and max(channel.last_at, channel.connecting_since) < since
            ):
                tasks.update(flight.task.key for flight in channel.in_flight)
                self._state.close(channel)
        self._giving_way.dropped(tasks)
        for channel in lane.channels.values():
            channel.probe = False
        lane.end_silence(false_alarm=False)

    def _probe(self, lane: LaneState, now: float) -> None:
        state = self._state
        probes = [channel for channel in lane.channels.values() if channel.probe]
        limit = max(2.0, 3 * lane.estimate.slow_rtt)
        for channel in [c for c in probes if now - c.connecting_since > limit]:
            state.close(channel)
            probes.remove(channel)
        if now < lane.next_connect or len(probes) >= PROBES:
            return
        if len(state.channels) >= state.max_connections:
            others = [c for c in lane.channels.values() if not c.probe]
            if not others:
                return  # a probe is given its time, else none would ever get through
            state.close(min(others, key=lambda c: (c.last_at, c.number)))
        state.open(lane, now, probe=True)
        lane.next_connect = now + lane.probe_interval(now)
