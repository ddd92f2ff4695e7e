"""Which claimed shard is encoded next, and how many are at once.

What is whole goes first, the oldest of it: a source whose bytes drip must not hold up what is ready. While
nothing is whole, the oldest shard of a source is encoded as its bytes come, so that the link never waits for
the CPU, nor the CPU for the end of a shard. An encoder that has to wait for bytes gives up its place, and
takes the next one that is free when they are there. So at most `places` encoders work, and one of each source
waits beside them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Claimed(Protocol):
    """A claimed shard, as far as the queue goes."""

    @property
    def source(self) -> str: ...

    @property
    def whole(self) -> bool:
        """Whether it can be encoded without waiting for bytes."""


C = TypeVar("C", bound=Claimed)


class EncodeQueue(Generic[C]):
    """Claimed shards in the order of their claims. Any thread may call any method."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._todo: list[C] = []
        self._working = 0
        self._resuming = 0
        self._waiting: Counter[str] = Counter()
        self._over = False
        self._changed = threading.Condition()

    def put(self, claimed: C) -> None:
        with self._changed:
            self._todo.append(claimed)
            self._changed.notify_all()

    def look(self) -> None:
        """Something may have become whole."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> None:
        """Nobody takes anything any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def take(self) -> C | None:
        """The next shard, once there is a place for it; None at the end. `done` gives the place back."""
        with self._changed:
            while not self._over:
                if self._working + self._resuming < self._places:
                    found = self._next()
                    if found is not None:
                        self._todo.remove(found)
                        self._working += 1
                        return found
                self._changed.wait()
        return None

    def done(self) -> None:
        with self._changed:
            self._working -= 1
            self._changed.notify_all()

    @contextmanager
    def waiting(self, source: str) -> Iterator[None]:
        """The caller, who has taken a shard of the source, waits for bytes meanwhile."""
        with self._changed:
            self._working -= 1
            self._waiting[source] += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._waiting[source] -= 1
                # Counted as soon as its bytes are here: `take` gives the next place to it, and not to a shard
                # that has not begun.
                self._resuming += 1
                self._changed.wait_for(lambda: self._working < self._places or self._over)
                self._resuming -= 1
                self._working += 1

    def _next(self) -> C | None:
        for claimed in self._todo:
            if claimed.whole:
                return claimed
        return next((claimed for claimed in self._todo if not self._waiting[claimed.source]), None)
