"""The pieces that nobody has asked for yet: some ready, in the order of works; some waiting their time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Container
from dataclasses import replace

from skyhaul_connectors.transfer.schedule.fetch_task import Piece, Work


class PieceQueue:
    """`waiting` is the number of bytes in it."""

    def __init__(self) -> None:
        self.waiting = 0
        self._ready: list[tuple[int, int, int, int, Piece]] = []
        self._delayed: list[tuple[float, int, Piece]] = []
        self._sequence = itertools.count()

    @property
    def ready(self) -> int:
        """How many pieces may be asked for now."""
        return len(self._ready)

    def push(self, piece: Piece, not_before: float = 0.0) -> None:
        self.waiting += piece.stop - piece.start
        if not_before:
            heapq.heappush(self._delayed, (not_before, next(self._sequence), piece))
        else:
            self._push_ready(piece)

    def release(self, now: float) -> None:
        """Pieces whose time has come are ready."""
        while self._delayed and self._delayed[0][0] <= now:
            self._push_ready(heapq.heappop(self._delayed)[2])

    def next_release(self) -> float | None:
        return self._delayed[0][0] if self._delayed else None

    def cut(self, size: int) -> Piece:
        """The first `size` bytes or so of the first ready piece. A rest below a quarter goes along."""
        piece = self._ready[0][-1]
        if piece.stop - piece.start <= size + size // 4:
            heapq.heappop(self._ready)
            self.waiting -= piece.stop - piece.start
            return piece
        part = replace(piece, stop=piece.start + size)
        # The entry keeps its old start as its key: pieces of a work do not overlap, so order still holds.
        piece.start += size
        self.waiting -= size
        return part

    def take(self) -> Piece:
        """The first ready piece, with those that follow it in its segment."""
        first = self.cut(1 << 62)
        while self._ready:
            following = self._ready[0][-1]
            if following.work is not first.work or following.segment != first.segment:
                break
            if following.start != first.stop:
                break
            self.cut(1 << 62)
            first.stop = following.stop
            first.spent = max(first.spent, following.spent)
            first.tries = max(first.tries, following.tries)
            first.doubted = max(first.doubted, following.doubted)
        return first

    def has_others(self, works: Container[Work]) -> bool:
        """Whether a piece of another work may be asked for now."""
        return any(entry[-1].work not in works for entry in self._ready)

    def reorder(self) -> None:
        """Works have fallen behind others, or caught up."""
        pieces = [entry[-1] for entry in self._ready]
        self._ready = []
        for piece in pieces:
            self._push_ready(piece)

    def purge(self) -> None:
        """Drop the pieces of works that are gone."""
        self._ready = [entry for entry in self._ready if not entry[-1].work.gone]
        self._delayed = [entry for entry in self._delayed if not entry[-1].work.gone]
        heapq.heapify(self._ready)
        heapq.heapify(self._delayed)
        pieces = [e[-1] for e in self._ready] + [e[-1] for e in self._delayed]
        self.waiting = sum(piece.stop - piece.start for piece in pieces)

    def _push_ready(self, piece: Piece) -> None:
        work = piece.work
        heapq.heappush(self._ready, (work.behind, work.order, piece.start, next(self._sequence), piece))
