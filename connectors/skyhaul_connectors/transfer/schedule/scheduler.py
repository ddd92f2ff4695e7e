"""The scheduler of one source: which range goes to which channel, and when channels open and close.

Sans-I/O: events come in as method calls with `now` (seconds, monotonic), `decide(now)` answers with
actions, `wakeup(now)` says when to ask again at the latest. A byte that is wanted *waits* (in the queue), is
*in flight* (a range on a channel, or copies of it on several), or has *arrived*; each byte is accepted once.

The queue is served in the order of tasks, then positions. A lane takes what its channels have room for,
so that lanes share by what they deliver; near the end a slow lane leaves the rest to one that will have
it done sooner.

The parts judge, and this module carries out what they say: `link_roles` which lanes carry, `giving_way` whose
turn is over, `error_policy` what follows from an error. `connecting` opens channels, and `assignment` and
`hedging` send ranges, by the state's own methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.schedule.assignment import Assignment
from skyhaul_connectors.transfer.schedule.connecting import Connecting, stale
from skyhaul_connectors.transfer.schedule.error_policy import EndTask, ErrorPolicy
from skyhaul_connectors.transfer.schedule.fetch_task import Action, FetchTask, RangeInFlight
from skyhaul_connectors.transfer.schedule.giving_way import GivingWay
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.hedging import Hedging
from skyhaul_connectors.transfer.schedule.invariants import step
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.link_roles import LinkRoles
from skyhaul_connectors.transfer.schedule.silence import LONG_SILENCE, PROBE_EVERY
from skyhaul_connectors.transfer.schedule.state import SourceState
from skyhaul_schemas.errors import (
    CarriageError,
    ConnectionLost,
    Disposition,
    LinkClosed,
    ServerBusy,
    ServerError,
    StalledError,
)

ASK_DEADLINE = 90.0
"""Seconds without a byte after which a channel with a range in flight is dropped, whatever its own deadlines
say. A last resort behind those of the sources; chosen, not measured."""

_TICK = 0.1
"""Seconds between two looks while ranges are in flight: late ones, samples of the rate, silence. Chosen: a
tenth of the second after which silence counts."""

_CONNECT_TICK = 0.02
"""The same while no round trip is known, when connections are opened one after the other: at 50 Mbit/s one
more is due each 2.3 ms (`pace.Concurrency.target`), so that some nine are opened at a look. Chosen."""

_LOOK_ROUND = 1.0
"""Seconds between two looks for stalled channels and for tasks that should give way, which go through all
channels. Chosen: both wait for seconds anyway."""

_LEAST_SLEEP = 0.001
"""Seconds that `wakeup` is ahead of `now` at least, so that a due time that has passed cannot spin."""


class SourceScheduler:
    """Schedules the ranges of one source over its lanes.

    Args:
        name: The source's, for messages.
        lanes: The ways to it, best first.
        max_connections: The source's, over all lanes together.
        health: The source's clocks.
        wait_for_contact: Sleep while no link has a contact, instead of putting tasks off.
        seed: Of the waits before repeats.
    """

    def __init__(
        self,
        name: str,
        lanes: Sequence[LaneState],
        max_connections: int,
        health: SourceHealth,
        *,
        wait_for_contact: bool = False,
        seed: int = 0,
    ) -> None:
        self.name = name
        self._state = SourceState(name, lanes, max_connections, health)
        self._wait_for_contact = wait_for_contact
        self._assignment = Assignment(self._state)
        self._hedging = Hedging(self._state)
        self._errors = ErrorPolicy(self._state, seed)
        self._giving_way = GivingWay(self._state)
        self._connecting = Connecting(self._state)
        self._roles = LinkRoles(self._state)
        self._next_look = 0.0
        self._next_count = 0.0

    @property
    def lanes(self) -> tuple[LaneState, ...]:
        return self._state.lanes

    @property
    def missing(self) -> int:
        """Bytes that are wanted and have not arrived."""
        return self._state.missing

    def moves(self, now: float) -> bool:
        """Whether bytes are wanted, and arrive."""
        return self._state.missing > 0 and self._state.health.moves(now)

    @property
    def rate(self) -> float | None:
        """Bytes a second lately, all connections together; None before there is something to tell of."""
        return self._state.health.least.now()

    @property
    def min_rate(self) -> float:
        """Bytes a second that the source should bring."""
        return self._state.health.least.rate

    # -- tasks

    def add(self, task: FetchTask) -> None:
        """Take the task up; its segments come by `want`."""
        self._state.add(task)

    @step
    def want(self, key: int, segment: int, now: float) -> None:
        """Fetch what has not arrived of the segment. Once for each segment, until it is lost by `again`."""
        task = self._state.tasks.get(key)
        if task is not None:
            for start, stop in task.arrived.gaps(*task.map.stretch(segment)):
                self._state.want(task, start, stop, segment, now)

    @step
    def again(self, key: int, stretches: Iterable[Stretch], now: float) -> None:
        """Fetch stretches again that had arrived and read wrong. What had not arrived stays as it is."""
        task = self._state.tasks.get(key)
        if task is None:
            return
        for start, stop in stretches:
            for low, high in task.lose(start, stop):
                for segment in task.map.touched(low, high):
                    first, last = task.map.stretch(segment)
                    self._state.want(task, max(low, first), min(high, last), segment, now)

    @step
    def remove(self, key: int) -> None:
        """The task is no longer wanted."""
        task = self._state.tasks.get(key)
        if task is not None:
            self._state.remove(task)

    @step
    def reconnect(self, link: str) -> None:
        """Drop the channels over `link`: what was in flight on them is asked for anew, at its new rate."""
        self._state.reconnect(link)

    @step
    def allow(self, connections: int, min_rate: float) -> None:
        """So many connections from now on, which should bring so many bytes a second."""
        self._state.allow(connections, min_rate)

    # -- events of channels

    def in_flight(self, tag: int) -> RangeInFlight | None:
        """The range that a request's tag stands for, None once it ended."""
        return self._state.in_flight.get(tag)

    @step
    def opened(self, number: int, now: float, *, timed: bool = True) -> None:
        """The channel is connected. timed: what that took is a round trip."""
        channel = self._state.channels.get(number)
        if channel is None:
            return
        lane = self._state.lanes[channel.lane]
        lane.opened(channel, now, timed=timed)
        if lane.silent:
            self._end_outage(lane)

    @step
    def pipelines(self, number: int, proved: bool) -> None:
        """Whether the channel takes several requests at once."""
        channel = self._state.channels.get(number)
        if channel is not None:
            self._state.lanes[channel.lane].pipelines(channel, proved)

    @step
    def wire(self, number: int, count: int, now: float) -> None:
        """`count` bytes were read off the channel's connection: a sign of life, whatever they are.

        What a channel keeps or passes over is not told of otherwise."""
        channel = self._state.channels.get(number)
        if channel is None:
            return
        lane = self._state.lanes[channel.lane]
        lane.heard(channel, count, now)
        flight = channel.in_flight[0] if channel.in_flight else None
        if flight is not None and flight.request.whole:
            # What lies before the range in a whole object is let go by unseen.
            self._state.health.received(now, count)
        task = channel.last_task if flight is None else flight.task
        if task is not None:
            task.count(lane.link).add_wire(count)

    @step
    def received(self, flight: RangeInFlight, count: int, now: float) -> list[Stretch]:
        """`count` more bytes of the range at its cursor. Returns the positions to write: what is new."""
        state = self._state
        channel = state.channels[flight.channel]
        lane = state.lanes[channel.lane]
        start = flight.cursor
        lane.received(channel, flight, count, now)
        state.health.received(now, count)
        fresh = state.arrived(flight, lane, start, start + count)
        if lane.silent:
            self._heard_in_silence(lane, now)
        return fresh

    @step
    def finished(self, flight: RangeInFlight, now: float) -> None:
        """The answer was whole."""
        state = self._state
        if flight.cursor != flight.stop:
            error = ConnectionLost(f"{self.name}: an answer ended {flight.remaining} bytes early")
            self.failed(flight, error, now)
            return
        channel = state.channels[flight.channel]
        state.end(flight, channel)
        channel.answered_whole()
        state.lanes[channel.lane].silence.reset_backoff()
        state.health.succeeded()
        state.took_whole(flight)

    @step
    def failed(self, flight: RangeInFlight, error: CarriageError, now: float) -> None:
        """The answer was an error; the channel goes on, or its `closed` follows."""
        channel = self._state.channels[flight.channel]
        self._state.end(flight, channel)
        self._bear(flight, error, channel, now)
        channel.answered_error(by_server=isinstance(error, ServerBusy | ServerError))

    @step
    def closed(self, number: int, error: CarriageError | None, now: float) -> None:
        """The channel's last event. Its first range bears the error, the others were only behind it."""
        state = self._state
        channel = state.channels.get(number)
        if channel is None:
            return
        lane = state.forget(channel)
        failed_to_open = error if not channel.open else None
        if failed_to_open is not None:
            self._connecting.failed(failed_to_open, channel, lane, now)
        cause = error if channel.open and not channel.reported else None
        for flight in list(channel.in_flight):
            state.end(flight, channel)
            if cause is not None:
                self._bear(flight, cause, channel, now)
                cause = None
            else:
                state.requeue(flight, flight.retries_used, flight.tries)
        if failed_to_open is None:
            return
        if failed_to_open.disposition is Disposition.PERMANENT:
            if self._connecting.refused(lane, now):
                state.give_up_all(failed_to_open)
        else:
            self._defer_when_closed(now, failed_to_open)

    # -- decisions

    @step
    def decide(self, now: float) -> list[Action]:
        """The actions to take now, in order, each once."""
        state = self._state
        for channel in self._roles.surplus(now):
            state.close(channel)
        if state.missing:
            self._judge_source(now)
        state.queue.release(now)
        if state.missing:
            for lane in state.lanes:
                self._connecting.watch(lane, now)
            if now >= self._next_look:
                self._next_look = now + _LOOK_ROUND
                self._drop_stalled(now)
                self._give_way(now)
            if now >= state.health.paused_until:
                for lane in state.lanes:
                    self._connecting.connect(lane, now)
                for lane in state.lanes:
                    self._assignment.assign(lane, now)
                self._hedging.look(now)
        return state.take_actions()

    def wakeup(self, now: float) -> float | None:
        """When `decide` must be called at the latest, None where only an event can change anything."""
        state = self._state
        if state.due:
            return now
        if not state.missing:
            return None
        due = [state.health.verdict_due(now)]
        release = state.queue.next_release()
        if release is not None:
            due.append(release)
        if state.health.paused_until > now:
            due.append(state.health.paused_until)
        for lane in state.lanes:
            due.append(_due(lane, now))
        return max(now + _LEAST_SLEEP, min(due))

    # -- inside

    def _bear(self, flight: RangeInFlight, error: CarriageError, channel: ChannelState, now: float) -> None:
        """Let the range, which has ended, bear the error."""
        state = self._state
        verdict = self._errors.judge(flight, error, channel, now)
        if verdict is None:
            return
        if isinstance(verdict, EndTask):
            state.give_up(flight.task, verdict.error)
            return
        state.requeue(
            flight, verdict.retries_used, verdict.tries, verdict.not_before, doubted=verdict.doubted
        )
        if verdict.link_closed:
            self._defer_when_closed(now, error)
        if verdict.elsewhere and channel.number in state.channels:
            state.close(channel)

    def _judge_source(self, now: float) -> None:
        """Give up what waits where the source has been silent or failing too long, or no link is there."""
        state = self._state
        if now >= self._next_count:
            self._next_count = now + _TICK
            held = now < state.health.paused_until
            state.health.look(now, counts=not held and self._roles.could_deliver(now))
        verdict = state.health.verdict(now, self._roles.closed(now))
        if verdict is not None:
            state.give_up_source(verdict)
        self._defer_when_closed(now)

    def _defer_when_closed(self, now: float, told: CarriageError | None = None) -> None:
        """Where no lane has a contact (or the only one was `told` so), tasks are put off at once.

        Not where the haul waits for the next contact."""
        if self._wait_for_contact:
            return
        told_so = isinstance(told, LinkClosed) and len(self._state.lanes) == 1
        if self._state.missing and (told_so or self._roles.closed(now)):
            self._state.give_up_all(self._roles.why_closed(now))

    def _heard_in_silence(self, lane: LaneState, now: float) -> None:
        since = lane.silence.since
        if since is not None and now - since >= LONG_SILENCE:
            # One stream tried again just in time; the others would back off for as long as it was silent.
            self._end_outage(lane)
        else:
            lane.end_silence(false_alarm=True)

    def _end_outage(self, lane: LaneState) -> None:
        """End the silence: channels that stayed silent are dropped, and opened anew at the next decision."""
        dropped: set[int] = set()
        for channel in stale(lane):
            dropped.update(flight.task.key for flight in channel.in_flight)
            self._state.close(channel)
        behind = self._giving_way.dropped(dropped)
        if behind:
            self._state.fall_behind(behind)
        lane.end_silence(false_alarm=False)

    def _give_way(self, now: float) -> None:
        turn = self._giving_way.look(now)
        for channel in turn.channels:
            self._state.close(channel)
        if turn.tasks:
            self._state.fall_behind(turn.tasks)

    def _drop_stalled(self, now: float) -> None:
        state = self._state
        for channel in list(state.channels.values()):
            flights = channel.in_flight
            if not flights or now - max(channel.last_at, flights[0].sent_at) <= ASK_DEADLINE:
                continue
            state.tell_to_close(channel)
            error = StalledError(f"{self.name}: no byte for {ASK_DEADLINE:g}s")
            self.closed(channel.number, error, now)


def _due(lane: LaneState, now: float) -> float:
    """When the lane may have something to decide; inf where only an event can change that."""
    due = float("inf")
    if lane.phase(now) is not Phase.UP or lane.policy.policed:
        due = lane.look(now).until
    if lane.silent or lane.backoff.next_at > now:
        return min(due, lane.backoff.next_at if lane.backoff.next_at > now else now + PROBE_EVERY)
    if lane.channels and lane.estimate.rtt is None:
        return min(due, now + _CONNECT_TICK)
    return min(due, now + _TICK) if lane.in_flight_count else due
