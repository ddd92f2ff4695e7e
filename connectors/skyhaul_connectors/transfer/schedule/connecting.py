"""When channels open and close: as many as a lane can use, and new ones when it has gone silent.

Nothing is opened or closed here: functions and methods return what is to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.pace import range_size
from skyhaul_connectors.transfer.schedule.silence import PROBES
from skyhaul_connectors.transfer.schedule.state import SourceState

_PROBE_TIME, _PROBE_ROUND_TRIPS = 2.0, 3.0
"""Seconds, or slow round trips, that a probe is given to open: lost SYNs are sent again after 1 s and 3 s
(RFC 6298), so that a later one is sooner. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class Probing:
    """The channels are to be closed, and then a probe opened, or not."""

    close: Sequence[ChannelState] = ()
    open: bool = False


class Connecting:
    """Says which channels of a source's lanes are to open and to close. `now` is in seconds."""

    def __init__(self, state: SourceState) -> None:
        self._state = state

    def watch(self, lane: LaneState, now: float) -> None:
        """Tell the lane of its goodput, and whether it has gone silent."""
        state = self._state
        busy = lane.outstanding > 0 and state.queue.waiting > 0
        lane.concurrency.observe(now, lane.estimate, lane.open_channels, busy)
        due = lane.silence_due() if state.missing else None
        if due is not None and now >= due and lane.phase(now) is not Phase.CLOSED:
            lane.fall_silent(now)

    def useful(self, lane: LaneState, now: float) -> int:
        """How many channels the lane can use and has not; nothing for one that is silent or stands by."""
        state = self._state
        queue = state.queue
        if now < lane.backoff.next_at or not queue.ready:
            return 0
        wanted = lane.concurrency.target(now, lane.estimate, lane.connecting_for(now))
        if lane.backoff.failed:
            wanted = min(wanted, lane.open_channels + 1)
        has = len(lane.channels)
        wanted = min(wanted - has, self._free(lane))
        if wanted <= 0:
            return 0
        size = range_size(lane.estimate, wanted + has, queue.waiting)
        return min(wanted, max(queue.ready, queue.waiting // size) - has + lane.busy)

    def probe(self, lane: LaneState, now: float) -> Probing:
        """What is to be done for a silent lane."""
        state = self._state
        limit = max(_PROBE_TIME, _PROBE_ROUND_TRIPS * lane.estimate.slow_rtt)
        probes = [channel for channel in lane.channels.values() if channel.probe]
        close = [channel for channel in probes if now - channel.connecting_since > limit]
        if now < lane.backoff.next_at or len(probes) - len(close) >= PROBES:
            return Probing(close)
        if len(state.channels) - len(close) >= state.max_connections:
            others = [channel for channel in lane.channels.values() if not channel.probe]
            if not others:
                return Probing(close)  # a probe is given its time, else none would ever get through
            close.append(min(others, key=lambda c: (c.last_at, c.number)))
        return Probing(close, open=True)

    def _free(self, lane: LaneState) -> int:
        """Connections that the source still allows, less one for each other lane that has none."""
        state = self._state
        kept_free = sum(
            1 for other in state.lanes if other is not lane and not other.standby and not other.channels
        )
        return state.max_connections - len(state.channels) - min(kept_free, state.max_connections - 1)


def stale(lane: LaneState) -> list[ChannelState]:
    """The channels of a silent lane that stayed silent while a probe got through."""
    since = lane.silence.since
    if since is None:
        return []
    return [
        channel
        for channel in lane.channels.values()
        if not channel.probe and max(channel.last_at, channel.connecting_since) < since
    ]
