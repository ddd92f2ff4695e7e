"""What the scheduler of one source knows, and the few steps in which it changes.

What must hold between the steps is written in `invariants`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from skyhaul_connectors.sources.catalogue.doubts import Doubts
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch
from skyhaul_connectors.transfer.schedule.fetch_task import (
    Action,
    Close,
    FetchTask,
    GiveUp,
    Open,
    PendingRange,
    RangeInFlight,
    Send,
)
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.range_queue import RangeQueue
from skyhaul_schemas.errors import CarriageError

_ORPHANS = 256 * 1024
"""Bytes in flight that nobody wants any more, above which closing their channel is cheaper than letting them
come in. Chosen, not measured: a few round trips of one connection."""

_IGNORED = 3
"""Parts for which whole objects came, and none that came as a part, until objects are asked for whole. As
many as odd answers that prove true in a row (`doubts`); chosen, not measured."""


class SourceState:
    """Lanes, channels, ranges in flight and tasks of one source.

    Attributes:
        name: The source's.
        lanes: By number.
        max_connections: Over all lanes together.
        health: How the source as a whole is doing.
        tasks: By key, those that are wanted.
        queue: The ranges that are to be asked for.
        in_flight: Ranges by their request's tag.
        channels: Of all lanes, by number.
        missing: Bytes that are wanted and have not arrived.
        doubts: What asking again has brought.
    """

    def __init__(
        self, name: str, lanes: Sequence[LaneState], max_connections: int, health: SourceHealth
    ) -> None:
        self.name = name
        self.lanes = tuple(lanes)
        self.max_connections = max_connections
        self.health = health
        self.tasks: dict[int, FetchTask] = {}
        self.queue = RangeQueue()
        self.in_flight: dict[int, RangeInFlight] = {}
        self.channels: dict[int, ChannelState] = {}
        self.missing = 0
        self.doubts = Doubts()
        self._actions: list[Action] = []
        self._ranges_known = False
        self._ignored = 0
        self._numbers = itertools.count(1)

    @property
    def due(self) -> bool:
        """Whether there are actions to take."""
        return bool(self._actions)

    def take_actions(self) -> list[Action]:
        """What the engine has to do, in order; each action is told once."""
        actions, self._actions = self._actions, []
        return actions

    # -- tasks

    def add(self, task: FetchTask) -> None:
        """Take the task up; nothing of it is wanted yet."""
        self.tasks[task.key] = task

    def want(self, task: FetchTask, start: int, stop: int, segment: int, now: float) -> None:
        """Queue bytes [start, stop) of the segment."""
        if start >= stop:
            return
        if not self.missing:
            self.health.begin(now)
        task.want(stop - start)
        self.missing += stop - start
        self.queue.push(PendingRange(task, segment, start, stop))

    def remove(self, task: FetchTask) -> None:
        """Nobody wants the task any more.

        What is in flight for it is thrown away when it comes; channels with much of it are closed at once."""
        del self.tasks[task.key]
        task.cancel()  # first: `close` must not put the task's ranges back
        self.missing -= task.missing
        self.queue.purge()
        for channel in list(self.channels.values()):
            if sum(flight.remaining for flight in channel.in_flight if flight.task.cancelled) > _ORPHANS:
                self.close(channel)

    def give_up(self, task: FetchTask, error: CarriageError) -> None:
        """End the task with the error."""
        self.remove(task)
        self._actions.append(GiveUp(task.key, error))

    def give_up_all(self, error: CarriageError) -> None:
        """End every task that still misses bytes with the error."""
        for task in [t for t in self.tasks.values() if t.missing]:
            self.give_up(task, error)

    def give_up_source(self, error: CarriageError) -> None:
        """Every task that is not whole ends with the error, also where its rest waits for room in the spool.

        The rest would not come either. Nobody waits for what is in flight."""
        for task in [t for t in self.tasks.values() if not t.arrived.covers(0, t.map.length)]:
            self.give_up(task, error)
        for channel in list(self.channels.values()):
            if channel.in_flight:
                self.close(channel)

    def fall_behind(self, tasks: Iterable[FetchTask]) -> None:
        """Let other tasks that wait go before these."""
        for task in tasks:
            task.fall_behind()
        self.queue.reorder()

    # -- whether the source sends parts

    @property
    def whole(self) -> bool:
        """Whether objects are asked for in one piece: the source has ignored ranges so far."""
        return self._ignored >= _IGNORED

    def ignored_a_range(self) -> None:
        """Count an answer that was a whole object where a part was asked for."""
        # Once parts have come, an answer with all of the object is one machine's mistake, and is doubted.
        if not self._ranges_known:
            self._ignored += 1
        if self.whole:
            # What was to wait its turn goes along with the rest of its object.
            self.queue.release(float("inf"))

    def took_whole(self, flight: RangeInFlight) -> None:
        """The answer to the range was whole."""
        self.doubts.right(after_doubt=flight.doubted > 0)
        if flight.stop - flight.start < flight.request.object.size and not flight.request.whole:
            self._ranges_known = True
            self._ignored = 0

    # -- channels

    def open(self, lane: LaneState, now: float, *, probe: bool = False) -> None:
        """Open a channel over the lane."""
        # Channels and requests are numbered by one counter, and no number is used again: an event that comes
        # late finds nothing under its number.
        number = next(self._numbers)
        channel = self.channels[number] = ChannelState(number, lane.number, now, probe)
        lane.add(channel)
        self._actions.append(Open(lane.number, number))

    def forget(self, channel: ChannelState) -> LaneState:
        """Forget the channel, and return its lane. The caller ends its ranges."""
        del self.channels[channel.number]
        lane = self.lanes[channel.lane]
        lane.forget(channel)
        return lane

    def close(self, channel: ChannelState) -> None:
        """Drop a channel of ours; what was in flight on it goes back to the queue and costs nothing."""
        self.forget(channel)
        for flight in list(channel.in_flight):
            self.end(flight, channel)
            self.requeue(flight, flight.retries_used, flight.tries)
        self.tell_to_close(channel)

    def tell_to_close(self, channel: ChannelState) -> None:
        """The engine is to close the channel; nothing else changes by this."""
        self._actions.append(Close(channel.number))

    def reconnect(self, link: str) -> None:
        """Drop the channels over `link`."""
        for lane in self.lanes:
            if lane.link == link:
                for channel in list(lane.channels.values()):
                    self.close(channel)

    def allow(self, connections: int, min_rate: float) -> None:
        """So many connections over all lanes; the least useful of those that are too many are dropped."""
        self.max_connections = connections
        self.health.least.demand(min_rate)
        for lane in self.lanes:
            lane.concurrency.allow(connections)
        by_use = sorted(self.channels.values(), key=lambda c: (len(c.in_flight), c.last_at, c.number))
        for channel in by_use[: max(0, len(by_use) - connections)]:
            self.close(channel)

    # -- ranges

    def send(
        self,
        pending: PendingRange,
        channel: ChannelState,
        now: float,
        copies: list[RangeInFlight] | None = None,
    ) -> None:
        """Ask for the range on the channel. copies: those that are in flight for the same positions."""
        tag = next(self._numbers)
        address = pending.task.map
        request = RangeRequest(
            address.segments[pending.segment].object,
            address.object_offset(pending.segment, pending.start),
            pending.stop - pending.start,
            tag,
            self.whole,
        )
        lane = self.lanes[channel.lane]
        flight = self.in_flight[tag] = RangeInFlight(
            request,
            pending.task,
            pending.segment,
            pending.start,
            pending.stop,
            channel.number,
            now,
            alone=not channel.in_flight,
            ahead=lane.outstanding,
            retries_used=pending.retries_used,
            tries=pending.tries,
            doubted=pending.doubted,
            cursor=pending.start,
            copies=[] if copies is None else copies,
        )
        lane.sent(channel, flight, now)
        self._actions.append(Send(channel.number, request))

    def arrived(self, flight: RangeInFlight, lane: LaneState, start: int, stop: int) -> list[Stretch]:
        """Count positions [start, stop) as arrived. Returns the parts that are new and wanted."""
        task = flight.task
        if task.cancelled:
            return []
        fresh, new, repeated = task.arrive(lane.link, start, stop)
        lane.counts.received(stop - start - repeated, repeated)
        self.missing -= new
        return fresh

    def end(self, flight: RangeInFlight, channel: ChannelState) -> None:
        """End the range, whether it is complete or not."""
        if flight.ended:
            return
        del self.in_flight[flight.request.tag]
        self.lanes[channel.lane].ended(channel, flight)
        flight.end()

    def requeue(
        self,
        flight: RangeInFlight,
        retries_used: int,
        tries: int,
        not_before: float = 0.0,
        *,
        doubted: int | None = None,
    ) -> None:
        """Put back what the range leaves undone, less what its copies are in flight for.

        Args:
            flight: Has ended.
            retries_used: Of the budget, from now on.
            tries: In vain, from now on.
            not_before: When it may be asked for (seconds); 0 is at once.
            doubted: Odd answers in a row; None: as it was."""
        task = flight.task
        if task.cancelled:
            return
        # A copy that goes on brings its part, or puts it back itself when it ends: asked for by both it would
        # cross once more.
        left = IntervalSet(task.arrived.gaps(flight.cursor, flight.stop))
        for other in flight.copies:
            if other is not flight:
                left.remove(other.cursor, other.stop)
        again = flight.doubted if doubted is None else doubted
        for start, stop in left:
            self.queue.push(
                PendingRange(task, flight.segment, start, stop, retries_used, tries, again), not_before
            )
