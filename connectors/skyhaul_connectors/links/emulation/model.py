"""A link as arithmetic: when bytes that enter it now come out.

All streams of a process go through one model, one after the other; that is what makes them share its
rate. Stream-level emulation is honest about what it is: bytes and connections are shaped, not packets.
No sockets, threads or clocks: `now` is an argument, in seconds since the epoch.
"""

from __future__ import annotations

import math

from skyhaul_connectors.links.profile.indexed_random import IndexedRandom, RandomSequence
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.profile.schedule import Phase, Piece, Schedule

MAX_TRIES = 32
"""Tries of the same bytes: a link whose gaps keep step with its delay would else swallow them for ever."""

ACK_BACKLOG = 0.05
"""Seconds of the uplink that acknowledgements may take in advance, so that requests behind them wait no
longer. Chosen, not measured."""


class LinkModel:
    """One link under (profile, seed, epoch).

    Rates, outages, handovers and contacts depend on time alone; jitter and packet losses are drawn in
    the order of the calls, so that equal calls give equal answers.
    """

    def __init__(self, profile: LinkProfile, seed: int = 0, epoch: float = 0.0) -> None:
        self.profile = profile
        self.schedule = Schedule(profile, seed, epoch)

        def drawn(name: str) -> RandomSequence:
            return RandomSequence(IndexedRandom(seed, name))

        self._jitter = drawn("jitter")
        self.down_losses = LossRuns(profile.loss, profile.burst, drawn("loss/down"))
        self.up_losses = LossRuns(profile.loss_up, profile.burst, drawn("loss/up"))
        self._wire_factor = profile.mtu / profile.segment
        # When each direction has carried all that it was given: the only state besides the draws.
        self.free_down = 0.0
        self.free_up = 0.0

    def admit_down(self, now: float, nbytes: int) -> float:
        """When the last of `nbytes` of payload, sent by the far end at `now`, arrives here.

        math.inf where the link never opens again. Headers are counted on top. A later call never overtakes
        the link's queue, but jitter may differ: what must stay in order keeps its own last arrival."""
        return self.arrival(self.carry_down(now, nbytes))

    def carry_down(self, now: float, nbytes: int) -> float:
        """When the last of `nbytes` has left the link's queue; the trip is not included."""
        start = now if now > self.free_down else self.free_down
        self.free_down = self._carry(start, self._wire_bits(nbytes), up=False)
        return self.free_down

    def seconds_down(self, now: float, nbytes: int) -> float:
        """How long `nbytes` take at the rate of `now`, where nothing gets in their way; a minute at most."""
        rate = self.rate(now)
        return min(self._wire_bits(nbytes) / rate, 60.0) if rate else 60.0

    def _wire_bits(self, nbytes: int) -> float:
        # In proportion, not by whole packets: pieces of a stream need not be whole segments, and whole
        # packets for each would charge more headers than TCP sends. A few bytes still have a packet of their
        # own.
        return max(nbytes * self._wire_factor, nbytes + self.profile.overhead) * 8

    def admit_up(self, now: float, nbytes: int) -> float:
        """The same for what is sent from here: when it reaches the far end."""
        packets = -(-nbytes // self.profile.segment)
        start = now if now > self.free_up else self.free_up
        self.free_up = self._carry(start, (nbytes + packets * self.profile.overhead) * 8, up=True)
        return self.arrival(self.free_up)

    def acknowledge(self, now: float, packets: int) -> None:
        """What the acknowledgements of `packets` take of the thin side: one for two packets.

        RFC 5681, section 4.2. Where that side is full they are thinned out, as receivers and modems do."""
        if self.free_up < now + ACK_BACKLOG:
            start = now if now > self.free_up else self.free_up
            self.free_up = self._carry(start, packets / 2 * self.profile.overhead * 8, up=True)

    def arrival(self, sent: float) -> float:
        """When what left the queue at `sent` is at the other end: half a round trip later.

        What would arrive while the link is down is lost, and sent again when it is up."""
        if sent == math.inf:
            return math.inf
        for _ in range(MAX_TRIES):
            at = sent + self.one_way(sent)
            if self.is_up(at):
                return at
            sent = self.next_up(at)
            if sent == math.inf:
                return math.inf
        return sent

    def one_way(self, now: float) -> float:
        """Seconds of one way, with jitter drawn anew at each call: ask once for each thing that is sent."""
        delay = self.schedule.rtt(now) / 2
        if self.profile.jitter:
            delay += self.profile.jitter / 2 * self._jitter.next()
        return delay

    def rtt(self, now: float) -> float:
        """Seconds, without jitter."""
        return self.schedule.rtt(now)

    def is_up(self, now: float) -> bool:
        return self.schedule.piece(now).phase is Phase.UP

    def next_up(self, now: float) -> float:
        """`now` where the link is up; math.inf where it never is again."""
        return self.schedule.next_up(now)

    def rate(self, now: float) -> float:
        """bit/s down, headers included; 0 while the link is not up."""
        piece = self.schedule.piece(now)
        trace = self.profile.trace
        if piece.trace_share and trace is not None:
            return trace.rate_at(now) * piece.trace_share
        return piece.down

    def _carry(self, start: float, bits: float, *, up: bool) -> float:
        """When `bits` have passed that began to at `start`."""
        at = start
        while True:
            if at == math.inf:
                return math.inf
            piece = self.schedule.piece(at)
            end, bits = self._carry_piece(piece, at, bits, up=up)
            if bits <= 0:
                return end
            at = piece.until

    def _carry_piece(self, piece: Piece, at: float, bits: float, *, up: bool) -> tuple[float, float]:
        """(when they have passed, 0), or (the piece's end, how many are left)."""
        trace = self.profile.trace
        if piece.trace_share and trace is not None and not up:
            end = trace.when(at, bits / 8 / piece.trace_share)
            if end <= piece.until:
                return end, 0.0
            passed = (trace.bytes_by(piece.until) - trace.bytes_by(at)) * 8 * piece.trace_share
            # Something is left, for `end` lies behind the piece: rounding must not end it here.
            return piece.until, max(bits - passed, 1e-6)
        rate = piece.up if up else piece.down
        if rate <= 0:
            return piece.until, bits
        end = at + bits / rate
        if end <= piece.until:
            return end, 0.0
        return piece.until, max(bits - rate * (piece.until - at), 1e-6)


class LossRuns:
    """Which packets of a link are lost: runs of `burst` on average, `share` of all packets in the long run.

    Gilbert 1960. With a burst of 1 each packet is lost on its own. Runs are drawn and not packets, so that a
    link that hardly loses costs hardly any draws."""

    __slots__ = ("_bad", "_enter", "_good", "_leave", "_roll", "share")

    def __init__(self, share: float, burst: float, roll: RandomSequence) -> None:
        self.share = share
        self._roll = roll
        self._leave = 1 / burst
        # Runs of losses and of good packets alternate; burst / (burst + good) = share gives the mean good
        # run. `geometric` counts the trial that succeeds, which is the first packet lost: hence the 1.
        self._enter = 1 / (1 + burst * (1 - share) / share) if share else 0.0
        self._good = self._next_good()
        self._bad = 0

    def _next_good(self) -> int:
        return self._roll.geometric(self._enter) if self._enter else -1

    def take(self, packets: int) -> tuple[int, int]:
        """Of the next `packets`: (index of the first one lost, how many are); (0, 0) where none is."""
        # Nearly every call ends here.
        if self._enter == 0 or (self._good > packets and not self._bad):
            if self._enter:
                self._good -= packets
            return 0, 0
        first = -1
        lost = 0
        index = 0
        while index < packets:
            if self._bad:
                run = min(self._bad, packets - index)
                if first < 0:
                    first = index
                lost += run
                index += run
                self._bad -= run
                if not self._bad:
                    self._good = self._next_good()
            else:
                run = min(self._good - 1, packets - index)
                self._good -= run
                index += run
                if self._good == 1 and index < packets:
                    self._bad = self._roll.geometric(self._leave)
        return (first, lost) if lost else (0, 0)
