"""Small writes gathered into few: what arrives packet by packet goes to the disk in stretches.

A write of a few packets costs as much as one of 64 KiB. What is held here is not on the disk, not in the
journal, and nobody reads it: `flush` comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

GATHER = 64 * 1024
"""Bytes of a stretch that are written at once; also the most that one stretch holds in memory."""


@dataclass(slots=True)
class _Run:
    start: int
    size: int = 0
    parts: list[bytes] = field(default_factory=list)


class WriteBehind:
    """Gathers adjacent writes of one file. `write(position, data)` may raise; so do `add` and `flush` then,
    and what that write held is gone."""

    def __init__(self, write: Callable[[int, bytes | memoryview], None]) -> None:
        self._write = write
        self._runs: dict[int, _Run] = {}

    def add(self, position: int, data: bytes | memoryview) -> None:
        """`data` may be changed by its owner afterwards."""
        run = self._runs.pop(position, None)
        if run is None:
            if len(data) >= GATHER:
                self._write(position, data)
                return
            run = _Run(position)
        run.parts.append(bytes(data))
        run.size += len(data)
        if run.size >= GATHER:
            self._put(run)
        else:
            self._runs[run.start + run.size] = run

    def flush(self) -> None:
        """Write all that is held, in the order of its arrival where stretches overlap."""
        while self._runs:
            self._put(self._runs.pop(next(iter(self._runs))))

    def _put(self, run: _Run) -> None:
        self._write(run.start, run.parts[0] if len(run.parts) == 1 else b"".join(run.parts))
