"""A token bucket of no depth that all workers share.

The link's time is handed out in slots, one after the other, and nobody else sends in a worker's slot.

It is the generic cell rate algorithm (ITU-T I.371): the book keeps one number, when the link is free again.
A worker that asks for a slot gets the time from there on, and moves the number by its length. Workers with
nothing to do ask for nothing, and one that dies takes a slot or two along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from skyhaul_connectors.links.sharing.grants import HEADROOM, Grant
from skyhaul_connectors.links.sharing.sharing import Demand, Step

SLOT = 0.05
"""Seconds of the link in one slot, at most: a call to the book each. Chosen, not measured; so is `EARLY`,
which must be longer than a round trip to the book, or a worker idles between two slots."""

SHORTEST = 0.004
"""Seconds: shorter slots would cost more asking than they carry. Chosen, not measured."""

AHEAD = 4.0
"""Seconds that slots may be handed out in advance; beyond, a worker is told to ask later. Chosen, not
measured: what a worker that dies has reserved stays unused, and a rate that is lowered holds only for slots
handed out later."""

EARLY = 0.04
"""Seconds before its last slot ends that a worker asks for the next one."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The book's answer.

    Attributes:
        wait: Seconds from now until the slot begins.
        granted: False where none was handed out; asking again makes sense after `wait`.
    """

    wait: float
    granted: bool = True


class SlotBook(Protocol):
    """Kept in one place for all workers of a link."""

    def reserve(self, seconds: float, ahead: float) -> Slot:
        """Reserve the next `seconds` of the link, if they begin within `ahead` seconds.

        Raises:
            SkyhaulError: The book cannot be reached."""

    def close(self) -> None: ...


class SlotSharing:
    """A worker that reserves slots as it has something to ask for.

    Args:
        book: Where slots are reserved.
        clock: Seconds since the haul's epoch, asked again when the book has answered, so that a slow answer
            makes a slot late and never early."""

    def __init__(self, book: SlotBook, clock: Callable[[], float]) -> None:
        self._book = book
        self._clock = clock

    def step(self, now: float, demand: Demand) -> Step:
        if demand.backlog <= 0:
            return Step((), float("inf"))
        if demand.until > now + EARLY:
            return Step((), demand.until - EARLY)
        # In its slot a worker has the link to itself: it gets time, and the whole rate in it.
        rate = demand.rate * HEADROOM
        # No more than is needed: what is not used of a slot nobody can use.
        seconds = min(SLOT, max(SHORTEST, (demand.backlog - demand.granted) / rate))
        slot = self._book.reserve(seconds, AHEAD)
        begin = self._clock() + slot.wait
        if not slot.granted:
            return Step((), begin)
        until = begin + seconds
        # A slow answer made the last slot late, so that the next one may begin before it ends;
        # `GrantedPacer.grant` takes no overlap.
        return Step((Grant(max(begin, demand.until), until, rate),), until - EARLY)

    def close(self) -> None:
        self._book.close()
