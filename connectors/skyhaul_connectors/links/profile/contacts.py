"""Contact plans: the windows in which a link is up, known ahead."""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contact:
    """One window of a contact plan, [start, end).

    Attributes:
        start: Seconds since the epoch, or Unix seconds where `absolute`.
        end: The same.
        rate: bit/s while it lasts; None: the link's own rate.
        delay: Seconds one way; None: the link's own.
        absolute: Whether `start` and `end` are Unix seconds.
    """

    start: float
    end: float
    rate: float | None = None
    delay: float | None = None
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class ContactTable:
    """The contacts of a file, in its order, not yet tied to an epoch.

    A profile holds this and not a plan: the profile is made from the job file, before there is an epoch."""

    contacts: tuple[Contact, ...]
    origin: str = ""

    def since(self, epoch: float) -> ContactPlan:
        """The plan in seconds since `epoch` (Unix seconds)."""
        return ContactPlan(
            Contact(c.start - epoch, c.end - epoch, c.rate, c.delay) if c.absolute else c
            for c in self.contacts
        )


class ContactPlan:
    """When a link is open, in seconds since the epoch. Where contacts overlap the best rate holds."""

    def __init__(self, contacts: Iterable[Contact]) -> None:
        self._pieces = list(_flatten(contacts))
        self._starts = [piece.start for piece in self._pieces]

    @property
    def pieces(self) -> tuple[Contact, ...]:
        """Contacts that do not overlap, in order; those that touch differ in rate or delay."""
        return tuple(self._pieces)

    def state(self, at: float) -> Contact | None:
        """The contact that is open at `at`, or None."""
        index = bisect.bisect_right(self._starts, at) - 1
        if index >= 0 and at < self._pieces[index].end:
            return self._pieces[index]
        return None

    def next_opening(self, at: float) -> float:
        """`at` where a contact is open, else when the next one opens; math.inf where none follows."""
        if self.state(at) is not None:
            return at
        index = bisect.bisect_right(self._starts, at)
        return self._starts[index] if index < len(self._starts) else math.inf

    def next_closing(self, at: float) -> float:
        """When the window that is open at `at` closes; `at` itself where none is open.

        Contacts that touch are one window: a change of rate alone closes no connection."""
        index = bisect.bisect_right(self._starts, at) - 1
        if index < 0 or at >= self._pieces[index].end:
            return at
        while index + 1 < len(self._pieces) and self._starts[index + 1] <= self._pieces[index].end:
            index += 1
        return self._pieces[index].end

    def next_change(self, at: float) -> float:
        """When state(at) changes next, be it only in rate; math.inf where it never does."""
        contact = self.state(at)
        return contact.end if contact is not None else self.next_opening(at)


def _flatten(contacts: Iterable[Contact]) -> Iterator[Contact]:
    """The contacts cut at each other's borders, the best rate kept."""
    ordered = sorted(contacts, key=lambda c: (c.start, c.end))
    borders = sorted({edge for c in ordered for edge in (c.start, c.end)})
    open_now: list[tuple[float, int]] = []
    upcoming = 0
    last: Contact | None = None
    for start, end in itertools.pairwise(borders):
        while upcoming < len(ordered) and ordered[upcoming].start <= start:
            rate = ordered[upcoming].rate
            # No rate means the link's own, which is not known here; it counts as the best. Ties go to the
            # contact that starts first.
            heapq.heappush(open_now, (-math.inf if rate is None else -rate, upcoming))
            upcoming += 1
        # Those that have ended below the top do no harm; each is removed once it gets there.
        while open_now and ordered[open_now[0][1]].end <= start:
            heapq.heappop(open_now)
        if not open_now:
            continue
        best = ordered[open_now[0][1]]
        # Borders of contacts that lost against a better one cut it into pieces that differ in nothing;
        # whoever waits for `next_change` would wake up at each.
        if last is not None and (last.end, last.rate, last.delay) == (start, best.rate, best.delay):
            last = Contact(last.start, end, best.rate, best.delay)
            continue
        if last is not None:
            yield last
        last = Contact(start, end, best.rate, best.delay)
    if last is not None:
        yield last
