"""What a link can carry, and when: contacts, outages, handovers, fades and varying rates as one timeline.

The timeline is a function of (profile, seed, time since the epoch) alone, so every process of a haul
sees the same one, from whatever moment it looks.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from skyhaul_connectors.links.profile.contacts import ContactPlan
from skyhaul_connectors.links.profile.indexed_random import IndexedRandom
from skyhaul_connectors.links.profile.profile import Episodes, LinkProfile


class Phase(enum.Enum):
    """What a link is at a moment."""

    UP = "up"
    DOWN = "down"  # an outage or a handover: nobody knew, it will pass
    CLOSED = "closed"  # no contact: known ahead


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the link's time, [since, until), in which nothing changes.

    Attributes:
        since: Seconds since the epoch; perhaps later than the true beginning.
        until: Seconds since the epoch; math.inf: for ever.
        phase: Up, down or closed.
        down: bit/s towards us; 0 unless `phase` is UP.
        up: bit/s of the other direction; 0 unless `phase` is UP.
        trace_share: Above 0 where the rate follows the profile's trace, times this share; `down` is then the
            trace's mean, and must not be used.
        delay: Seconds one way that the contact states; None: the profile's.
    """

    since: float
    until: float
    phase: Phase
    down: float
    up: float
    trace_share: float = 0.0
    delay: float | None = None


_BLOCK = 3600.0
"""Seconds of a stretch that is drawn at once. Part of what a seed means: another length is another link."""

_KEPT_BLOCKS = 8
"""Stretches remembered, beyond those that the longest episode reaches over. Chosen, not measured: forgetting
one costs drawing it again, and a link is asked about the present hour."""


class _EpisodeTrack:
    """Random episodes, drawn hour by hour so that any hour can be looked at without those before it."""

    def __init__(self, episodes: Episodes, dice: IndexedRandom) -> None:
        self.episodes = episodes
        self._random = dice
        self._blocks: dict[int, list[tuple[float, float]]] = {}
        # How many hours back an episode may have begun that lasts until now.
        self._reach = math.ceil(episodes.lasts.longest / _BLOCK)
        self._seen = (0.0, 0.0, False)

    def _starts(self, block: int) -> list[tuple[float, float]]:
        """(start, end) of the episodes that begin in the hour `block`: a Poisson process."""
        known = self._blocks.get(block)
        if known is not None:
            return known
        drawn: list[tuple[float, float]] = []
        # Room for half a million episodes an hour (two draws each) before two hours would share numbers.
        index = block << 20
        start = block * _BLOCK
        while True:
            # Exponential gaps, begun anew at each full hour, make a Poisson process because it has no memory.
            start += -math.log1p(-self._random.at(index)) * 3600 / self.episodes.per_hour
            if start >= (block + 1) * _BLOCK:
                break
            drawn.append((start, start + self.episodes.lasts.at(self._random.at(index + 1))))
            index += 2
        if len(self._blocks) > _KEPT_BLOCKS + self._reach:
            # A new dict and no removal: another thread may be reading the old one.
            self._blocks = {}
        self._blocks[block] = drawn
        return drawn

    def look(self, at: float) -> tuple[bool, float]:
        """(within an episode, until when that holds at least)."""
        since, until, within = self._seen
        if not since <= at < until:
            within, until = self._look(at)
            self._seen = (at, until, within)
        return within, until

    def _look(self, at: float) -> tuple[bool, float]:
        block = int(at // _BLOCK)
        end = at
        change = (block + 1) * _BLOCK
        # In the order of their starts, so that episodes that overlap are joined into one as they come.
        for number in range(max(0, block - self._reach), block + 1):
            for start, stop in self._starts(number):
                if start > end:
                    change = min(change, start)
                elif stop > end:
                    end = stop
        return (True, end) if end > at else (False, change)


class Schedule:
    """The timeline of one link; `piece(at)` for any time since the epoch.

    Any thread may look: what is remembered is replaced as a whole and never changed."""

    def __init__(self, profile: LinkProfile, seed: int, epoch: float) -> None:
        self._profile = profile
        self.plan: ContactPlan | None = profile.contacts.since(epoch) if profile.contacts else None
        self._outages = _merged(profile.outages)
        self._tracks = [
            _EpisodeTrack(episodes, IndexedRandom(seed, f"episodes/{index}"))
            for index, episodes in enumerate(profile.episodes)
        ]
        self._rates = IndexedRandom(seed, "rate")
        self._rtts = IndexedRandom(seed, "rtt")
        spreads = (profile.rate_quantiles, profile.up_quantiles, profile.rtt_quantiles)
        self._medians = [spread.median if spread is not None else 1.0 for spread in spreads]
        # Empty, so that it holds no moment and the first look composes one.
        self._last = Piece(0.0, 0.0, Phase.DOWN, 0.0, 0.0)

    def piece(self, at: float) -> Piece:
        """The piece that holds `at`; its `since` may lie later than the true beginning."""
        # Read once, and not read back: another thread may put another piece there at any time.
        last = self._last
        if last.since <= at < last.until:
            return last
        composed = self._last = self._compose(at)
        return composed

    def _compose(self, at: float) -> Piece:
        profile = self._profile
        down, up, share, delay = profile.down, profile.up, 0.0, None
        if profile.trace is not None:
            down, share = profile.trace.mean_rate, 1.0
        until = math.inf
        phase = Phase.UP
        if self.plan is not None:
            contact = self.plan.state(at)
            until = self.plan.next_change(at)
            if contact is None:
                return Piece(at, _after(at, until), Phase.CLOSED, 0.0, 0.0)
            delay = contact.delay
            # The plan knows better than the trace what this pass carries.
            if contact.rate is not None:
                down, up, share = contact.rate, min(up, contact.rate), 0.0
        for start, end in self._outages:
            if at < start:
                until = min(until, start)
                break
            if at < end:
                phase = Phase.DOWN
                until = min(until, end)
                break
        if profile.handover_gap:
            silent, change = self._handover(at)
            until = min(until, change)
            if silent:
                phase = Phase.DOWN
        factor_up = 1.0
        factor = 1.0
        for track in self._tracks:
            within, change = track.look(at)
            until = min(until, change)
            if within:
                factor *= track.episodes.down
                factor_up *= track.episodes.up
        # One direction without rate alone is no outage: bytes wait for it in the queue of that direction.
        if phase is Phase.DOWN or (factor == 0 and factor_up == 0):
            return Piece(at, _after(at, until), Phase.DOWN, 0.0, 0.0)
        if profile.rate_quantiles is not None:
            slot = _slot(at, profile.vary_every)
            until = min(until, (slot + 1) * profile.vary_every)
            # One draw for both directions: a bad second is bad both ways.
            luck = self._rates.at(slot)
            factor *= profile.rate_quantiles.at(luck) / self._medians[0]
            if profile.up_quantiles is not None:
                factor_up *= profile.up_quantiles.at(luck) / self._medians[1]
        # Not `down * 0`: an unlimited rate times 0 is not a number.
        down = down * factor if factor else 0.0
        up = up * factor_up if factor_up else 0.0
        return Piece(at, _after(at, until), Phase.UP, down, up, share * factor, delay)

    def _handover(self, at: float) -> tuple[bool, float]:
        """(silent, until when); the first handover comes after a whole period."""
        every, gap = self._profile.handover_every, self._profile.handover_gap
        count = _slot(at, every)
        if count >= 1 and at < count * every + gap:
            return True, count * every + gap
        return False, (count + 1) * every

    def rtt(self, at: float) -> float:
        """The round trip at `at`, without jitter. Seconds."""
        profile = self._profile
        if profile.delay_trace is not None:
            rtt = 2 * profile.delay_trace.at(at)
        else:
            delay = self.piece(at).delay if self.plan is not None else None
            # A contact states the time of flight alone (owlt); the profile's round trip is the least that it
            # takes.
            rtt = profile.rtt if delay is None else max(profile.rtt, 2 * delay)
            if profile.rtt_quantiles is not None:
                slot = _slot(at, profile.vary_every)
                rtt *= profile.rtt_quantiles.at(self._rtts.at(slot)) / self._medians[2]
        if profile.handover_spike and profile.handover_every:
            count = _slot(at, profile.handover_every)
            since = at - count * profile.handover_every
            if count >= 1 and since < profile.handover_gap + profile.spike_lasts:
                rtt += profile.handover_spike
        return rtt

    def next_break(self, at: float, until: float) -> float:
        """When the link, up at `at`, goes down or closes before `until`; math.inf where it does not."""
        piece = self.piece(at)
        # Pieces may end without a break: only a change of phase interrupts a stream.
        while piece.until < until:
            at = piece.until
            piece = self.piece(at)
            if piece.phase is not Phase.UP:
                return at
        return math.inf

    def next_up(self, at: float) -> float:
        """`at` where the link is up, else when it next is; math.inf where it never is again."""
        piece = self.piece(at)
        while piece.phase is not Phase.UP:
            if piece.until == math.inf:
                return math.inf
            at = piece.until
            piece = self.piece(at)
        return at


def _slot(at: float, every: float) -> int:
    """Which slot of length `every` holds `at`.

    slot * every <= at < (slot + 1) * every holds in floats as well; `at // every` alone may be one off at the
    border."""
    slot = int(at // every)
    if (slot + 1) * every <= at:
        return slot + 1
    return slot - 1 if slot * every > at else slot


def _after(at: float, until: float) -> float:
    """`until`, or the next float where rounding would have let time stand still."""
    return until if until > at else math.nextafter(at, math.inf)


def _merged(stretches: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """(start, end) in order, overlaps joined, of (start, length)."""
    merged: list[tuple[float, float]] = []
    for start, length in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], start + length))
        else:
            merged.append((start, start + length))
    return merged
