"""One lane as the scheduler knows it: its channels, what is in flight over them, and what it delivers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.links.shared_link import LinkState
from skyhaul_connectors.transfer.schedule.fetch_task import Count, FetchTask, RangeInFlight
from skyhaul_connectors.transfer.schedule.pace import SMALLEST_RANGE, Concurrency, Estimate
from skyhaul_connectors.transfer.schedule.silence import PROBE_EVERY, SLOWEST_PROBE, SilenceAlarm
from skyhaul_schemas.job.link_terms import Role

ALWAYS_UP = LinkState(Phase.UP, float("inf"))
"""Of the plain network, of which nothing is known beforehand: its outages are seen as silence."""

_REFUSALS = 6
"""Connections in a row that must be refused before a lane counts as refused: of the machines behind one name
some may have another certificate, say. Chosen, not measured."""

_REFUSED_PAUSE = 60.0
"""Seconds until a refused lane is tried again. Chosen, not measured."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """What holds for a lane from outside: the link's state, its role and its limits.

    Attributes:
        look: Tells the link's state at `now` (seconds, as the scheduler's); None: it is always up.
        role: When the lane carries; see `link_roles`.
        policed: Whether its state may change at any time from outside, so that it is looked at often.
        needed: Whether an overflow link is asked for now.
        room: Payload bytes that may be asked for beyond what is in flight; None is no limit.
        paced: Whether something waits for the link's own pace, or for an emulated link.
    """

    look: Callable[[float], LinkState] | None = None
    role: Role = "primary"
    policed: bool = False
    needed: Callable[[], bool] = _never
    room: Callable[[float], float] | None = None
    paced: Callable[[], bool] = _never


NO_POLICY = LanePolicy()


@dataclass(slots=True, eq=False)
class ChannelState:
    """One channel.

    Attributes:
        number: The scheduler's name for it.
        lane: The number of its lane.
        connecting_since: When it was asked to open (seconds).
        probe: Opened to see whether a silent lane is back.
        open: Connected.
        pipelines: Takes several requests at once.
        answered: Something came back since it opened.
        reported: Its last word was an error of a range, so that its end is nobody else's fault.
        in_flight: Its ranges, in the order in which they will be answered.
        outstanding: Bytes of them that have not come.
        last_at: When its last byte came (seconds); 0 before.
        last_task: Whose its last range was.
    """

    number: int
    lane: int
    connecting_since: float
    probe: bool = False
    open: bool = False
    pipelines: bool = False
    answered: bool = False
    reported: bool = False
    in_flight: deque[RangeInFlight] = field(default_factory=deque)
    outstanding: int = 0
    last_at: float = 0.0
    last_task: FetchTask | None = None

    def opened(self) -> None:
        """It is connected. Ranges go to it only from now on."""
        self.open = True

    def proved_pipelining(self, proved: bool) -> None:
        """Whether it takes several requests at once."""
        self.pipelines = proved

    def promote(self) -> None:
        """Treat the probe, which got through, as a channel like any other."""
        self.probe = False

    def heard(self, now: float) -> None:
        """Bytes were read off its connection."""
        self.last_at = now

    def sent(self, flight: RangeInFlight) -> None:
        """The range was asked for on it."""
        self.in_flight.append(flight)
        self.outstanding += flight.remaining

    def received(self, count: int, now: float) -> None:
        """`count` bytes of its first range came."""
        self.outstanding -= count
        self.last_at = now
        self.answered = True
        self.reported = False

    def ended(self, flight: RangeInFlight) -> None:
        """The range is over, whole or not."""
        self.in_flight.remove(flight)
        self.outstanding -= flight.remaining
        self.last_task = flight.task

    def answered_whole(self) -> None:
        """Note an answer that was complete."""
        self.answered = True
        self.reported = False

    def answered_error(self, *, by_server: bool) -> None:
        """Note an error in a range's place. by_server: it is an answer, so the connection works."""
        self.reported = True
        if by_server:
            self.answered = True


class ConnectBackoff:
    """When a lane may connect next, after connections that failed or were refused.

    Attributes:
        next_at: From when on a connection may be opened (seconds).
        failed: Turns of failed connections since one opened.
        refused: No connection is to be had at all (TLS, say); other lanes may do.
    """

    def __init__(self) -> None:
        self.next_at = float("-inf")
        self.failed = 0
        self.refused = False
        self._refusals = 0

    def opened(self, now: float) -> None:
        """A connection opened."""
        self.failed = 0
        self.refused = False
        self._refusals = 0
        self.next_at = min(self.next_at, now)

    def at_once(self, now: float) -> None:
        """Allow a connection now: the first probe of a silent lane waits for nothing."""
        self.next_at = now

    def probed(self, now: float, interval: float) -> None:
        """A probe goes out; the next one `interval` seconds later."""
        self.next_at = now + interval

    def connect_failed(self, now: float) -> None:
        """Connections that fail together count once.

        Else a dozen of them would make the longest pause at once, and a link that comes back soon would be
        missed."""
        if self.failed and now < self.next_at:
            return
        self.failed += 1
        pause = min(SLOWEST_PROBE, PROBE_EVERY * 2.0 ** min(8, self.failed - 1))
        self.next_at = max(self.next_at, now + pause)

    def refuse(self, now: float) -> bool:
        """A connection was refused for good. Returns whether the lane now counts as refused, for a minute."""
        self._refusals += 1
        if self._refusals < _REFUSALS:
            return False
        self._refusals = 0
        self.refused = True
        self.next_at = now + _REFUSED_PAUSE
        return True

    def forgive(self) -> None:
        """All lanes were refused: new tasks may try again at once."""
        self.refused = False
        self.next_at = float("-inf")


class LaneState:
    """The channels of one lane, what is in flight over them, and what the lane is measured to be.

    Sums over the channels are kept here and nowhere else; `invariants` says what they must be.

    Attributes:
        number: Its place among the source's lanes.
        link: The link's name in counts and statistics.
        policy: What holds for it from outside.
        estimate, concurrency: What was measured of it, and how many connections follow from that.
        silence: Whether it is too quiet.
        backoff: When it may connect next.
        channels: By number, open or connecting.
        accepting: Those that may take a further range: all that have nothing in flight, and pipelining
            ones with room.
        depth: Bytes that a pipelining channel may have outstanding before it takes a further range.
        limit: Bytes that the lane may have outstanding before it takes a further range.
        counts: Bytes over the lane so far.
        outstanding: Bytes in flight.
        in_flight_count: Ranges in flight.
        open_channels: How many of its channels are connected.
        standby: Its role does not ask for it now (`link_roles`).
    """

    def __init__(self, number: int, link: str, max_connections: int, policy: LanePolicy = NO_POLICY) -> None:
        self.number = number
        self.link = link
        self.policy = policy
        # A link's state is asked for several times in each decision and holds until a known moment.
        self._seen = ALWAYS_UP
        self._seen_until = float("inf") if policy.look is None else float("-inf")
        self.estimate = Estimate()
        self.concurrency = Concurrency(max_connections)
        self.silence = SilenceAlarm()
        self.backoff = ConnectBackoff()
        self.channels: dict[int, ChannelState] = {}
        # Kept up to date by each event: a decision follows each turn of the loop, and most of up to 256
        # channels have nothing to gain from it.
        self.accepting: dict[int, ChannelState] = {}
        self.depth = 0
        self.limit = 0
        self.counts = Count()
        self.outstanding = 0
        self.in_flight_count = 0
        self.open_channels = 0
        self.standby = False

    # -- what is asked of it

    def look(self, now: float) -> LinkState:
        """The link's state, and until when (in the caller's time) it holds at least."""
        if self.policy.look is not None and now >= self._seen_until:
            self._seen = self.policy.look(now)
            self._seen_until = self._seen.until
        return self._seen

    def phase(self, now: float) -> Phase:
        """The link's state alone."""
        return self.look(now).phase

    def throttled(self, now: float) -> bool:
        """Whether our own pace, a cap or an emulated link keeps back what the source has or would send."""
        policy = self.policy
        return policy.paced() or (policy.room is not None and policy.room(now) < SMALLEST_RANGE)

    @property
    def silent(self) -> bool:
        """Whether bytes are waited for and have not come for too long."""
        return self.silence.since is not None

    @property
    def usable(self) -> bool:
        """Whether ranges may be asked for over it."""
        return self.silence.since is None and not self.standby

    @property
    def busy(self) -> int:
        """Channels with something in flight."""
        return sum(1 for channel in self.channels.values() if channel.in_flight)

    def connecting_for(self, now: float) -> float:
        """Seconds since the first of the channels that are there was asked to open; 0 where there is none."""
        return now - min((channel.connecting_since for channel in self.channels.values()), default=now)

    def silence_due(self) -> float | None:
        """When the lane becomes silent if no byte comes; None while nothing is waited for."""
        return self.silence.due(self.estimate) if self.in_flight_count else None

    # -- channels

    def add(self, channel: ChannelState) -> None:
        """The channel is being opened."""
        self.channels[channel.number] = self.accepting[channel.number] = channel

    def opened(self, channel: ChannelState, now: float, *, timed: bool) -> None:
        """The channel is connected. timed: what that took is a round trip."""
        channel.opened()
        self.accepting[channel.number] = channel
        self.open_channels += 1
        self.backoff.opened(now)
        self.silence.heard(now)
        if timed:
            self.estimate.saw_first_byte(now, now - channel.connecting_since)

    def pipelines(self, channel: ChannelState, proved: bool) -> None:
        """Whether the channel takes several requests at once."""
        # Asked after each answer; a channel that has just proved it has room at once.
        if channel.pipelines != proved:
            channel.proved_pipelining(proved)
            self.accepting[channel.number] = channel

    def full(self, channel: ChannelState) -> None:
        """Give the channel no further range until some of its bytes have come."""
        del self.accepting[channel.number]

    def forget(self, channel: ChannelState) -> None:
        """Forget the channel. The caller ends its ranges afterwards."""
        del self.channels[channel.number]
        self.accepting.pop(channel.number, None)
        if channel.open:
            self.open_channels -= 1

    # -- ranges

    def allow(self, depth: int, limit: int) -> None:
        """Set how many bytes a pipelining channel, and the whole lane, may have in flight."""
        self.depth = depth
        self.limit = limit

    def sent(self, channel: ChannelState, flight: RangeInFlight, now: float) -> None:
        """The range was asked for on the channel."""
        if not self.in_flight_count:
            self.silence.waits(now)
        channel.sent(flight)
        self.outstanding += flight.remaining
        self.in_flight_count += 1

    def heard(self, channel: ChannelState, count: int, now: float) -> None:
        """`count` bytes, whatever they are, were read off the channel's connection."""
        channel.heard(now)
        self.silence.heard(now)
        self.counts.add_wire(count)

    def received(self, channel: ChannelState, flight: RangeInFlight, count: int, now: float) -> None:
        """`count` bytes of the channel's first range came."""
        # Behind another range the wait for the first byte is the other's bytes, and no round trip.
        if flight.received(count, now) and flight.alone:
            self.estimate.saw_first_byte(now, now - flight.sent_at)
        channel.received(count, now)
        if channel.pipelines and channel.outstanding < self.depth:
            self.accepting[channel.number] = channel
        self.outstanding -= count
        self.silence.heard(now)
        self.estimate.delivered(now, count)

    def ended(self, channel: ChannelState, flight: RangeInFlight) -> None:
        """The channel's range is over, whole or not."""
        channel.ended(flight)
        self.outstanding -= flight.remaining
        self.in_flight_count -= 1
        # The ranges of a channel that is gone are ended after it (`forget`).
        if channel.number in self.channels:
            self.accepting[channel.number] = channel

    # -- how it is doing

    def fall_silent(self, now: float) -> None:
        """No byte came for too long: it is probed at once."""
        self.silence.begin(now)
        self.backoff.at_once(now)

    def end_silence(self, *, false_alarm: bool) -> None:
        """A byte came by itself (a false alarm), or a probe got through: the link may be another one now."""
        self.silence.end()
        if false_alarm:
            return
        for channel in self.channels.values():
            channel.promote()
        self.estimate.forget_rate()

    def stand_by(self, standby: bool) -> None:
        """Set whether the lane stands by: its role does not ask for it now."""
        self.standby = standby
