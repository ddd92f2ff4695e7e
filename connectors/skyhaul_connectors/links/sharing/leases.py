"""Leases for a short term, over any store that can create without replacing and list what was created.

Time is cut into terms. Who wants a part of the link in the next term puts up a note of it while the current
one runs, before its *deadline*; who did so in time reads all notes after it, and computes the same division
as everybody else. A note that was late is not used by its own writer, and merely costs the others their part
of one term. So what all workers use never comes to more than the link, and nobody has to be trusted to be
alive: who dies puts up no further notes.

Clocks may differ by `SKEW`: notes are read that much after the deadline, and around a term's border the
smaller of both terms' shares holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from skyhaul_connectors.links.sharing.grants import HEADROOM, Grant
from skyhaul_connectors.links.sharing.sharing import Demand, Step

TERM = 2.0
"""Seconds of a term: two calls to the store (put, list) a worker in each. Chosen, not measured: shorter costs
more calls, longer lets a worker that begins wait longer for its first part."""

DEADLINE = 0.7
"""Seconds before a term by which notes for it must be up: what is left of it after `SKEW` is for listing
them. Chosen, not measured; a store that takes longer costs its writer the term, never the link its rate."""

SKEW = 0.2
"""Seconds by which the workers' clocks may differ: what NTP keeps with ease, and a condition of the whole
(docs/adr/0007). `tests/links/test_sharing.py` runs clocks that differ by as much."""

MOST = 100
"""A note asks for that many hundredths of the link at most. Whole numbers, so that all workers compute the
same division from the same notes."""

_KEPT = 5
"""Terms after which anybody may take a note down that its writer has left. Chosen, not measured: no clock
within `SKEW` can take such a term for a coming one."""


class Board(Protocol):
    """Where notes are put up: one for each link, seen by all its workers. Raises SkyhaulError."""

    def post(self, note: str) -> None:
        """Durable enough to be listed by everybody once this returns."""

    def notes(self) -> list[str]:
        """All notes that are up."""

    def drop(self, note: str) -> None:
        """Take a note down; no error where it is gone."""


def max_min_shares(wants: Mapping[str, int]) -> dict[str, float]:
    """Divide the link: everybody gets what they want or an equal part of what the others leave.

    Max-min fairness. Whoever sees one worker less gets no less than before, so that a note which some see and
    others do not is harmless as long as its writer does not use it.

    Args:
        wants: Hundredths of the link by worker.

    Returns:
        Shares (0 to 1) by worker, which add up to 1 at most."""
    shares: dict[str, float] = {}
    left = 1.0
    # By name where wants are equal: everybody must add the floats up in the same order.
    by_want = sorted(wants.items(), key=lambda item: (item[1], item[0]))
    for place, (worker, want) in enumerate(by_want):
        share = min(want / MOST, left / (len(by_want) - place))
        shares[worker] = share
        left -= share
    return shares


def note_of(term: int, worker: str, want: int) -> str:
    """The name of a note: `worker` wants `want` hundredths of the link in term number `term`."""
    return f"{term:012d}-{worker}-{want:03d}"


def parse_notes(notes: Iterable[str]) -> dict[int, dict[str, int]]:
    """By term and worker; names that are no notes are passed over."""
    found: dict[int, dict[str, int]] = {}
    for note in notes:
        term, _, rest = note.partition("-")
        worker, _, want = rest.rpartition("-")
        if term.isdecimal() and want.isdecimal() and worker and int(want) <= MOST:
            found.setdefault(int(term), {})[worker] = int(want)
    return found


class LeaseSharing:
    """One worker's side of the leases: a `Sharing`.

    Args:
        board: Where the link's notes are put up.
        worker: A name that no other worker has, without a `-`.
        epoch: Unix seconds of the haul's second 0, so that all hauls count the same terms.
        clock: Seconds since the epoch, asked again after each call to the board, for those take their time.

    Raises:
        ValueError: The name is empty or has a `-`.
    """

    def __init__(self, board: Board, worker: str, epoch: float, clock: Callable[[], float]) -> None:
        if not worker or "-" in worker:
            raise ValueError("a worker's name is not empty and has no '-'")
        self._board = board
        self._worker = worker
        self._epoch = epoch
        self._clock = clock
        self._posted: dict[int, int] = {}
        self._shares: dict[int, float] = {}
        self._listed = -1
        self._asked = -1
        self._granted_to = -math.inf
        self._used = 0.0
        self._used_at = 0.0

    def step(self, now: float, demand: Demand) -> Step:
        # Once for each term, also where posting failed: the note may be up after all, and a second say
        # otherwise.
        term = self._term(now)
        if self._asked < term + 1 and now < self._deadline(term + 1):
            self._post(now, term + 1, demand)
        if self._listed < term + 1 and now >= self._deadline(term + 1) + SKEW:
            self._list(term + 1)
        # The board may have taken seconds. What has passed of a term meanwhile is not granted.
        grants = self._grants(self._clock(), demand.rate * HEADROOM)
        return Step(grants, self._again(self._clock(), demand))

    def close(self) -> None:
        """Take the notes down of terms that are over; others may be counted on."""
        self._clean(self._term(self._clock()))

    def _start(self, term: int) -> float:
        return term * TERM - self._epoch

    def _term(self, now: float) -> int:
        term = math.floor((now + self._epoch) / TERM)
        # Rounding of `now + epoch` may be one off at a border; `_start` is what grants go by.
        return term + (self._start(term + 1) <= now) - (self._start(term) > now)

    def _deadline(self, term: int) -> float:
        return self._start(term) - DEADLINE

    def _post(self, now: float, term: int, demand: Demand) -> None:
        want = self._want(now, demand)
        if not want:
            return
        self._asked = term
        self._board.post(note_of(term, self._worker, want))
        # Late, or by a clock that was late: others may not have seen it.
        if self._clock() <= self._deadline(term):
            self._posted[term] = want

    def _want(self, now: float, demand: Demand) -> int:
        """Hundredths of the link: all that can be had while something waits, else what was used of late."""
        # Each call begins the next measurement. A quarter more than was used, so that a worker whose work
        # grows can show it; all where something waits, for the division takes back what is too much.
        spent, since = demand.used - self._used, max(TERM, now - self._used_at)
        self._used, self._used_at = demand.used, now
        if demand.backlog > 0:
            return MOST
        return min(MOST, math.ceil(1.25 * MOST * spent / since / demand.rate))

    def _list(self, term: int) -> None:
        # Whose own note is not up in time has no share, whatever the others say: no call is spent on it.
        notes = self._board.notes() if term in self._posted else []
        self._listed = term
        self._shares[term] = max_min_shares(parse_notes(notes).get(term, {})).get(self._worker, 0.0)
        self._clean(term - 1, notes)

    def _clean(self, term: int, notes: Iterable[str] = ()) -> None:
        """Take down our notes of terms before `term`, and old ones of others."""
        for past in [known for known in self._posted if known < term]:
            self._board.drop(note_of(past, self._worker, self._posted.pop(past)))
        for past in [known for known in self._shares if known < term - 1]:
            del self._shares[past]
        for note in notes:
            found = parse_notes([note])
            if not found or min(found) < term - _KEPT:
                self._board.drop(note)

    def _grants(self, now: float, rate: float) -> tuple[Grant, ...]:
        """What the shares known so far allow and was not granted yet."""
        found: list[Grant] = []
        for term in sorted(self._shares):
            own = self._shares[term]
            begin, end = self._start(term), self._start(term + 1)
            # A worker whose clock is ahead is in the next term already: around a border only what both terms
            # allow is used. Without a share in the term before that is nothing.
            before, after = self._shares.get(term - 1, 0.0), self._shares.get(term + 1)
            stretches = [(begin, begin + SKEW / 2, min(before, own)), (begin + SKEW / 2, end - SKEW / 2, own)]
            # Not known yet: the end of the term is granted once it is, at the next listing.
            if after is not None:
                stretches.append((end - SKEW / 2, end, min(own, after)))
            for start, until, share in stretches:
                start = max(start, self._granted_to, now)
                if until > start:
                    found.append(Grant(start, until, share * rate))
                    self._granted_to = until
        return tuple(found)

    def _again(self, now: float, demand: Demand) -> float:
        term = self._term(now)
        # A note may be up by its writer's clock, and SKEW later by ours.
        reading = self._deadline(term + 1) + SKEW
        if self._listed < term + 1 and (term + 1 in self._posted or term in self._posted):
            return max(now, reading)
        if demand.backlog <= 0 and term not in self._posted and term + 1 not in self._posted:
            return math.inf
        return self._start(term + 1)
