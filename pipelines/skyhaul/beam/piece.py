"""A part of a divisible lot, and its tracker: what an adapter claims of, and a runner splits.

Places are indices among the lot's shards. A piece takes its connections along: a split divides them, so that
all pieces together never have more than the lot had.

Annotations are evaluated here (no `from __future__ import annotations`), as in `skyhaul.hauling.config`.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from apache_beam import coders
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

from skyhaul.hauling.config import Lot, restored

_PIECES = 32
"""Pieces that a lot begins as, where they do not divide connections. Chosen, not measured: enough for a
runner to find its balance."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Places [start, stop) of a lot."""

    start: int
    stop: int
    connections: int = 0
    """As `Lot.connections`."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Claimed in a place's stead: so many shards are done with.

    Of what a tracker has, Beam's view of it passes claims on alone."""

    shards: int


@dataclass(frozen=True, slots=True)
class Heard:
    """Claimed in a place's stead: who is to be told when a split takes connections away."""

    changed: Callable[[int], None]


class PieceTracker(RestrictionTracker):
    """Claims rise.

    Progress is by shards that are done with: claims run ahead of them by what a link can be busy with."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._claimed = piece.start - 1
        self._settled = 0
        self._changed: Callable[[int], None] | None = None

    def current_restriction(self) -> Piece:
        return self._piece

    def is_bounded(self) -> bool:
        return True

    def try_claim(self, position: int | Settled | Heard) -> bool:
        match position:
            case Settled(shards):
                self._settled = shards
                return True
            case Heard(changed):
                self._changed = changed
                return True
        self._claimed = max(self._claimed, position)
        return position < self._piece.stop

    def check_done(self) -> None:
        if self._claimed < self._piece.stop - 1:
            raise ValueError(f"places {self._claimed + 1} to {self._piece.stop} were not claimed")

    def current_progress(self) -> RestrictionProgress:
        whole = self._piece.stop - self._piece.start
        settled = min(self._settled, whole)
        return RestrictionProgress(completed=settled, remaining=whole - settled)

    def try_split(self, fraction_of_remainder: float) -> tuple[Piece, Piece] | None:
        piece = self._piece
        done = piece.start + self._settled
        at = max(self._claimed + 1, done + math.ceil((piece.stop - done) * fraction_of_remainder))
        # A connection cannot be divided.
        if at >= piece.stop or piece.connections == 1:
            return None
        given = 0
        if piece.connections:
            part = (piece.stop - at) / max(1, piece.stop - done)
            given = max(1, min(piece.connections - 1, round(piece.connections * part)))
        primary = Piece(piece.start, at, piece.connections - given)
        if given and self._changed is not None:
            self._changed(primary.connections)
        self._piece = primary
        return primary, Piece(at, piece.stop, given)


class Pieces(RestrictionProvider):
    """Of divisible lots."""

    def initial_restriction(self, element: Lot) -> Piece:
        return Piece(0, restored(Lot, element).shards, element.connections)

    def create_tracker(self, restriction: Piece) -> PieceTracker:
        return PieceTracker(restriction)

    def split(self, element: Lot, restriction: Piece) -> Iterator[Piece]:
        """Where connections would be divided, there is one.

        Pieces that wait for a worker would hold some that nobody uses. A runner that has workers to spare
        splits it later."""
        whole = restriction.stop - restriction.start
        count = 1 if restriction.connections else min(_PIECES, whole)
        borders = [restriction.start + whole * place // max(1, count) for place in range(count + 1)]
        for start, stop in itertools.pairwise(borders):
            yield Piece(start, stop, restriction.connections)

    def restriction_size(self, element: Lot, restriction: Piece) -> int:
        """About how many source bytes."""
        shards = restored(Lot, element).shards
        return element.bytes * (restriction.stop - restriction.start) // max(1, shards)

    def restriction_coder(self) -> Any:
        return coders.registry.get_coder(Piece)
