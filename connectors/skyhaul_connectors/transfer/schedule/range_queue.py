"""The ranges that are to be asked for: some ready, in the order of tasks; some waiting their time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Container, Iterator

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask, PendingRange

_ALL = 1 << 62
"""More bytes than any range has."""


class RangeQueue:
    """Ranges in the order in which they are served.

    Tasks that are less behind come first, then the task's order counts, then the position.

    Attributes:
        waiting: Bytes in it, ready or not."""

    def __init__(self) -> None:
        self.waiting = 0
        # (behind, order, start, sequence, range): the sequence decides between equals, for ranges have no
        # order. The key is a copy: who changes a task's `behind` calls `reorder`.
        self._ready: list[tuple[int, int, int, int, PendingRange]] = []
        self._delayed: list[tuple[float, int, PendingRange]] = []
        self._sequence = itertools.count()

    def __iter__(self) -> Iterator[PendingRange]:
        """All ranges, in no order."""
        for entry in self._ready:
            yield entry[-1]
        for delayed in self._delayed:
            yield delayed[-1]

    @property
    def ready(self) -> int:
        """How many ranges may be asked for now."""
        return len(self._ready)

    def push(self, pending: PendingRange, not_before: float = 0.0) -> None:
        """Put the range in; it is ready at once, or from `not_before` (seconds) on."""
        self.waiting += pending.stop - pending.start
        if not_before:
            heapq.heappush(self._delayed, (not_before, next(self._sequence), pending))
        else:
            self._push_ready(pending)

    def release(self, now: float) -> None:
        """Make the ranges ready whose time has come."""
        while self._delayed and self._delayed[0][0] <= now:
            self._push_ready(heapq.heappop(self._delayed)[2])

    def next_release(self) -> float | None:
        """When the next range becomes ready (seconds); None where none waits its time."""
        return self._delayed[0][0] if self._delayed else None

    def cut(self, size: int) -> PendingRange:
        """Take the first `size` bytes or so of the first ready range. A rest below a quarter goes along."""
        pending = self._ready[0][-1]
        # A small rest would cost a request and a head of its own.
        if pending.stop - pending.start <= size + size // 4:
            heapq.heappop(self._ready)
            self.waiting -= pending.stop - pending.start
            return pending
        self.waiting -= size
        # The entry keeps its old start as its key: ranges of a task do not overlap, so order still holds.
        return pending.split(size)

    def take(self) -> PendingRange:
        """Take the first ready range, with those that follow it without a gap in its segment."""
        first = self.cut(_ALL)
        while self._ready:
            following = self._ready[0][-1]
            if following.task is not first.task or following.segment != first.segment:
                break
            if following.start != first.stop:
                break
            self.cut(_ALL)
            first.join(following)
        return first

    def has_others(self, tasks: Container[FetchTask]) -> bool:
        """Whether a range of another task may be asked for now."""
        return any(entry[-1].task not in tasks for entry in self._ready)

    def reorder(self) -> None:
        """Sort the ready ranges anew, after tasks have fallen behind others."""
        ready = [entry[-1] for entry in self._ready]
        self._ready = []
        for pending in ready:
            self._push_ready(pending)

    def purge(self) -> None:
        """Drop the ranges of tasks that are cancelled."""
        self._ready = [entry for entry in self._ready if not entry[-1].task.cancelled]
        self._delayed = [entry for entry in self._delayed if not entry[-1].task.cancelled]
        heapq.heapify(self._ready)
        heapq.heapify(self._delayed)
        self.waiting = sum(pending.stop - pending.start for pending in self)

    def _push_ready(self, pending: PendingRange) -> None:
        task = pending.task
        heapq.heappush(self._ready, (task.behind, task.order, pending.start, next(self._sequence), pending))
