"""The scheduler of one source: which range goes to which channel, and when channels open and close.

Sans-I/O: events come in as method calls with `now` (seconds, monotonic), `decide(now)` answers with
actions, `wakeup(now)` says when to ask again at the latest. A byte that is wanted is *waiting* (a piece
in the queue), *out* (an ask on a channel, or copies of it on several), or *arrived*; each byte is accepted
once.

The queue is served in the order of works, then positions. A lane takes what its channels have room for,
so that lanes share by what they deliver; near the end a slow lane leaves the rest to one that will have
it done sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.schedule.assignment import Assignment
from skyhaul_connectors.transfer.schedule.connecting import Connecting
from skyhaul_connectors.transfer.schedule.error_policy import ErrorPolicy
from skyhaul_connectors.transfer.schedule.fetch_task import Action, Close, FetchTask, RangeInFlight
from skyhaul_connectors.transfer.schedule.giving_way import GivingWay
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.lane import LONG_SILENCE, PROBE_EVERY, LaneState
from skyhaul_connectors.transfer.schedule.link_roles import LinkRoles
from skyhaul_connectors.transfer.schedule.state import SourceState
from skyhaul_schemas.errors import (
    CarriageError,
    ConnectionLost,
    Disposition,
    ServerBusy,
    ServerError,
    StalledError,
)

ASK_DEADLINE = 90.0
"""Seconds without a byte after which a channel with an ask is dropped, whatever its own deadlines say."""

_TICK = 0.1
_DIAL_TICK = 0.02
_LOOK_ROUND = 1.0


class SourceScheduler:
    """Schedules the ranges of one source over its lanes. `max_connections` is the source's, over all."""

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
        self._state = SourceState(
            name, lanes, max_connections, health, wait_for_contact=wait_for_contact, seed=seed
        )
        self._assigning = Assignment(self._state)
        self._blame = ErrorPolicy(self._state)
        self._giving_way = GivingWay(self._state)
        self._dialling = Connecting(self._state, self._giving_way)
        self._roles = LinkRoles(self._state)
        self._state.judge_roles = self._roles.judge
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
        """Whether something is wanted, and comes."""
        return self._state.missing > 0 and self._state.health.moves(now)

    @property
    def rate(self) -> float | None:
        """Bytes a second lately, all connections together; None before there is something to tell of."""
        return self._state.health.least.now()

    @property
    def min_rate(self) -> float:
        """Bytes a second that the source should bring."""
        return self._state.health.least.rate

    # -- work

    def add(self, task: FetchTask) -> None:
        """Take the work up; its segments come by `want`."""
        self._state.tasks[task.key] = task

    def want(self, key: int, segment: int, now: float) -> None:
        """Fetch what has not arrived of the segment."""
        task = self._state.tasks.get(key)
        if task is not None:
            for start, stop in task.arrived.gaps(*task.map.stretch(segment)):
                self._state.want(task, start, stop, segment, now)

    def again(self, key: int, stretches: Iterable[Stretch], now: float) -> None:
        """Fetch stretches once more that had arrived: they read wrong. Others are left as they are."""
        task = self._state.tasks.get(key)
        if task is None:
            return
        for start, stop in stretches:
            for low, high in task.arrived.remove(start, stop):
                task.again.add(low, high)
                for segment in task.map.touched(low, high):
                    first, last = task.map.stretch(segment)
                    self._state.want(task, max(low, first), min(high, last), segment, now)

    def remove(self, key: int) -> None:
        """The work is no longer wanted."""
        task = self._state.tasks.get(key)
        if task is not None:
            self._state.remove(task)

    def reconnect(self, link: str) -> None:
        """Drop the channels over `link`: what was out on them is asked for anew, at the link's new rate."""
        for lane in self._state.lanes:
            if lane.link == link:
                for channel in list(lane.channels.values()):
                    self._state.close(channel)

    # -- events of channels

    def in_flight(self, tag: int) -> RangeInFlight | None:
        """The ask that a request's tag stands for, None once it ended."""
        return self._state.in_flight.get(tag)

    def opened(self, number: int, now: float, *, timed: bool = True) -> None:
        channel = self._state.channels.get(number)
        if channel is None:
            return
        lane = self.lanes[channel.lane]
        channel.open = True
        lane.accepting[number] = channel
        lane.open_channels += 1
        lane.failed_connects = 0
        lane.refused = False
        lane.refusals = 0
        lane.next_connect = min(lane.next_connect, now)
        lane.alive_at = now
        if timed:
            lane.estimate.saw_first_byte(now, now - channel.connecting_since)
        for flight in channel.in_flight:
            flight.sent_at = now
        if lane.silent_since is not None:
            self._dialling.reconnect(lane)

    def pipelines(self, number: int, proved: bool) -> None:
        """Whether the channel takes several requests at once."""
        channel = self._state.channels.get(number)
        if channel is not None and channel.pipelines != proved:
            channel.pipelines = proved
            self.lanes[channel.lane].accepting[number] = channel

    def wire(self, number: int, count: int, now: float) -> None:
        """`count` bytes were read off the channel's connection: a sign of life, whatever they are (what a
        channel keeps or passes over is not told of otherwise)."""
        channel = self._state.channels.get(number)
        if channel is None:
            return
        lane = self.lanes[channel.lane]
        lane.alive_at = channel.last_at = now
        lane.counts.wire += count
        if channel.in_flight and channel.in_flight[0].request.whole:
            # What lies before the range in a whole object is let go by unseen.
            self._state.health.received(now, count)
        task = channel.in_flight[0].task if channel.in_flight else channel.last_work
        if task is not None:
            task.count(lane.link).wire += count

    def received(self, flight: RangeInFlight, count: int, now: float) -> list[Stretch]:
        """`count` more bytes of the ask at its cursor. Returns the positions to write: what is new."""
        state = self._state
        channel = state.channels[flight.channel]
        lane = self.lanes[channel.lane]
        start = flight.cursor
        flight.cursor = stop = start + count
        flight.last_at = channel.last_at = lane.alive_at = now
        if flight.first_at is None:
            flight.first_at = now
            if flight.alone:
                lane.estimate.saw_first_byte(now, now - flight.sent_at)
        channel.answered = True
        channel.reported = False
        channel.outstanding -= count
        if channel.pipelines and channel.outstanding < lane.depth:
            lane.accepting[channel.number] = channel
        lane.outstanding -= count
        lane.estimate.meter.add(now, count)
        state.health.received(now, count)
        if lane.silent_since is not None:
            if now - lane.silent_since >= LONG_SILENCE:
                # One stream tried again just in time; the others would back off for as long as it was silent.
                self._dialling.reconnect(lane)
            else:
                lane.end_silence(false_alarm=True)
        task = flight.task
        if task.cancelled:
            return []
        task.fruitless = 0
        fresh = task.arrived.add(start, stop)
        repeated = task.took(lane.link, fresh, count)
        lane.counts.payload += count - repeated
        lane.counts.resent += repeated
        new = sum(b - a for a, b in fresh)
        task.missing -= new
        state.missing -= new
        return fresh

    def finished(self, flight: RangeInFlight, now: float) -> None:
        """The answer was whole."""
        if flight.cursor != flight.stop:
            self.failed(
                flight, ConnectionLost(f"{self.name}: an answer ended {flight.remaining} bytes early"), now
            )
            return
        channel = self._state.channels[flight.channel]
        self._state.end(flight, channel)
        channel.answered = True
        channel.reported = False
        self.lanes[channel.lane].reset_backoff()
        self._state.health.succeeded()
        self._state.took_whole(flight)

    def failed(self, flight: RangeInFlight, error: CarriageError, now: float) -> None:
        """The answer was an error; the channel goes on, or its `closed` follows."""
        channel = self._state.channels[flight.channel]
        self._state.end(flight, channel)
        self._blame.on(flight, error, channel, now)
        channel.reported = True
        if isinstance(error, ServerBusy | ServerError):
            channel.answered = True

    def closed(self, number: int, error: CarriageError | None, now: float) -> None:
        """The channel's last event. Its first ask bears the error, the others were only behind it."""
        state = self._state
        channel = state.channels.get(number)
        if channel is None:
            return
        lane = state.forget(channel)
        if error is not None and not channel.open:
            state.health.connect_failed(error)
            refused = now - channel.connecting_since < 1.0 + 3 * lane.estimate.slow_rtt
            if lane.open_channels and refused and error.disposition is Disposition.TRANSIENT:
                lane.concurrency.capped(now, lane.open_channels)
            lane.connect_failed(now)
        blame = error if channel.open and not channel.reported else None
        for flight in list(channel.in_flight):
            state.end(flight, channel)
            if blame is not None:
                self._blame.on(flight, blame, channel, now)
                blame = None
            else:
                state.requeue(flight, flight.retries_used, flight.tries)
        if error is None or channel.open:
            return
        if error.disposition is Disposition.PERMANENT:
            self._blame.lane_refused(lane, error, now)
        else:
            state.defer_when_closed(now, error)

    # -- decisions

    def decide(self, now: float) -> list[Action]:
        """What to do now: to be carried out in order, each action once."""
        state = self._state
        self._roles.look(now)
        if state.missing:
            if now >= self._next_count:
                self._next_count = now + _TICK
                state.health.look(now, counts=state.could_deliver(now))
            verdict = state.health.verdict(now, state.closed(now))
            if verdict is not None:
                state.give_up_source(verdict)
            state.defer_when_closed(now)
        state.queue.release(now)
        if state.missing:
            for lane in state.lanes:
                self._dialling.watch(lane, now)
            if now >= self._next_look:
                self._next_look = now + _LOOK_ROUND
                self._drop_stalled(now)
                self._giving_way.look(now)
            if now >= state.health.paused_until:
                for lane in state.lanes:
                    self._dialling.dial(lane, now)
                for lane in state.lanes:
                    self._assigning.assign(lane, now)
                self._assigning.hedge(now)
        actions, state.actions = state.actions, []
        return actions

    def wakeup(self, now: float) -> float | None:
        """When `decide` must be called at the latest, None where only an event can change anything."""
        state = self._state
        if state.actions:
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
            if lane.phase(now) is not Phase.UP or lane.policed:
                due.append(lane.look(now).until)
            if lane.silent_since is not None or lane.next_connect > now:
                due.append(lane.next_connect if lane.next_connect > now else now + PROBE_EVERY)
            elif lane.channels and lane.estimate.rtt is None:
                due.append(now + _DIAL_TICK)
            elif lane.in_flight_count:
                due.append(now + _TICK)
        return max(now + 0.001, min(due))

    # -- inside

    def _drop_stalled(self, now: float) -> None:
        state = self._state
        for channel in list(state.channels.values()):
            if (
                not channel.in_flight
                or now - max(channel.last_at, channel.in_flight[0].sent_at) <= ASK_DEADLINE
            ):
                continue
            state.actions.append(Close(channel.number))
            self.closed(channel.number, StalledError(f"{self.name}: no byte for {ASK_DEADLINE:g}s"), now)
