"""Which lanes of a source carry now, by the roles of their links. `now` is an argument, in seconds.

A primary link always does. An overflow link does while it is needed (the forecast misses the deadline). A
last resort does while every other lane that should is down or closed; a contact that has closed counts at
once, silence only after a while, because most outages pass within seconds and the last resort costs.
A lane that may not carry takes nothing new; what is in flight on it comes in, and its channels are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.state import SourceState
from skyhaul_schemas.errors import CapSpent, LinkClosed

RESORT_AFTER = 10.0
"""Seconds without a byte or a connection after which a lane counts as down; half the patience with a silent
source where that is less. Chosen, not measured: longer than a satellite's hand-over, and short beside what a
shard waits for anyway."""


class LinkRoles:
    """Decides which lanes of a source carry, and which channels have to go for that."""

    def __init__(self, state: SourceState) -> None:
        self._state = state
        self._resort_after = min(RESORT_AFTER, state.health.patience / 2)
        # Nothing to judge, as in most hauls: this is asked at every decision.
        self._plain = all(lane.policy.role == "primary" and not lane.policy.policed for lane in state.lanes)
        self._wanted_since = float("-inf")
        self._had_work = False
        self._active: set[int] | None = None

    def surplus(self, now: float) -> Iterable[ChannelState]:
        """The channels to drop before lanes are connected or given ranges.

        Each is to be dropped before the next one is asked for: the choice counts those that are left."""
        return () if self._plain else self._surplus(now)

    def _surplus(self, now: float) -> Iterator[ChannelState]:
        self._judge(now)
        for lane in self._state.lanes:
            closure = lane.look(now).closure
            if lane.standby or closure is not None:
                # Of a lane that was switched off all channels go, whatever is in flight on them. What is in
                # flight when a cap is spent was leased before it was asked for, and comes in.
                at_once = closure is not None and not closure.spent
                for channel in list(lane.channels.values()):
                    if at_once or not channel.in_flight:
                        yield channel
        active = {lane.number for lane in self._state.lanes if not lane.standby}
        # Not at the first look: nobody holds connections yet.
        if self._active is not None and active - self._active:
            yield from self._in_the_way()
        self._active = active

    def closed(self, now: float) -> bool:
        """Whether no lane that should carry has a contact."""
        self._judge(now)
        return all(lane.standby or lane.phase(now) is Phase.CLOSED for lane in self._state.lanes)

    def why_closed(self, now: float) -> LinkClosed:
        """The error to put tasks off with, with the reasons of the lanes that should carry."""
        name, lanes = self._state.name, self._state.lanes
        closures = {lane.link: lane.look(now).closure for lane in lanes if not lane.standby}
        reasons = [f"link {link}: {closure.reason}" for link, closure in closures.items() if closure]
        if reasons and any(closure and closure.spent for closure in closures.values()):
            return CapSpent(f"{name}: {'; '.join(reasons)}")
        if reasons:
            return LinkClosed(f"{name}: {'; '.join(reasons)}")
        links = ", ".join(dict.fromkeys(lane.link for lane in lanes))
        return LinkClosed(f"{name}: no contact over {links} now; run again when the next one opens")

    def could_deliver(self, now: float) -> bool:
        """Whether a lane that carries is up, and nothing here holds it back."""
        return any(
            not lane.standby and lane.phase(now) is Phase.UP and not lane.throttled(now)
            for lane in self._state.lanes
        )

    def _judge(self, now: float) -> None:
        """Tell each lane whether it stands by."""
        if self._plain:
            return
        # A lane that had nothing to do for an hour has been quiet for an hour, and is not down for that.
        if self._state.missing and not self._had_work:
            self._wanted_since = now
        self._had_work = self._state.missing > 0
        others = [lane for lane in self._state.lanes if lane.policy.role != "last-resort"]
        carrying = [lane for lane in others if lane.policy.role == "primary" or lane.policy.needed()]
        resort = all(self._is_down(lane, now) for lane in carrying)
        for lane in self._state.lanes:
            lane.stand_by(not (resort if lane.policy.role == "last-resort" else lane in carrying))

    def _is_down(self, lane: LaneState, now: float) -> bool:
        if lane.phase(now) is Phase.CLOSED or lane.backoff.refused:
            return True
        troubled = lane.silent or lane.backoff.failed > 0
        return troubled and now - max(lane.silence.alive_at, self._wanted_since) >= self._resort_after

    def _in_the_way(self) -> Iterator[ChannelState]:
        """The channels that make room for a lane that was called in, what is idle or silent first.

        The other lanes may hold all connections that the source allows."""
        state = self._state
        active = [lane for lane in state.lanes if not lane.standby]
        share = max(1, state.max_connections // len(active))
        needed = share - (state.max_connections - len(state.channels))
        for _ in range(max(0, needed)):
            giver = max(active, key=lambda lane: (not lane.usable, len(lane.channels)))
            # A lane that works keeps its last channel, so that with `max_connections` of 1 the newcomer gets
            # none: the two would take it from each other.
            if not giver.channels or (giver.usable and len(giver.channels) == 1):
                return
            yield min(giver.channels.values(), key=lambda c: (bool(c.in_flight), c.outstanding, c.number))
