"""How many connections a process may have to a source: the sum of what the pieces of work in it bring along.

Pieces divide what a source allows among them, so that all processes together keep to it, whichever of them
gets which pieces; and the process that has all of them has all connections.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

ALL = 0
"""A piece's connections where it has the source to itself."""


class Grant:
    """What one piece of work brings along."""

    def __init__(self, connections: int, changed: Callable[[], None]) -> None:
        self.connections = connections
        self._changed = changed

    def change(self, connections: int) -> None:
        """A part of the piece was split off, and has taken the rest along. Returns once that holds."""
        self.connections = connections
        self._changed()


class Connections:
    """Of one process. Any thread may call any method.

    Args:
        allowed: Source -> connections that it allows to all processes together.
        allow: Told of a source, and how many this process may have; 0 where no piece is at work, so that
            none is kept open meanwhile.
    """

    def __init__(self, allowed: Mapping[str, int], allow: Callable[[str, int], None]) -> None:
        self._allowed = dict(allowed)
        self._allow = allow
        self._lock = threading.Lock()
        self._grants: dict[str, list[Grant]] = {}

    @contextmanager
    def held(self, sources: Iterable[str], connections: int = ALL) -> Iterator[Grant]:
        """While a piece of these sources is at work here."""
        taken = [name for name in sources if name in self._allowed]
        grant = Grant(connections, lambda: self._tell(taken))
        with self._lock:
            for name in taken:
                self._grants.setdefault(name, []).append(grant)
        self._tell(taken)
        try:
            yield grant
        finally:
            with self._lock:
                for name in taken:
                    self._grants[name].remove(grant)
            self._tell(taken)

    def _tell(self, sources: Iterable[str]) -> None:
        with self._lock:
            for name in sources:
                allowed = self._allowed[name]
                parts = [grant.connections or allowed for grant in self._grants[name]]
                self._allow(name, min(allowed, sum(parts)))
