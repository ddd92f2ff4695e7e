"""Drives one source's scheduler on an asyncio loop: carries its actions out, tells it what happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from skyhaul_connectors.links.shared_link import LinkState
from skyhaul_connectors.sources.protocol import Channel, HoldsBack, RangeRequest
from skyhaul_connectors.transfer.schedule.fetch_task import Close, GiveUp, Open, Send
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.lane import LanePolicy, LaneState
from skyhaul_connectors.transfer.schedule.scheduler import SourceScheduler
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_schemas.errors import CarriageError, MalformedAnswer, SkyhaulError


class SourceEvents(Protocol):
    """What a source's driver tells the engine. On the loop's thread."""

    def task_complete(self, key: int) -> None:
        """All that is wanted of the task with this key has arrived, for now."""

    def task_failed(self, key: int, error: SkyhaulError) -> None:
        """The scheduler gave the task up, or its bytes could not be written."""

    def nothing_missing(self) -> None:
        """Nothing that is wanted of the source is missing."""


class SourceDriver:
    """One source. Uses nothing of the loop but `time`, `call_soon` and `call_at`.

    Args:
        name: The source's.
        lanes: The ways to it.
        settings: Of the haul.
        loop: Where its channels live, and on whose thread everything is called.
        events: Is told of tasks that are complete or failed, and when nothing is missing.
    """

    def __init__(
        self,
        name: str,
        lanes: SourceLanes,
        settings: EngineSettings,
        loop: asyncio.AbstractEventLoop,
        events: SourceEvents,
    ) -> None:
        self.name = name
        self.lanes = lanes
        self._loop = loop
        self._events = events
        self.scheduler = SourceScheduler(
            name,
            [
                LaneState(number, lane.link, lanes.max_connections, _policy(lane, loop))
                for number, lane in enumerate(lanes.lanes)
            ],
            lanes.max_connections,
            SourceHealth(
                name,
                patience=settings.patience,
                give_up_after=settings.give_up_after,
                min_rate=lanes.min_rate,
            ),
            wait_for_contact=settings.wait_for_contact,
            seed=settings.seed,
        )
        self._channels: dict[int, Channel] = {}
        self._wake_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._stopped = False

    def wake(self) -> None:
        """Let the scheduler decide soon: once a turn of the loop, however much happened in it."""
        # A hundred channels may bring a packet each in one turn, and a decision costs more than they do.
        if not self._wake_due and not self._stopped:
            self._wake_due = True
            self._loop.call_soon(self._pump)

    def stop(self) -> None:
        """Drop all channels; nothing is asked for any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for channel in list(self._channels.values()):
            channel.close()
        self._channels.clear()

    def _pump(self) -> None:
        self._wake_due = False
        if self._stopped:
            return
        for action in self.scheduler.decide(self._loop.time()):
            match action:
                case Open(lane, number):
                    self._open_channel(self.lanes.lanes[lane], number)
                case Send(number, request):
                    # None where it could not even begin to open: its `closed` is on its way.
                    channel = self._channels.get(number)
                    if channel is not None:
                        channel.request(request)
                case Close(number):
                    channel = self._channels.pop(number, None)
                    if channel is not None:
                        channel.close()
                case GiveUp(key, error):
                    self._events.task_failed(key, error)
        self._arm()

    def _arm(self) -> None:
        due = self.scheduler.wakeup(self._loop.time())
        if due is None:
            return
        # A timer that fires too soon costs one decision; moving it after each packet would cost more.
        if self._timer is not None and self._timer_at <= due and not self._timer.cancelled():
            return
        if self._timer is not None:
            self._timer.cancel()
        if due == float("inf"):
            self._timer = None
            return
        self._timer_at = due
        self._timer = self._loop.call_at(due, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._timer_at = float("inf")
        self.wake()

    def _open_channel(self, lane: Lane, number: int) -> None:
        owner = _ChannelOwner(self, number)
        try:
            self._channels[number] = lane.source.connect(owner, lane.route)
        except CarriageError as error:
            # Not from inside: the scheduler's actions are still being carried out.
            self._loop.call_soon(owner.closed, error)

    # -- events of channels

    def _opened(self, number: int, timed: bool) -> None:
        self.scheduler.opened(number, self._loop.time(), timed=timed)
        self._note_pipelining(number)
        self.wake()

    def _received(self, number: int, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        # None: the range was given up or its channel dropped, and its last bytes were already read.
        flight = self.scheduler.in_flight(request.tag)
        if flight is None:
            return
        size = len(data)
        position = flight.cursor
        # Sources keep to this by contract (`ChannelEvents`); a plug-in that does not must not shift a byte.
        if offset != request.offset + position - flight.start or size > flight.remaining:
            self._drop(number, MalformedAnswer(f"{self.name}: bytes at {offset} were not the next ones"))
            return
        task = flight.task
        fresh = self.scheduler.received(flight, size, self._loop.time())
        # `data` is the channel's buffer and is written over after this call: a sink copies what it keeps.
        try:
            for start, stop in fresh:
                part = data if stop - start == size else data[start - position : stop - position]
                task.sink.write(start, part)
        except SkyhaulError as error:
            self.scheduler.remove(task.key)
            self._events.task_failed(task.key, error)
        if fresh and not task.missing:
            self._events.task_complete(task.key)
            if not self.scheduler.missing:
                self._events.nothing_missing()
        self.wake()

    def _finished(self, number: int, request: RangeRequest) -> None:
        flight = self.scheduler.in_flight(request.tag)
        if flight is not None:
            self.scheduler.finished(flight, self._loop.time())
            self._note_pipelining(number)
        self.wake()

    def _failed(self, request: RangeRequest, error: CarriageError) -> None:
        flight = self.scheduler.in_flight(request.tag)
        if flight is not None:
            self.scheduler.failed(flight, error, self._loop.time())
        self.wake()

    def _wire(self, number: int, count: int) -> None:
        self.scheduler.wire(number, count, self._loop.time())

    def _closed(self, number: int, error: CarriageError | None) -> None:
        self._channels.pop(number, None)
        self.scheduler.closed(number, error, self._loop.time())
        self.wake()

    def _drop(self, number: int, error: CarriageError) -> None:
        # The scheduler is told here, with the error; the channel's own `closed` comes later, to nobody.
        channel = self._channels.pop(number, None)
        if channel is not None:
            channel.close()
        self.scheduler.closed(number, error, self._loop.time())
        self.wake()

    def _note_pipelining(self, number: int) -> None:
        channel = self._channels.get(number)
        if channel is not None:
            self.scheduler.pipelines(number, channel.pipelines)


class _ChannelOwner:
    """Hands a channel's events to its driver under the scheduler's number for it."""

    __slots__ = ("_driver", "_number")

    def __init__(self, driver: SourceDriver, number: int) -> None:
        self._driver = driver
        self._number = number

    def opened(self, timed: bool = True) -> None:
        self._driver._opened(self._number, timed)

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        self._driver._received(self._number, request, offset, data)

    def finished(self, request: RangeRequest) -> None:
        self._driver._finished(self._number, request)

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        self._driver._failed(request, error)

    def wire(self, count: int) -> None:
        self._driver._wire(self._number, count)

    def closed(self, error: CarriageError | None) -> None:
        self._driver._closed(self._number, error)


def _policy(lane: Lane, loop: asyncio.AbstractEventLoop) -> LanePolicy:
    """What holds for the lane from outside: its link's state, role, cap and pace."""
    policy = LanePolicy(look=_look(lane, loop))
    if isinstance(lane.source, HoldsBack):
        policy = replace(policy, paced=lane.source.holds_back)
    shared = lane.shared
    rules = shared.rules if shared is not None else None
    if shared is None or rules is None:
        return policy
    clock = shared.clock
    return replace(
        policy,
        role=rules.terms.role,
        policed=True,
        needed=lambda: rules.needed,
        room=None if rules.allowance is None else lambda now: rules.room(clock.epoch + clock.now()),
    )


def _look(lane: Lane, loop: asyncio.AbstractEventLoop) -> Callable[[float], LinkState] | None:
    """The link's state in the loop's time: both clocks are monotonic, so they differ by a constant."""
    shared = lane.shared
    if shared is None:
        return None
    ahead = shared.clock.now() - loop.time()

    def look(now: float) -> LinkState:
        state = shared.state(max(0.0, now + ahead))
        return LinkState(state.phase, state.until - ahead, state.closure)

    return look
