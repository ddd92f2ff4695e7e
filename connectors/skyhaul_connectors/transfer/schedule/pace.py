"""What a lane is measured to be, and what follows from it: connections, range size, pipelining depth.

The rules and their constants come from measurements over an emulated link with real kernel TCP: about
rate x RTT / (10 x 1448 B) connections (a loss-limited CUBIC or Reno sender keeps some ten segments in
flight whatever the link has room for), ranges small against what is left, and a pipeline of a few
windows. `now` is an argument everywhere, in seconds; rates are bytes per second.
"""

from __future__ import annotations

import math
from collections import deque

SEGMENT = 1448
"""Payload bytes of a full TCP segment over Ethernet's 1,500."""

WINDOW = 10 * SEGMENT
"""Bytes that a loss-limited connection is assumed to keep in flight."""

FIRST_GUESS = 50e6 / 8
"""Bytes per second assumed of a link before anything was measured: the rate of geo in `benchmarks/links`. Too
much would overflow a thin link's queue, too little hold a long one back."""

BEST_GUESS = 200e6 / 8
"""The same where too little costs more: connections take round trips to open, and rest for nothing. The rate
of leo in `benchmarks/links`."""

MIN_CONNECTIONS, MAX_CONNECTIONS = 8, 256
"""Bounds of the connections to one source, whatever the formula says: at 50 Mbit/s and 0.6 s (geo in
`benchmarks/links`) that is 259, at 200 Mbit/s and 45 ms (leo) 78. Chosen, not measured."""

GAIN, MANY = 1.35, 128
"""What many connections have under way, as a multiple of the bandwidth-delay product (measured on geo: 1.25
leaves gaps, 1.6 brings no more), and how many are many: geo's are, leo's 78 are not."""

RANGES_A_SECOND = 400.0
"""Each costs some 0.2 ms of CPU here, and its answer a head of 300 bytes (docs/transfer.md, "What a byte
costs")."""

SMALLEST_RANGE, LARGEST_RANGE = 16 * 1024, 1024 * 1024
"""Bounds in bytes. At the first a head of 300 bytes is 2 % of what crosses; above the second one range
holds what others could repair. Chosen; what lies in between was measured, see STEADY_RANGE."""

STEADY_RANGE, STEADY_ROUNDS = 20 * 1024, 2
"""Least bytes of a range while each of MANY connections has at least so many of them before it.
Over TLS nothing of a record of 16 KiB is seen before it is whole, and a range of just that size with its head
would be followed only when all of it was in: the link was left 5 % idle on geo. Towards the end even shares
count for more. 32 KiB are more than what CUBIC sends in a round trip where it loses (test_side_by_side).
`benchmarks/links`, geo CUBIC 64 MiB, in turns: 0.892 of the link with 16 KiB, 0.909 with 20, 0.898 with 24;
over TLS 0.844 with 16, 0.914 with 20, 0.887 with 22 (docs/transfer.md)."""

FIRST_RANGE, TRIAL_RANGE = 12 * 1024, 8 * 1024
"""What a fresh connection is asked for first: with its head (a packet of its own from nginx) it fits the
ten segments that a server may send at once (RFC 6928), so that the answer is whole a round trip sooner.
The second is for the very first request, which may be cut in two to try pipelining."""

_BIN = 0.05
"""Seconds of a bin of the rate: a twentieth of its window. Chosen, not measured."""

_SETTLED = 4
"""Samples, of one round trip each, after which a rate is more than a ramp's first windows. Chosen."""


class RateMeter:
    """Bytes per second over the last `window` seconds, counted in bins of 50 ms.

    Attributes:
        total: Bytes so far.
    """

    def __init__(self, window: float = 1.0) -> None:
        self._bins: deque[list[float]] = deque()
        self._window = window
        self._sum = 0.0
        self.total = 0

    def add(self, now: float, count: int) -> None:
        if self._bins and now - self._bins[-1][0] < _BIN:
            self._bins[-1][1] += count
        else:
            self._bins.append([now, count])
        self._sum += count
        self.total += count

    def rate(self, now: float) -> float:
        while self._bins and self._bins[0][0] <= now - self._window:
            self._sum -= self._bins.popleft()[1]
        return max(0.0, self._sum) / self._window


class Estimate:
    """RTT, delivered rate and loss of one lane, from its own ranges.

    RTT is the least time from a request on an idle channel to its first byte in the last minute (it
    includes the server's own time, which a range has to wait for just as well). The rate is the best of
    the last samples, since a lane that had too little to do says nothing of the link.
    """

    _RTT_WINDOW, _RTT_WINDOWS = 10.0, 6
    """Seconds of a window, and how many are looked back at: a minute. Chosen, not measured."""

    def __init__(self) -> None:
        self._floors: deque[tuple[int, float]] = deque(maxlen=self._RTT_WINDOWS)
        self._recent: deque[float] = deque(maxlen=64)
        self._rtt: float | None = None
        self._ordered: list[float] | None = None
        self._samples: deque[float] = deque(maxlen=10)
        self.meter = RateMeter()

    @property
    def rtt(self) -> float | None:
        """Seconds, None before the first answer."""
        return self._rtt

    def rtt_or(self, default: float) -> float:
        return default if self._rtt is None else self._rtt

    # Sorted once after each new time, not at each question: hedging asks for every range in flight.
    @property
    def usual_rtt(self) -> float:
        """Median of the last 64 times to a first byte (seconds); 1 before there is one."""
        ordered = self._in_order()
        return ordered[len(ordered) // 2]

    @property
    def slow_rtt(self) -> float:
        """90th percentile of the last 64 times to a first byte (seconds); 1 before there is one."""
        ordered = self._in_order()
        return ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)]

    def _in_order(self) -> list[float]:
        if self._ordered is None:
            self._ordered = sorted(self._recent) or [1.0]
        return self._ordered

    @property
    def rate(self) -> float | None:
        """Bytes per second, None before the first sample."""
        return max(self._samples) if self._samples else None

    @property
    def holds(self) -> float:
        """Bytes: the bandwidth-delay product, as far as it is known."""
        return (self.rate or FIRST_GUESS) * self.rtt_or(0.1)

    @property
    def settled(self) -> bool:
        """Whether the rate is more than what a ramp's first round trips showed."""
        return len(self._samples) >= _SETTLED

    def loss(self, channels: int) -> float | None:
        """The loss (0 to 1) that would hold `channels` connections to the measured rate.

        By Mathis et al. (1997) a connection's rate is 1.22 MSS / (RTT sqrt p). An upper bound: the link may
        be full instead. None before there is a rate and a round trip."""
        if self.rate is None or self.rtt is None or not channels or self.rate <= 0:
            return None
        segments = self.rate / channels * self.rtt / SEGMENT
        return min(1.0, (1.22 / segments) ** 2) if segments > 0 else None

    def saw_first_byte(self, now: float, seconds: float) -> None:
        """A request on an idle channel was answered after `seconds` (also: a connection opened)."""
        seconds = max(1e-4, seconds)
        window = int(now / self._RTT_WINDOW)
        if self._floors and self._floors[-1][0] == window:
            self._floors[-1] = (window, min(seconds, self._floors[-1][1]))
        else:
            self._floors.append((window, seconds))
        self._rtt = min(value for when, value in self._floors if window - when < self._RTT_WINDOWS)
        self._recent.append(seconds)
        self._ordered = None

    def delivered(self, now: float, count: int) -> None:
        """Count `count` bytes of ranges that came."""
        self.meter.add(now, count)

    def sample(self, rate: float) -> None:
        """Add a sample: the lane delivered `rate` (bytes per second) with all the work it could take."""
        self._samples.append(rate)

    def forget_rate(self) -> None:
        """The link came back from an outage: it may be another one now."""
        # The last sample stays, or a thin link would be taken for FIRST_GUESS; alone it is not `settled`,
        # so that the lane ramps up again and is not judged by it (`assignment`).
        while len(self._samples) > 1:
            self._samples.popleft()


class Concurrency:
    """How many connections a lane keeps: the formula's number, climbing on while goodput follows.

    It does not fall with the rate: a lane that ramps up, or loses much, would talk itself into fewer and
    fewer. Under 429 or 503 the ceiling halves, and rises again by one each few seconds."""

    _RECOVERY = 5.0
    """Seconds until the ceiling rises by one. Chosen, not measured."""

    _STEEPEST = 3
    """How many times the formula's number it climbs to at most. Chosen, not measured."""

    def __init__(self, max_connections: int) -> None:
        self._max_connections = max_connections
        self._ceiling = float(max_connections)
        self._raised_at = 0.0
        self._halved_at = -math.inf
        self._kept = 0
        self._climbed = 0
        self._best = 0.0
        self._sampled_at: float | None = None
        self._counted = 0
        self._judged_at = 0.0
        self._judged = 0

    def target(self, now: float, estimate: Estimate, waited: float = 0.0) -> int:
        """Connections to keep while there is work for them; at least 1.

        While none has opened, the round trip is at least as long as the wait so far, and the longer it is the
        more connections will be needed. So they open one after the other, at the pace at which their first
        windows will come over a link of FIRST_GUESS, and a long path is not left idle for a round trip.

        Args:
            now: Seconds.
            estimate: What was measured of the lane.
            waited: Seconds since a connection was first asked to open; unused once a round trip is known."""
        self._recover(now)
        if estimate.rtt is None:
            wanted = max(2 * MIN_CONNECTIONS, round(FIRST_GUESS * waited / WINDOW))
        else:
            # Once, when the round trip is first known: a link of up to BEST_GUESS then has its connections
            # before its rate tells.
            if not self._kept and estimate.rate is None:
                self._kept = max(MIN_CONNECTIONS, round(BEST_GUESS * estimate.rtt / WINDOW))
            by_formula = max(MIN_CONNECTIONS, round((estimate.rate or FIRST_GUESS) * estimate.rtt / WINDOW))
            wanted = max(self._kept, by_formula, min(self._climbed, self._STEEPEST * by_formula))
            self._kept = min(wanted, MAX_CONNECTIONS)
        return max(1, min(wanted, MAX_CONNECTIONS, self._max_connections, int(self._ceiling)))

    def allow(self, connections: int) -> None:
        """So many are allowed from now on."""
        if self._ceiling >= self._max_connections:
            self._ceiling = float(connections)
        self._max_connections = connections
        self._ceiling = min(self._ceiling, float(connections))

    def observe(self, now: float, estimate: Estimate, channels: int, busy: bool) -> None:
        """Look at the goodput of the last round trips. Call it often: it keeps its own periods.

        A sample of the rate is taken each round trip; every third one says whether more connections brought
        more.

        Args:
            now: Seconds.
            estimate: Gets the samples.
            channels: Connections that are open.
            busy: Whether the lane has all the work it can take; other stretches tell nothing."""
        total = estimate.meter.total
        if self._sampled_at is None or not busy:
            self._sampled_at, self._counted = now, total
            self._judged_at, self._judged = now, total
            return
        # A little more than a round trip, so that a sample holds a window of every connection; 0.3 s where
        # that is shorter, lest few packets make a rate. Chosen, not measured.
        period = max(0.3, 1.1 * estimate.rtt_or(0.1))
        if now - self._sampled_at >= period:
            if total > self._counted:
                estimate.sample((total - self._counted) / (now - self._sampled_at))
            self._sampled_at, self._counted = now, total
        if now - self._judged_at >= max(1.0, 3 * period):
            rate = (total - self._judged) / (now - self._judged_at)
            self._judged_at, self._judged = now, total
            # 8 % more, for half as many connections again: a smaller step would take noise for a gain, and
            # what was climbed to is never given up (`_kept`). Chosen, not measured.
            if rate > 1.08 * self._best:
                self._best = rate
                self._climbed = min(MAX_CONNECTIONS, round(channels * 1.5))

    def refused(self, now: float, channels: int) -> None:
        """The server asked for less: halve, at most once a second."""
        if now - self._halved_at < 1.0:
            return
        self._ceiling = max(1.0, min(self._ceiling, channels) / 2)
        self._halved_at = now
        # A cap that showed a moment ago stays in mind for as long as it would have.
        self._raised_at = max(now, self._raised_at)

    def capped(self, now: float, channels: int) -> None:
        """A further connection was refused while `channels` work: the server has a cap."""
        self._ceiling = max(1.0, min(self._ceiling, float(channels)))
        # In the future: a cap does not go away by waiting, and each trial costs a connection that is refused.
        self._raised_at = now + 6 * self._RECOVERY

    def _recover(self, now: float) -> None:
        steps = int((now - self._raised_at) / self._RECOVERY) if self._ceiling < self._max_connections else 0
        if steps > 0:
            self._ceiling = min(float(self._max_connections), self._ceiling + steps)
            self._raised_at = now


def window(estimate: Estimate, channels: int) -> float:
    """Bytes that a channel should have under way.

    Few channels get four times their share of the bandwidth-delay product, so that what is asked for does not
    hold back a rate that still grows. Many double what they send together in slow start: they get no more
    than the link holds and a third for those that repair a loss (GAIN), since what overflows the queue in
    front of the link is sent twice. Many are taken to share FIRST_GUESS at least, or a low first estimate
    would make itself true."""
    rtt = estimate.rtt_or(0.1)
    if channels >= MANY:
        return GAIN * max(WINDOW, max(estimate.rate or 0.0, FIRST_GUESS) * rtt / channels)
    return 4.0 * max(WINDOW, (estimate.rate or FIRST_GUESS) * rtt / max(1, channels))


def range_size(estimate: Estimate, channels: int, remaining: int) -> int:
    """Bytes of the next range.

    About a channel's window, small against the `remaining` bytes (an eighth of each channel's share), and
    large enough that a fast link is not asked more than RANGES_A_SECOND; a power of two within 16 KiB and
    1 MiB, or STEADY_RANGE."""
    channels = max(1, channels)
    by_asks = (estimate.rate or FIRST_GUESS) / RANGES_A_SECOND
    pace = min(float(LARGEST_RANGE), max(float(SMALLEST_RANGE), by_asks, window(estimate, channels)))
    by_pace = 1 << round(math.log2(pace))
    by_rest = 1 << (max(1, remaining // (8 * channels)).bit_length() - 1)
    steady = channels >= MANY and remaining >= STEADY_ROUNDS * STEADY_RANGE * channels
    return max(STEADY_RANGE if steady else SMALLEST_RANGE, min(by_pace, by_rest))


def outstanding_limit(estimate: Estimate, channels: int) -> int:
    """Bytes that a lane may have in flight at once.

    What is in flight on a full link queues in front of it: four seconds' worth and two round trips keep it
    full and its ranges clear of idle deadlines. Before the rate is known it is a small range a channel, and
    grows with what has come, as TCP's own slow start does."""
    if not estimate.settled or estimate.rate is None:
        return channels * SMALLEST_RANGE + 2 * estimate.meter.total
    return int(max(SMALLEST_RANGE, estimate.rate * (4.0 + 2 * estimate.rtt_or(0.1))))


def pipeline_depth(estimate: Estimate, channels: int, size: int) -> int:
    """Bytes that a pipelining channel may have outstanding before it is given a further range of `size`.

    Its window is then full on average: it has half a range more just after a request, and half a range less
    just before one. At least half a range, so that it never waits."""
    return int(max(size / 2, window(estimate, channels) - size / 2))
