"""Where the groups of rows of a table lie in its object: what it is cut by, and what is hauled of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from skyhaul_schemas.plan import Ranges

FOOTER = 64 * 1024
"""Bytes at an object's end that are hauled with each chunk; a longer footer costs one more fetch."""


@dataclass(frozen=True, slots=True)
class Group:
    """A row group or record batch.

    Attributes:
        start: Its first byte in the object.
        stop: Where it ends.
        rows: How many rows it has.
        parts: (offset, length) of what the wanted columns take of it; None where all are wanted."""

    start: int
    stop: int
    rows: int
    parts: list[tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Where the rows of a table lie.

    Attributes:
        groups: In the file's order.
        footer: Where it begins.
        shared: (offset, length) of what all groups need."""

    groups: list[Group]
    footer: int
    shared: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, found: dict[str, Any]) -> TableLayout:
        """As the child process tells it."""
        return cls([Group(*group) for group in found["groups"]], found["footer"], found["shared"])

    def is_cuttable(self, size: int, width: int) -> bool:
        """Whether the groups lie one after the other, and each alone is enough.

        Each must have at least as many bytes as records (`width` of them come of each row), so that each
        record has a place of its own in its group."""
        at = 0
        for group in self.groups:
            room = group.stop - group.start
            if not at <= group.start <= group.stop <= size or group.rows * width > room or group.rows < 0:
                return False
            at = group.stop
        return not self.shared

    def cuts(self, size: int, chunk_size: int) -> list[tuple[int, int]]:
        """(offset, length) of chunks that begin where a group does."""
        # The first chunk has what lies before the groups, the last one the footer: chunks are a partition.
        starts = [0]
        for group in self.groups[1:]:
            if group.stop - starts[-1] > chunk_size:
                starts.append(group.start)
        stops = [*starts[1:], size]
        return [(start, stop - start) for start, stop in zip(starts, stops, strict=True)]

    def needed(self, start: int, stop: int, size: int) -> Ranges | None:
        """What decoding reads of bytes [start, stop); None: all, also where the file says what cannot be."""
        found = [*self.shared]
        if stop == size:
            found.append((self.footer, size - self.footer))
        for group in self.groups:
            if start <= group.start < stop:
                if group.parts is None:
                    return None
                found += group.parts
        # A footer may state any place. All of the chunk is hauled then, and decoding says what is wrong.
        if not all(start <= offset and 0 <= length <= stop - offset for offset, length in found):
            return None
        return tuple((offset, length) for offset, length in found)


def end_of(size: int) -> tuple[int, int]:
    """(offset, length) of the object's end."""
    return max(0, size - FOOTER), min(size, FOOTER)


def with_tail(size: int, read: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    """`read`, whose first request brings the object's end, in which a footer mostly lies."""
    first, length = end_of(size)
    tail = read(first, length)

    def from_tail(offset: int, length: int) -> bytes:
        if offset >= first:
            return tail[offset - first : offset - first + length]
        return read(offset, length)

    return from_tail
