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
from skyhaul_connectors.transfer.schedule.assignment import Assigning
from skyhaul_connectors.transfer.schedule.connecting import Dialling
from skyhaul_connectors.transfer.schedule.error_policy import Blame
from skyhaul_connectors.transfer.schedule.fetch_task import Action, Ask, Hang, Work
from skyhaul_connectors.transfer.schedule.giving_way import GivingWay
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.lane import LONG_SILENCE, PROBE_EVERY, LaneState
from skyhaul_connectors.transfer.schedule.link_roles import Roles
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
        self._assigning = Assigning(self._state)
        self._blame = Blame(self._state)
        self._giving_way = GivingWay(self._state)
        self._dialling = Dialling(self._state, self._giving_way)
        self._roles = Roles(self._state)
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

    def add(self, work: Work) -> None:
        """Take the work up; its segments come by `want`."""
        self._state.works[work.key] = work

    def want(self, key: int, segment: int, now: float) -> None:
        """Fetch what has not arrived of the segment."""
        work = self._state.works.get(key)
        if work is not None:
            for start, stop in work.arrived.gaps(*work.map.stretch(segment)):
                self._state.want(work, start, stop, segment, now)

    def again(self, key: int, stretches: Iterable[Stretch], now: float) -> None:
        """Fetch stretches once more that had arrived: they read wrong. Others are left as they are."""
        work = self._state.works.get(key)
        if work is None:
            return
        for start, stop in stretches:
            for low, high in work.arrived.remove(start, stop):
                work.again.add(low, high)
                for segment in work.map.touched(low, high):
                    first, last = work.map.stretch(segment)
                    self._state.want(work, max(low, first), min(high, last), segment, now)

    def remove(self, key: int) -> None:
        """The work is no longer wanted."""
        work = self._state.works.get(key)
        if work is not None:
            self._state.remove(work)

    def redial(self, link: str) -> None:
        """Drop the channels over `link`: what was out on them is asked for anew, at the link's new rate."""
        for lane in self._state.lanes:
            if lane.link == link:
                for channel in list(lane.channels.values()):
                    self._state.hang(channel)

    # -- events of channels

    def ask_of(self, tag: int) -> Ask | None:
        """The ask that a request's tag stands for, None once it ended."""
        return self._state.asks.get(tag)

    def opened(self, number: int, now: float, *, timed: bool = True) -> None:
        channel = self._state.channels.get(number)
        if channel is None:
            return
        lane = self.lanes[channel.lane]
        channel.open = True
        lane.roomy[number] = channel
        lane.open_channels += 1
        lane.failed_dials = 0
        lane.refused = False
        lane.refusals = 0
        lane.next_dial = min(lane.next_dial, now)
        lane.alive_at = now
        if timed:
            lane.estimate.saw_first_byte(now, now - channel.dialled_at)
        for ask in channel.asks:
            ask.asked_at = now
        if lane.silent_since is not None:
            self._dialling.redial(lane)

    def pipelines(self, number: int, proved: bool) -> None:
        """Whether the channel takes several requests at once."""
        channel = self._state.channels.get(number)
        if channel is not None and channel.pipelines != proved:
            channel.pipelines = proved
            self.lanes[channel.lane].roomy[number] = channel

    def wire(self, number: int, count: int, now: float) -> None:
        """`count` bytes were read off the channel's connection: a sign of life, whatever they are (what a
        channel keeps or passes over is not told of otherwise)."""
        channel = self._state.channels.get(number)
        if channel is None:
            return
        lane = self.lanes[channel.lane]
        lane.alive_at = channel.last_at = now
        lane.counts.wire += count
        if channel.asks and channel.asks[0].request.whole:
            # What lies before the range in a whole object is let go by unseen.
            self._state.health.received(now, count)
        work = channel.asks[0].work if channel.asks else channel.last_work
        if work is not None:
            work.count(lane.link).wire += count

    def received(self, ask: Ask, count: int, now: float) -> list[Stretch]:
        """`count` more bytes of the ask at its cursor. Returns the positions to write: what is new."""
        state = self._state
        channel = state.channels[ask.channel]
        lane = self.lanes[channel.lane]
        start = ask.cursor
        ask.cursor = stop = start + count
        ask.last_at = channel.last_at = lane.alive_at = now
        if ask.first_at is None:
            ask.first_at = now
            if ask.alone:
                lane.estimate.saw_first_byte(now, now - ask.asked_at)
        channel.answered = True
        channel.reported = False
        channel.outstanding -= count
        if channel.pipelines and channel.outstanding < lane.depth:
            lane.roomy[channel.number] = channel
        lane.outstanding -= count
        lane.estimate.meter.add(now, count)
        state.health.received(now, count)
        if lane.silent_since is not None:
            if now - lane.silent_since >= LONG_SILENCE:
                # One stream tried again just in time; the others would back off for as long as it was silent.
                self._dialling.redial(lane)
            else:
                lane.wake(false_alarm=True)
        work = ask.work
        if work.gone:
            return []
        work.fruitless = 0
        fresh = work.arrived.add(start, stop)
        repeated = work.took(lane.link, fresh, count)
        lane.counts.payload += count - repeated
        lane.counts.resent += repeated
        new = sum(b - a for a, b in fresh)
        work.missing -= new
        state.missing -= new
        return fresh

    def finished(self, ask: Ask, now: float) -> None:
        """The answer was whole."""
        if ask.cursor != ask.stop:
            self.failed(ask, ConnectionLost(f"{self.name}: an answer ended {ask.rest} bytes early"), now)
            return
        channel = self._state.channels[ask.channel]
        self._state.end(ask, channel)
        channel.answered = True
        channel.reported = False
        self.lanes[channel.lane].calm()
        self._state.health.succeeded()
        self._state.took_whole(ask)

    def failed(self, ask: Ask, error: CarriageError, now: float) -> None:
        """The answer was an error; the channel goes on, or its `closed` follows."""
        channel = self._state.channels[ask.channel]
        self._state.end(ask, channel)
        self._blame.on(ask, error, channel, now)
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
            refused = now - channel.dialled_at < 1.0 + 3 * lane.estimate.slow_rtt
            if lane.open_channels and refused and error.disposition is Disposition.TRANSIENT:
                lane.concurrency.capped(now, lane.open_channels)
            lane.dial_failed(now)
        blame = error if channel.open and not channel.reported else None
        for ask in list(channel.asks):
            state.end(ask, channel)
            if blame is not None:
                self._blame.on(ask, blame, channel, now)
                blame = None
            else:
                state.requeue(ask, ask.spent, ask.tries)
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
            if lane.phase(now) is not Phase.UP or lane.ruled:
                due.append(lane.look(now).until)
            if lane.silent_since is not None or lane.next_dial > now:
                due.append(lane.next_dial if lane.next_dial > now else now + PROBE_EVERY)
            elif lane.channels and lane.estimate.rtt is None:
                due.append(now + _DIAL_TICK)
            elif lane.asks:
                due.append(now + _TICK)
        return max(now + 0.001, min(due))

    # -- inside

    def _drop_stalled(self, now: float) -> None:
        state = self._state
        for channel in list(state.channels.values()):
            if not channel.asks or now - max(channel.last_at, channel.asks[0].asked_at) <= ASK_DEADLINE:
                continue
            state.actions.append(Hang(channel.number))
            self.closed(channel.number, StalledError(f"{self.name}: no byte for {ASK_DEADLINE:g}s"), now)
