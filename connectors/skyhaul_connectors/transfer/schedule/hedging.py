"""Copies of ranges in flight, once nothing waits: of what is late, and of all where little is missing.

Why: at the end of a haul a lost packet costs a round trip, or TCP's own timeout where nothing follows it that
would betray the loss. An idle channel fetches what is missing of the range in less.
"""

from __future__ import annotations

from dataclasses import dataclass

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.schedule.fetch_task import PendingRange, RangeInFlight
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.pace import FIRST_GUESS
from skyhaul_connectors.transfer.schedule.state import SourceState

_EVERY = 0.02
"""Seconds between two looks: a look goes through all ranges in flight. Chosen, not measured: a thirtieth of
geo's round trip, less than half of leo's."""

_ROOM = 4 * 1024 * 1024
"""Bytes that must be left of a cap for copies to be made. Chosen, not measured."""

LATE = 1.2
"""Round trips without a byte, with a range in flight, after which a channel is taken to repair a loss. Part
of the tail's rules that brought geo CUBIC 16 MiB to 0.742 of the link (`benchmarks/links`, docs/transfer.md);
`test_what_is_late_when_little_is_missing_is_copied_once_more` holds it."""

OLD = 2.2
"""Round trips after which a range that is not whole is taken for one, too, however it trickles: one to come,
one to be repaired."""

THIN = 4.0
"""How much longer a range is waited for that takes the link more than a quarter of a round trip. Chosen
with the tail's other rules and not measured alone; `test_full_links` has such links."""

HALF = 0.5
"""Of what the link holds: where more is missing, most of it is on its way, and copies would be in its way.
Chosen, not measured alone."""

SPARE = 0.01
"""Of what came: what is copied over a link that has nothing else to do, late or not, from one whose round
trip is twice as long. A bound on what may cross twice; chosen, not measured."""


@dataclass(frozen=True, slots=True)
class CopyRule:
    """How many ranges are in flight for the same bytes while at most `missing` of what came is missing.

    Attributes:
        missing: A share of the bytes that came.
        copies: The first one counted, of every range.
        late: Of one that is late.
    """

    missing: float
    copies: int
    late: int


RULES = (CopyRule(0.0012, 4, 5), CopyRule(0.006, 3, 4), CopyRule(0.022, 2, 3))
"""The first rule that holds counts; none holds where more is missing than HALF of what the link holds.

What is missing at the end comes in waves, one round trip apart: of some forty ranges that are copied when 2 %
is missing, one in ten loses a packet again. Measured with `benchmarks/links`, in turns (shares of the link;
docs/transfer.md, "Copies in the tail"):

- third copies below 0.6 % instead of 0.3 %: geo CUBIC 64 MiB 0.919 against 0.903, geo BBR 64 MiB 0.888
  against 0.868, geo CUBIC 16 MiB 0.749 against 0.709; below 1.2 % more than 1.12 of the payload crossed;
- fourth ones below 0.12 %: 16 MiB 0.772 against 0.759, 500 files 0.575 against 0.550;
- one more of what is late, paid for by beginning at 2.2 % instead of 3 %: 16 MiB 0.742 against 0.695.
"""

OTHERWISE = CopyRule(1.0, 1, 2)
"""Much is missing: only what is late is copied, once."""


def rule_for(missing: int, came: int, holds: float) -> CopyRule:
    """The rule for `missing` bytes, where `came` have come and the link holds `holds` (bytes)."""
    if missing > HALF * holds:
        return OTHERWISE
    return next((rule for rule in RULES if missing <= rule.missing * came), OTHERWISE)


class Hedging:
    """Copies ranges of one source to idle channels."""

    def __init__(self, state: SourceState) -> None:
        self._state = state
        self._next = float("-inf")
        self._spared = 0

    def look(self, now: float) -> None:
        """Idle channels fetch the missing rest of ranges in flight, once nothing waits; `now` in seconds.

        Late ranges are copied oldest first, and none that may still come in time (else small objects cost
        thrice). A quick link that has nothing to do copies what a slow one has asked for last: it would be
        found late last."""
        state = self._state
        # Of a source that ignores ranges (`whole`) a copy would be the whole object once more.
        if state.queue.ready or not state.in_flight or now < self._next or state.whole:
            return
        self._next = now + _EVERY
        idle = self._idle(now)
        came = sum(lane.estimate.meter.total for lane in state.lanes)
        rule = rule_for(state.missing, came, max(lane.estimate.holds for lane in state.lanes))
        # Oldest first: a dictionary keeps the order of its entries. Copying adds some, hence the list.
        for flight in list(state.in_flight.values()):
            if not idle:
                return
            if not flight.ended and not flight.task.cancelled:
                self._hedge(flight, rule, idle, now)
        self._spare(SPARE * came, idle, now)

    def _hedge(self, flight: RangeInFlight, rule: CopyRule, idle: list[ChannelState], now: float) -> None:
        """Make as many copies as the rule says. Where it allows no more and all are late, drop one."""
        late = self._is_late(flight, now)
        lacking = (rule.late if late else rule.copies) - len(flight.copies)
        if lacking > 0:
            for _ in range(min(lacking, len(idle))):
                self._copy(flight, idle, now)
        elif late and self._is_oldest_of_late_copies(flight, now):
            # Its channel is given up, and its place is free for a copy.
            self._state.close(self._state.channels[flight.channel])

    def _spare(self, spare: float, idle: list[ChannelState], now: float) -> None:
        """Copy what slower links than the idle ones were asked for last, up to `spare` bytes in all."""
        for flight in reversed(list(self._state.in_flight.values())):
            if not idle or self._spared + flight.remaining > spare:
                return
            if flight.task.cancelled or len(flight.copies) != 1:
                continue
            if self._is_slower(self._lane_of(flight), idle[0]):
                self._spared += flight.remaining
                self._copy(flight, idle, now)

    def _idle(self, now: float) -> list[ChannelState]:
        """Channels with nothing to do, of quick lanes first."""
        return [
            channel
            for lane in sorted(self._state.lanes, key=lambda lane: lane.estimate.usual_rtt)
            if lane.usable and lane.phase(now) is Phase.UP and _has_room(lane, now)
            for channel in lane.channels.values()
            if channel.open and not channel.in_flight
        ]

    def _copy(self, flight: RangeInFlight, idle: list[ChannelState], now: float) -> None:
        """Ask the first idle channel, too, for the missing bytes of the range."""
        gaps = flight.task.arrived.gaps(flight.cursor, flight.stop)
        if gaps:
            # What the range has used up goes along: copies must not multiply its retry budget.
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

    def _is_oldest_of_late_copies(self, flight: RangeInFlight, now: float) -> bool:
        copies = flight.copies
        return (
            len(copies) > 1
            and flight is min(copies, key=_sent_at)
            and all(self._is_late(copy, now) for copy in copies)
        )

    def _is_late(self, flight: RangeInFlight, now: float) -> bool:
        lane = self._lane_of(flight)
        estimate = lane.estimate
        # A full link is no reason to ask twice: what is in flight takes its time for all, whether it was
        # asked for before or since.
        rate = max(estimate.rate or FIRST_GUESS, estimate.meter.rate(now))
        usual = max(estimate.usual_rtt, max(flight.ahead, lane.outstanding) / rate)
        if flight.remaining / rate > estimate.usual_rtt / 4:
            usual *= THIN  # the link itself takes longer than any repair; a copy would only delay it
        # The channel's last byte counts too: a range that is pipelined behind others is not late while they
        # come.
        silent = now - max(flight.sent_at, flight.last_at, self._state.channels[flight.channel].last_at)
        return silent > LATE * usual or now - flight.sent_at > OLD * usual

    def _is_slower(self, lane: LaneState, idle: ChannelState) -> bool:
        return 2 * self._state.lanes[idle.lane].estimate.usual_rtt < lane.estimate.usual_rtt

    def _lane_of(self, flight: RangeInFlight) -> LaneState:
        return self._state.lanes[self._state.channels[flight.channel].lane]


def _has_room(lane: LaneState, now: float) -> bool:
    """Whether the lane's cap leaves room for copies."""
    return lane.policy.room is None or lane.policy.room(now) >= _ROOM


def _sent_at(flight: RangeInFlight) -> float:
    return flight.sent_at
