"""What the scheduler of one source knows, and the few steps in which it changes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.sources.catalogue.doubts import Doubts
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.transfer.intervals import IntervalSet
from skyhaul_connectors.transfer.schedule.fetch_task import Action, Ask, Dial, GiveUp, Hang, Piece, Send, Work
from skyhaul_connectors.transfer.schedule.health import SourceHealth
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.range_queue import PieceQueue
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
        most: int,
        health: SourceHealth,
        *,
        wait_for_contact: bool,
        seed: int,
    ) -> None:
        self.name = name
        self.lanes = tuple(lanes)
        self.most = most
        self.health = health
        self.wait_for_contact = wait_for_contact
        self.draw = random.Random(f"scheduler/{seed}/{name}")
        self.works: dict[int, Work] = {}
        self.queue = PieceQueue()
        self.asks: dict[int, Ask] = {}
        self.channels: dict[int, ChannelState] = {}
        self.actions: list[Action] = []
        self.missing = 0
        self.doubts = Doubts()
        self.ranges_known = False
        self._ignored = 0
        self.judge_roles: Callable[[float], None] = lambda now: None
        self._numbers = itertools.count(1)

    # -- works

    def want(self, work: Work, start: int, stop: int, segment: int, now: float) -> None:
        """Bytes [start, stop) of the segment are to be fetched."""
        if start >= stop:
            return
        if not self.missing:
            self.health.begin(now)
        work.missing += stop - start
        self.missing += stop - start
        self.queue.push(Piece(work, segment, start, stop))

    def remove(self, work: Work) -> None:
        """What is out for the work is thrown away when it comes; what much is out ends at once."""
        del self.works[work.key]
        work.gone = True
        self.missing -= work.missing
        self.queue.purge()
        for channel in list(self.channels.values()):
            if sum(ask.rest for ask in channel.asks if ask.work.gone) > _ORPHANS:
                self.hang(channel)

    def give_up(self, work: Work, error: CarriageError) -> None:
        self.remove(work)
        self.actions.append(GiveUp(work.key, error))

    def give_up_all(self, error: CarriageError) -> None:
        """Every work that still misses something ends with the error."""
        for work in [w for w in self.works.values() if w.missing]:
            self.give_up(work, error)

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

    def took_whole(self, ask: Ask) -> None:
        """The answer to the ask was whole."""
        self.doubts.right(after_doubt=ask.doubted > 0)
        if ask.stop - ask.start < ask.request.object.size and not ask.request.whole:
            self.ranges_known = True
            self._ignored = 0

    def give_up_source(self, error: CarriageError) -> None:
        """So do those whose rest waits for room: it would not come either. Nobody waits for what is out."""
        for work in [w for w in self.works.values() if not w.arrived.covers(0, w.map.length)]:
            self.give_up(work, error)
        for channel in list(self.channels.values()):
            if channel.asks:
                self.hang(channel)

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
        self.channels[number] = lane.channels[number] = lane.roomy[number] = channel
        self.actions.append(Dial(lane.number, number))

    def forget(self, channel: ChannelState) -> LaneState:
        """The channel is no more. Its asks are the caller's to end."""
        del self.channels[channel.number]
        lane = self.lanes[channel.lane]
        del lane.channels[channel.number]
        lane.roomy.pop(channel.number, None)
        if channel.open:
            lane.open_channels -= 1
        return lane

    def hang(self, channel: ChannelState) -> None:
        """Drop a channel of ours; what was out on it goes back to the queue and costs nothing."""
        self.forget(channel)
        for ask in list(channel.asks):
            self.end(ask, channel)
            self.requeue(ask, ask.spent, ask.tries)
        self.actions.append(Hang(channel.number))

    # -- asks

    def send(self, piece: Piece, channel: ChannelState, now: float, copies: list[Ask] | None = None) -> Ask:
        """Ask for the piece on the channel. copies: the asks that are out for the same range."""
        tag = next(self._numbers)
        address = piece.work.map
        request = RangeRequest(
            address.segments[piece.segment].object,
            address.object_offset(piece.segment, piece.start),
            piece.stop - piece.start,
            tag,
            self.whole,
        )
        lane = self.lanes[channel.lane]
        ask = Ask(
            request,
            piece.work,
            piece.segment,
            piece.start,
            piece.stop,
            channel.number,
            now,
            alone=not channel.asks,
            ahead=lane.outstanding,
            spent=piece.spent,
            tries=piece.tries,
            doubted=piece.doubted,
            cursor=piece.start,
            copies=[] if copies is None else copies,
        )
        if not lane.asks:
            lane.waiting_since = now
        self.asks[tag] = ask
        channel.asks.append(ask)
        channel.outstanding += request.length
        lane.outstanding += request.length
        lane.asks += 1
        self.actions.append(Send(channel.number, request))
        return ask

    def end(self, ask: Ask, channel: ChannelState) -> None:
        """The ask is over, whole or not."""
        if ask.ended:
            return
        ask.ended = True
        del self.asks[ask.request.tag]
        channel.asks.remove(ask)
        channel.last_work = ask.work
        channel.outstanding -= ask.rest
        lane = self.lanes[channel.lane]
        lane.outstanding -= ask.rest
        lane.asks -= 1
        if channel.number in lane.channels:
            lane.roomy[channel.number] = channel
        ask.copies.remove(ask)

    def requeue(
        self, ask: Ask, spent: int, tries: int, not_before: float = 0.0, *, doubted: int | None = None
    ) -> None:
        """Put back what the ask leaves undone, less what its copies are out for. doubted: as it was, where
        nothing else is said."""
        work = ask.work
        if work.gone:
            return
        left = IntervalSet(work.arrived.gaps(ask.cursor, ask.stop))
        for other in ask.copies:
            if other is not ask:
                left.remove(other.cursor, other.stop)
        for start, stop in left:
            again = ask.doubted if doubted is None else doubted
            self.queue.push(Piece(work, ask.segment, start, stop, spent, tries, again), not_before)
