"""The pieces that nobody has asked for yet: some ready, in the order of works; some waiting their time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Container
from dataclasses import replace

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask, PendingRange


class RangeQueue:
    """`waiting` is the number of bytes in it."""

    def __init__(self) -> None:
        self.waiting = 0
        self._ready: list[tuple[int, int, int, int, PendingRange]] = []
        self._delayed: list[tuple[float, int, PendingRange]] = []
        self._sequence = itertools.count()

    @property
    def ready(self) -> int:
        """How many pieces may be asked for now."""
        return len(self._ready)

    def push(self, pending: PendingRange, not_before: float = 0.0) -> None:
        self.waiting += pending.stop - pending.start
        if not_before:
            heapq.heappush(self._delayed, (not_before, next(self._sequence), pending))
        else:
            self._push_ready(pending)

    def release(self, now: float) -> None:
        """Pieces whose time has come are ready."""
        while self._delayed and self._delayed[0][0] <= now:
            self._push_ready(heapq.heappop(self._delayed)[2])

    def next_release(self) -> float | None:
        return self._delayed[0][0] if self._delayed else None

    def cut(self, size: int) -> PendingRange:
        """The first `size` bytes or so of the first ready piece. A rest below a quarter goes along."""
        pending = self._ready[0][-1]
        if pending.stop - pending.start <= size + size // 4:
            heapq.heappop(self._ready)
            self.waiting -= pending.stop - pending.start
            return pending
        part = replace(pending, stop=pending.start + size)
        # The entry keeps its old start as its key: pieces of a work do not overlap, so order still holds.
        pending.start += size
        self.waiting -= size
        return part

    def take(self) -> PendingRange:
        """The first ready piece, with those that follow it in its segment."""
        first = self.cut(1 << 62)
        while self._ready:
            following = self._ready[0][-1]
            if following.task is not first.task or following.segment != first.segment:
                break
            if following.start != first.stop:
                break
            self.cut(1 << 62)
            first.stop = following.stop
            first.retries_used = max(first.retries_used, following.retries_used)
            first.tries = max(first.tries, following.tries)
            first.doubted = max(first.doubted, following.doubted)
        return first

    def has_others(self, tasks: Container[FetchTask]) -> bool:
        """Whether a piece of another work may be asked for now."""
        return any(entry[-1].task not in tasks for entry in self._ready)

    def reorder(self) -> None:
        """Works have fallen behind others, or caught up."""
        ranges = [entry[-1] for entry in self._ready]
        self._ready = []
        for pending in ranges:
            self._push_ready(pending)

    def purge(self) -> None:
        """Drop the pieces of works that are gone."""
        self._ready = [entry for entry in self._ready if not entry[-1].task.cancelled]
        self._delayed = [entry for entry in self._delayed if not entry[-1].task.cancelled]
        heapq.heapify(self._ready)
        heapq.heapify(self._delayed)
        ranges = [e[-1] for e in self._ready] + [e[-1] for e in self._delayed]
        self.waiting = sum(pending.stop - pending.start for pending in ranges)

    def _push_ready(self, pending: PendingRange) -> None:
        task = pending.task
        heapq.heappush(self._ready, (task.behind, task.order, pending.start, next(self._sequence), pending))
