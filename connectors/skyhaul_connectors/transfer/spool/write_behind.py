"""Small writes gathered into few: what arrives packet by packet goes to the disk in stretches.

A write of a few packets costs as much as one of 64 KiB. What is held here is not on the disk, not in the
journal, and nobody reads it: `flush` comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

GATHER = 64 * 1024
"""Bytes of a stretch that are written at once: longer ones save few calls, and each is a digest of its own
until its block is whole. Chosen, not measured."""

MOST_HELD = 4 * 1024 * 1024
"""Bytes that are held of one file before all of them are written. The ends of many short ranges would pile up
while a slow disk keeps the next `flush` waiting. Chosen, not measured (docs/adr/0002)."""


@dataclass(slots=True)
class _Run:
    start: int
    size: int = 0
    parts: list[bytes] = field(default_factory=list)


class WriteBehind:
    """Gathers adjacent writes of one file.

    Args:
        write: Takes (position, data). `add` and `flush` raise what it raises, and the bytes of that write
            are gone.
    """

    def __init__(self, write: Callable[[int, bytes | memoryview], None]) -> None:
        self._write = write
        self._runs: dict[int, _Run] = {}
        self._held = 0

    def add(self, position: int, data: bytes | memoryview) -> None:
        """Hold or write `data`, which its owner may change afterwards."""
        run = self._runs.pop(position, None)
        if run is None:
            if len(data) >= GATHER:
                self._write(position, data)
                return
            run = _Run(position)
        run.parts.append(bytes(data))  # the channel writes over its buffer
        run.size += len(data)
        self._held += len(data)
        if run.size >= GATHER:
            self._held -= run.size
            self._put(run)
            return
        other = self._runs.pop(run.start + run.size, None)
        self._runs[run.start + run.size] = run
        if other is not None:  # two stretches end here, and one of them can be waited for
            self._held -= other.size
            self._put(other)
        if self._held > MOST_HELD:
            self.flush()

    def flush(self) -> None:
        """Write all that is held, by position; runs that touch go out as one."""
        runs = sorted(self._runs.values(), key=lambda run: run.start)
        self.forget()
        joined: _Run | None = None
        for run in runs:
            if joined is not None and joined.start + joined.size == run.start:
                joined.parts += run.parts
                joined.size += run.size
                continue
            if joined is not None:
                self._put(joined)
            joined = run
        if joined is not None:
            self._put(joined)

    def forget(self) -> None:
        """Drop what is held without writing it."""
        self._runs.clear()
        self._held = 0

    def _put(self, run: _Run) -> None:
        self._write(run.start, run.parts[0] if len(run.parts) == 1 else b"".join(run.parts))
