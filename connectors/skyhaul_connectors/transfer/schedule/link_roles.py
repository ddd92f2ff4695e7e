"""Which lanes of a source carry now, by the roles of their links. `now` is an argument, in seconds.

A primary link always does. An overflow link does while it is needed (the forecast misses the deadline). A
last resort does while every other lane that should is down or closed; a contact that has closed counts at
once, silence only after a while, because most outages pass within seconds and the last resort costs.
A lane that may not carry takes nothing new; what is out on it comes in, and its channels are dropped.
"""

from __future__ import annotations

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.schedule.lane import LaneState
from skyhaul_connectors.transfer.schedule.state import SourceState

RESORT_AFTER = 10.0
"""Seconds without a byte or a connection after which a lane counts as down; half the patience with a silent
source where that is less."""


class LinkRoles:
    """Sets `standby` of the source's lanes."""

    def __init__(self, state: SourceState) -> None:
        self._state = state
        self._resort_after = min(RESORT_AFTER, state.health.patience / 2)
        self._plain = all(lane.role == "primary" and not lane.policed for lane in state.lanes)
        self._wanted_since = float("-inf")
        self._had_work = False
        self._active: set[int] | None = None

    def look(self, now: float) -> None:
        """Call it before lanes are dialled or given work."""
        if self._plain:
            return
        self.judge(now)
        for lane in self._state.lanes:
            closure = lane.look(now).closure
            if lane.standby or closure is not None:
                # Of a lane that was switched off all channels go, whatever is out on them.
                self._clear(lane, at_once=closure is not None and not closure.spent)
        active = {lane.number for lane in self._state.lanes if not lane.standby}
        if self._active is not None and active - self._active:
            self._make_room()
        self._active = active

    def judge(self, now: float) -> None:
        """Set `standby`, and nothing else."""
        if self._plain:
            return
        if self._state.missing and not self._had_work:
            self._wanted_since = now
        self._had_work = self._state.missing > 0
        others = [lane for lane in self._state.lanes if lane.role != "last-resort"]
        carrying = [lane for lane in others if lane.role == "primary" or lane.needed()]
        resort = all(self._is_down(lane, now) for lane in carrying)
        for lane in self._state.lanes:
            lane.standby = not (resort if lane.role == "last-resort" else lane in carrying)

    def _is_down(self, lane: LaneState, now: float) -> bool:
        if lane.phase(now) is Phase.CLOSED or lane.refused:
            return True
        troubled = lane.silent_since is not None or lane.failed_connects > 0
        return troubled and now - max(lane.alive_at, self._wanted_since) >= self._resort_after

    def _clear(self, lane: LaneState, *, at_once: bool) -> None:
        for channel in list(lane.channels.values()):
            if at_once or not channel.in_flight:
                self._state.close(channel)

    def _make_room(self) -> None:
        """A lane was called in: the others may hold all connections that the source allows. They give up
        its share, what is idle or silent first."""
        state = self._state
        active = [lane for lane in state.lanes if not lane.standby]
        share = max(1, state.max_connections // len(active))
        needed = share - (state.max_connections - len(state.channels))
        for _ in range(max(0, needed)):
            giver = max(active, key=lambda lane: (not lane.usable, len(lane.channels)))
            if not giver.channels or (giver.usable and len(giver.channels) == 1):
                return
            state.close(
                min(giver.channels.values(), key=lambda c: (bool(c.in_flight), c.outstanding, c.number))
            )
