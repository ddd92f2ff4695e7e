"""What the scheduler of one source knows, and the few steps in which it changes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.sources.catalogue.doubts import Doubts
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.transfer.intervals import IntervalSet
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
from skyhaul_schemas.errors import CapSpent, CarriageError, LinkClosed

_ORPHANS = 256 * 1024
"""Bytes of asks that nobody wants any more, above which closing their channel is cheaper."""

_IGNORED = 3
"""Parts for which whole objects came, and none that came as a part, until objects are asked for whole."""


class SourceState:
    """Lanes, channels, asks and works of one source. `actions` collects what the engine has to do."""

    def __init__(
        self,
        name: str,
        lanes: Sequence[LaneState],
        max_connections: int,
        health: SourceHealth,
        *,
        wait_for_contact: bool,
        seed: int,
    ) -> None:
        self.name = name
        self.lanes = tuple(lanes)
        self.max_connections = max_connections
        self.health = health
        self.wait_for_contact = wait_for_contact
        self.draw = random.Random(f"scheduler/{seed}/{name}")
        self.tasks: dict[int, FetchTask] = {}
        self.queue = RangeQueue()
        self.in_flight: dict[int, RangeInFlight] = {}
        self.channels: dict[int, ChannelState] = {}
        self.actions: list[Action] = []
        self.missing = 0
        self.doubts = Doubts()
        self.ranges_known = False
        self._ignored = 0
        self.judge_roles: Callable[[float], None] = lambda now: None
        self._numbers = itertools.count(1)

    # -- works

    def want(self, task: FetchTask, start: int, stop: int, segment: int, now: float) -> None:
        """Bytes [start, stop) of the segment are to be fetched."""
        if start >= stop:
            return
        if not self.missing:
            self.health.begin(now)
        task.missing += stop - start
        self.missing += stop - start
        self.queue.push(PendingRange(task, segment, start, stop))

    def remove(self, task: FetchTask) -> None:
        """What is out for the work is thrown away when it comes; what much is out ends at once."""
        del self.tasks[task.key]
        task.cancelled = True
        self.missing -= task.missing
        self.queue.purge()
        for channel in list(self.channels.values()):
            if sum(flight.remaining for flight in channel.in_flight if flight.task.cancelled) > _ORPHANS:
                self.close(channel)

    def give_up(self, task: FetchTask, error: CarriageError) -> None:
        self.remove(task)
        self.actions.append(GiveUp(task.key, error))

    def give_up_all(self, error: CarriageError) -> None:
        """Every work that still misses something ends with the error."""
        for task in [w for w in self.tasks.values() if w.missing]:
            self.give_up(task, error)

    @property
    def whole(self) -> bool:
        """Whether objects are asked for in one piece: the source has ignored ranges so far."""
        return self._ignored >= _IGNORED

    def ignored_a_range(self) -> None:
        """A whole object came for a part. A source that has sent parts does so by mistake."""
        if not self.ranges_known:
            self._ignored += 1
        if self.whole:
            # What was to wait its turn goes along with the rest of its object.
            self.queue.release(float("inf"))

    def took_whole(self, flight: RangeInFlight) -> None:
        """The answer to the ask was whole."""
        self.doubts.right(after_doubt=flight.doubted > 0)
        if flight.stop - flight.start < flight.request.object.size and not flight.request.whole:
            self.ranges_known = True
            self._ignored = 0

    def give_up_source(self, error: CarriageError) -> None:
        """So do those whose rest waits for room: it would not come either. Nobody waits for what is out."""
        for task in [w for w in self.tasks.values() if not w.arrived.covers(0, w.map.length)]:
            self.give_up(task, error)
        for channel in list(self.channels.values()):
            if channel.in_flight:
                self.close(channel)

    def closed(self, now: float) -> bool:
        """Whether no lane that should carry has a contact."""
        self.judge_roles(now)
        return all(lane.standby or lane.phase(now) is Phase.CLOSED for lane in self.lanes)

    def could_deliver(self, now: float) -> bool:
        """Whether the source could send what is asked of it: a lane is up, and nothing here holds it back."""
        if now < self.health.paused_until:
            return False
        return any(
            not lane.standby and lane.phase(now) is Phase.UP and not lane.held_back(now)
            for lane in self.lanes
        )

    def defer_when_closed(self, now: float, told: CarriageError | None = None) -> None:
        """Where no lane has a contact (or the only one was `told` so), works are put off at once, unless
        the haul waits for the next contact."""
        if self.wait_for_contact:
            return
        told_so = isinstance(told, LinkClosed) and len(self.lanes) == 1
        if self.missing and (told_so or self.closed(now)):
            self.give_up_all(self._why_closed(now))

    def _why_closed(self, now: float) -> LinkClosed:
        closures = {lane.link: lane.look(now).closure for lane in self.lanes if not lane.standby}
        reasons = [f"link {link}: {closure.reason}" for link, closure in closures.items() if closure]
        if reasons and any(closure and closure.spent for closure in closures.values()):
            return CapSpent(f"{self.name}: {'; '.join(reasons)}")
        if reasons:
            return LinkClosed(f"{self.name}: {'; '.join(reasons)}")
        links = ", ".join(dict.fromkeys(lane.link for lane in self.lanes))
        return LinkClosed(f"{self.name}: no contact over {links} now; run again when the next one opens")

    # -- channels

    def open(self, lane: LaneState, now: float, *, probe: bool = False) -> None:
        number = next(self._numbers)
        channel = ChannelState(number, lane.number, now, probe)
        self.channels[number] = lane.channels[number] = lane.accepting[number] = channel
        self.actions.append(Open(lane.number, number))

    def forget(self, channel: ChannelState) -> LaneState:
        """The channel is no more. Its asks are the caller's to end."""
        del self.channels[channel.number]
        lane = self.lanes[channel.lane]
        del lane.channels[channel.number]
        lane.accepting.pop(channel.number, None)
        if channel.open:
            lane.open_channels -= 1
        return lane

    def close(self, channel: ChannelState) -> None:
        """Drop a channel of ours; what was out on it goes back to the queue and costs nothing."""
        self.forget(channel)
        for flight in list(channel.in_flight):
            self.end(flight, channel)
            self.requeue(flight, flight.retries_used, flight.tries)
        self.actions.append(Close(channel.number))

    # -- asks

    def send(
        self,
        pending: PendingRange,
        channel: ChannelState,
        now: float,
        copies: list[RangeInFlight] | None = None,
    ) -> RangeInFlight:
        """Ask for the piece on the channel. copies: the asks that are out for the same range."""
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
        flight = RangeInFlight(
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
        if not lane.in_flight_count:
            lane.waiting_since = now
        self.in_flight[tag] = flight
        channel.in_flight.append(flight)
        channel.outstanding += request.length
        lane.outstanding += request.length
        lane.in_flight_count += 1
        self.actions.append(Send(channel.number, request))
        return flight

    def end(self, flight: RangeInFlight, channel: ChannelState) -> None:
        """The ask is over, whole or not."""
        if flight.ended:
            return
        flight.ended = True
        del self.in_flight[flight.request.tag]
        channel.in_flight.remove(flight)
        channel.last_work = flight.task
        channel.outstanding -= flight.remaining
        lane = self.lanes[channel.lane]
        lane.outstanding -= flight.remaining
        lane.in_flight_count -= 1
        if channel.number in lane.channels:
            lane.accepting[channel.number] = channel
        flight.copies.remove(flight)

    def requeue(
        self,
        flight: RangeInFlight,
        retries_used: int,
        tries: int,
        not_before: float = 0.0,
        *,
        doubted: int | None = None,
    ) -> None:
        """Put back what the ask leaves undone, less what its copies are out for. doubted: as it was, where
        nothing else is said."""
        task = flight.task
        if task.cancelled:
            return
        left = IntervalSet(task.arrived.gaps(flight.cursor, flight.stop))
        for other in flight.copies:
            if other is not flight:
                left.remove(other.cursor, other.stop)
        for start, stop in left:
            again = flight.doubted if doubted is None else doubted
            self.queue.push(
                PendingRange(task, flight.segment, start, stop, retries_used, tries, again), not_before
            )
