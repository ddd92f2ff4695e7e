"""When channels open: as many as a lane can use, later after failures, and new ones when it is silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.pace import range_size
from skyhaul_connectors.transfer.schedule.silence import PROBES
from skyhaul_connectors.transfer.schedule.state import SourceState
from skyhaul_schemas.errors import CarriageError, Disposition

_PROBE_TIME, _PROBE_ROUND_TRIPS = 2.0, 3.0
"""Seconds, or slow round trips, that a probe is given to open: lost SYNs are sent again after 1 s and 3 s
(RFC 6298), so that a later one is sooner. Chosen, not measured."""

_REFUSED_WITHIN, _REFUSED_ROUND_TRIPS = 1.0, 3.0
"""A connection that fails within so many seconds and slow round trips was refused by somebody, and did not
time out. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class Probing:
    """The channels to close, and whether to open a probe after that."""

    close: Sequence[ChannelState] = ()
    open: bool = False


class Connecting:
    """Opens the channels of a source's lanes. `now` is in seconds."""

    def __init__(self, state: SourceState) -> None:
        self._state = state

    def watch(self, lane: LaneState, now: float) -> None:
        """Tell the lane of its goodput, and whether it has gone silent."""
        state = self._state
        # Where nothing waits, the lane brings what little is left, which says nothing of the link.
        busy = lane.outstanding > 0 and state.queue.waiting > 0
        lane.concurrency.observe(now, lane.estimate, lane.open_channels, busy)
        due = lane.silence_due() if state.missing else None
        if due is not None and now >= due and lane.phase(now) is not Phase.CLOSED:
            lane.fall_silent(now)

    def connect(self, lane: LaneState, now: float) -> None:
        """Open the channels that the lane can use and does not have; probes where it is silent."""
        state = self._state
        if lane.standby or lane.phase(now) is Phase.CLOSED:
            return
        if not lane.silent:
            for _ in range(self._useful(lane, now)):
                state.open(lane, now)
            return
        probing = self._probe(lane, now)
        for channel in probing.close:
            state.close(channel)
        if probing.open:
            state.open(lane, now, probe=True)
            lane.backoff.probed(now, lane.silence.probe_interval(now))

    def failed(self, error: CarriageError, channel: ChannelState, lane: LaneState, now: float) -> None:
        """The channel, which is forgotten already, did not open: the next one waits.

        Where others are open and it was turned away at once, the server has a cap."""
        self._state.health.connect_failed(error)
        patience = _REFUSED_WITHIN + _REFUSED_ROUND_TRIPS * lane.estimate.slow_rtt
        refused = now - channel.connecting_since < patience
        if lane.open_channels and refused and error.disposition is Disposition.TRANSIENT:
            lane.concurrency.capped(now, lane.open_channels)
        lane.backoff.connect_failed(now)

    def refused(self, lane: LaneState, now: float) -> bool:
        """No connection is to be had at all (TLS, say), and no range is to blame.

        One machine of many may have another certificate, so it takes several in a row. Other lanes may do;
        this one is tried again in a minute.

        Returns:
            Whether no lane is left, so that the tasks are to end with the error."""
        lanes = self._state.lanes
        if not lane.backoff.refuse(now) or not all(other.backoff.refused for other in lanes):
            return False
        # The tasks of now have their verdict; those that come later may ask for themselves.
        for other in lanes:
            other.backoff.forgive()
        return True

    def _useful(self, lane: LaneState, now: float) -> int:
        """How many more channels the lane can use."""
        state = self._state
        queue = state.queue
        if now < lane.backoff.next_at or not queue.ready:
            return 0
        wanted = lane.concurrency.target(now, lane.estimate, lane.connecting_for(now))
        # After a failure one at a time: the other end may be down, or have a cap on connections.
        if lane.backoff.failed:
            wanted = min(wanted, lane.open_channels + 1)
        has = len(lane.channels)
        wanted = min(wanted - has, self._free(lane))
        if wanted <= 0:
            return 0
        # No more than there will be ranges for, less the channels that have nothing to do (`has` - `busy`).
        size = range_size(lane.estimate, wanted + has, queue.waiting)
        return min(wanted, max(queue.ready, queue.waiting // size) - has + lane.busy)

    def _probe(self, lane: LaneState, now: float) -> Probing:
        """Which probes of a silent lane have had their time, and whether another one goes out."""
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
            # The limit holds for probes too: the channel that has been silent longest makes room.
            close.append(min(others, key=lambda c: (c.last_at, c.number)))
        return Probing(close, open=True)

    def _free(self, lane: LaneState) -> int:
        """Connections that the source still allows, less one for each other lane that has none."""
        state = self._state
        kept_free = sum(
            1 for other in state.lanes if other is not lane and not other.standby and not other.channels
        )
        return state.max_connections - len(state.channels) - min(kept_free, max(0, state.max_connections - 1))


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
