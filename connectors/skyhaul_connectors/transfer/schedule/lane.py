"""One lane as the scheduler knows it: its channels, what it delivers, and whether it has gone silent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.links.shared_link import LinkState
from skyhaul_connectors.transfer.schedule.fetch_task import Count, FetchTask, RangeInFlight
from skyhaul_connectors.transfer.schedule.pace import SMALLEST_RANGE, Concurrency, Estimate
from skyhaul_schemas.job.link_terms import Role

ALWAYS_UP = LinkState(Phase.UP, float("inf"))

FIRST_SILENCE, LONGEST_SILENCE = 1.0, 64.0
"""Seconds without a byte before a lane is probed; each false alarm doubles it."""

LONG_SILENCE = 3.0
"""Seconds after the alarm from which on a byte that comes by itself ends an outage and is no false alarm."""

PROBE_EVERY, SLOWEST_PROBE, PROBES = 0.25, 5.0, 4
"""Seconds between probes at first and after a long silence; how many are out at once."""


@dataclass(slots=True, eq=False)
class ChannelState:
    """One channel: `asks` in the order in which they will be answered. answered: something came back
    since it opened. reported: its last word was an error of a range, so its end is nobody else's fault."""

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
    last_work: FetchTask | None = None


class LaneState:
    """Counters, channels and the silence of one lane. `look(now)` tells the link's state.

    role, and `needed` of an overflow link: see `roles`, which sets `standby`. ruled: its state may change at
    any time from outside. room(now): bytes that may be asked for beyond what is out; None is no limit.
    paced: whether something waits for the link's pace.

    A lane with asks out and no byte for a second is *silent*: it is probed with new connections, and
    when one opens, those that stayed silent are dropped and opened anew, since waiting for a TCP stream
    that backs off costs seconds. Each alarm that brought nothing makes the next one wait longer.
    """

    def __init__(
        self, number: int, link: str, max_connections: int, look: Callable[[float], LinkState] | None = None
    ) -> None:
        self.number = number
        self.link = link
        self._look = look
        self._seen = ALWAYS_UP
        self._seen_until = float("inf") if look is None else float("-inf")
        self.estimate = Estimate()
        self.concurrency = Concurrency(max_connections)
        self.channels: dict[int, ChannelState] = {}
        self.accepting: dict[int, ChannelState] = {}
        self.depth = 0
        self.limit = 0
        self.counts = Count()
        self.outstanding = 0
        self.open_channels = 0
        self.in_flight_count = 0
        self.waiting_since = 0.0
        self.alive_at = float("-inf")
        self.silent_since: float | None = None
        self.outages = 0
        self.next_connect = float("-inf")
        self.failed_connects = 0
        self.refused = False
        self.refusals = 0
        self.role: Role = "primary"
        self.policed = False
        self.standby = False
        self.needed: Callable[[], bool] = lambda: False
        self.room: Callable[[float], float] | None = None
        self.paced: Callable[[], bool] = lambda: False
        self._patience_for_bytes = FIRST_SILENCE

    def look(self, now: float) -> LinkState:
        """The link's state, and until when (in the caller's time) it holds at least."""
        if self._look is not None and now >= self._seen_until:
            self._seen = self._look(now)
            self._seen_until = self._seen.until
        return self._seen

    def phase(self, now: float) -> Phase:
        return self.look(now).phase

    def held_back(self, now: float) -> bool:
        """Whether our own pace, a cap or the link itself (an emulated one) keeps back what the source has or
        would send."""
        return self.paced() or (self.room is not None and self.room(now) < SMALLEST_RANGE)

    @property
    def usable(self) -> bool:
        return self.silent_since is None and not self.standby

    @property
    def busy(self) -> int:
        """Channels with something asked of them."""
        return sum(1 for channel in self.channels.values() if channel.in_flight)

    def connecting_for(self, now: float) -> float:
        """Seconds since the first of the connections that are there was dialled; 0 where there is none."""
        return now - min((channel.connecting_since for channel in self.channels.values()), default=now)

    def threshold(self) -> float:
        """Seconds without a byte that make a lane silent."""
        if self.estimate.rtt is None:
            return max(3.0, self._patience_for_bytes)
        return max(self._patience_for_bytes, 1.5 * self.estimate.slow_rtt + 0.4)

    def silence_due(self) -> float | None:
        """When the lane becomes silent if no byte comes; None while nothing is waited for."""
        if not self.in_flight_count or self.silent_since is not None:
            return None
        return max(self.alive_at, self.waiting_since) + self.threshold()

    def probe_interval(self, now: float) -> float:
        since = now if self.silent_since is None else self.silent_since
        return min(SLOWEST_PROBE, max(PROBE_EVERY, (now - since) / 120))

    def fall_silent(self, now: float) -> None:
        self.silent_since = now
        self.next_connect = now
        if self.alive_at > float("-inf"):
            self.outages += 1

    def end_silence(self, *, false_alarm: bool) -> None:
        """The silence is over: a byte came by itself (a false alarm), or a probe got through."""
        self.silent_since = None
        self._patience_for_bytes = min(LONGEST_SILENCE, 2 * self._patience_for_bytes)
        if not false_alarm:
            self.estimate.forget_rate()

    def reset_backoff(self) -> None:
        """A range came through whole: silence is worth an alarm after a second again."""
        self._patience_for_bytes = FIRST_SILENCE

    def connect_failed(self, now: float) -> None:
        """Dials that fail together count once: else a dozen of them would make the longest pause at once,
        and a link that comes back soon would be missed."""
        if self.failed_connects and now < self.next_connect:
            return
        self.failed_connects += 1
        pause = min(SLOWEST_PROBE, PROBE_EVERY * 2.0 ** min(8, self.failed_connects - 1))
        self.next_connect = max(self.next_connect, now + pause)
