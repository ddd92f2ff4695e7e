"""Who may enter the spool: its limit as back-pressure. Sans-I/O; lengths in bytes.

Segments enter in the order of claims, then of their index, while what has entered fits. What is dropped
leaves once room is needed. A segment that somebody waits for enters regardless when its shard is the
oldest, or when nothing else moves: whoever drops segments must be able to go on to do so.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Entry:
    lengths: Sequence[int]
    entered: bytearray
    next: int = 0
    taken: int = 0
    demanded: set[int] = field(default_factory=set)


class Admission:
    """`taken` is the room that is in use or promised; `blocked`: a segment waits for room."""

    def __init__(self, limit: int, remnants: Mapping[int, int] | None = None) -> None:
        self._limit = limit
        self._entries: dict[int, _Entry] = {}
        self._remnants = dict(remnants or {})
        self.taken = sum(self._remnants.values())
        self.blocked = False

    @property
    def has_room(self) -> bool:
        """Whether another shard makes sense now."""
        return not self.blocked and self.taken < self._limit

    def add(self, shard: int, lengths: Iterable[int], inside: Iterable[int], *, number: int) -> None:
        """A shard claimed after all before it. `inside`: segments with bytes in the spool already.
        `shard` is whatever the caller calls this fetch; `number` the plan's, for what an earlier fetch
        of the same shard had left."""
        self.taken -= self._remnants.pop(number, 0)
        entry = _Entry(array("q", lengths), bytearray())
        entry.entered = bytearray(len(entry.lengths))
        self._entries[shard] = entry
        for index in inside:
            self._enter(entry, index)

    def demand(self, shard: int, segment: int) -> None:
        """Somebody waits for the segment."""
        entry = self._entries.get(shard)
        if entry is not None and not entry.entered[segment]:
            entry.demanded.add(segment)

    def admit(self, *, idle: bool, reclaiming: bool) -> list[tuple[int, int]]:
        """(shard, segment) of all that enter now. idle: nothing that has entered is still missing.
        reclaiming: room is being made, so that nothing enters beyond the limit yet."""
        admitted: list[tuple[int, int]] = []
        self.blocked = False
        oldest = True
        for shard, entry in self._entries.items():
            while entry.next < len(entry.lengths):
                if not entry.entered[entry.next]:
                    fits = self.taken + entry.lengths[entry.next] <= self._limit
                    if not fits and not (oldest and entry.demanded and not reclaiming):
                        self.blocked = True
                        break
                    self._enter(entry, entry.next)
                    admitted.append((shard, entry.next))
                entry.next += 1
            if self.blocked:
                break
            oldest = False
        if self.blocked and idle and not reclaiming and not admitted:
            admitted.extend(self._first_demanded())
        return admitted

    def freed(self, shard: int, count: int) -> None:
        """`count` bytes of the shard's segments left the disk."""
        entry = self._entries.get(shard)
        if entry is not None:
            entry.taken -= count
            self.taken -= count

    def cancel(self, shard: int) -> None:
        """Nothing more of the shard enters; what has entered takes room until it leaves."""
        entry = self._entries.get(shard)
        if entry is not None:
            entry.next = len(entry.lengths)
            entry.demanded.clear()

    def leave(self, shard: int, *, keep_as: int | None) -> None:
        """The shard is over. With its number its bytes stay on the disk and count on."""
        entry = self._entries.pop(shard, None)
        if entry is None:
            return
        if keep_as is not None:
            self._remnants[keep_as] = entry.taken
        else:
            self.taken -= entry.taken

    def _first_demanded(self) -> list[tuple[int, int]]:
        for shard, entry in self._entries.items():
            if entry.demanded:
                segment = min(entry.demanded)
                self._enter(entry, segment)
                return [(shard, segment)]
        return []

    def _enter(self, entry: _Entry, segment: int) -> None:
        if entry.entered[segment]:
            return
        entry.entered[segment] = 1
        entry.demanded.discard(segment)
        entry.taken += entry.lengths[segment]
        self.taken += entry.lengths[segment]
