"""Who may enter the spool: its limit as back-pressure. Sans-I/O; lengths in bytes.

Segments of one source enter in the order of claims, then of their index, while what has entered fits. Half
of the room is divided evenly among the sources of the haul, so that one whose bytes do not come (it drips, or
its link is closed) cannot fill the spool and hold up the others; the other half is anybody's. What is dropped
leaves once room is needed. A segment that somebody waits for enters regardless when its shard is the oldest,
or when nothing else moves: whoever drops segments must be able to go on to do so.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Entry:
    source: str
    lengths: Sequence[int]
    entered: bytearray
    next: int = 0
    taken: int = 0
    demanded: set[int] = field(default_factory=set)


class Admission:
    """`taken` is the room that is in use or promised; `blocked`: a segment waits for room. sources: of the
    haul; where none are named, all room is one source's."""

    def __init__(
        self, limit: int, remnants: Mapping[int, int] | None = None, sources: Sequence[str] = ("",)
    ) -> None:
        self._limit = limit
        self._own = limit // (2 * len(sources)) if len(sources) > 1 else 0
        self._taken_by = dict.fromkeys(sources, 0)
        self._entries: dict[int, _Entry] = {}
        self._remnants = dict(remnants or {})
        self.taken = sum(self._remnants.values())
        self._blocked: frozenset[str] = frozenset()

    @property
    def blocked(self) -> bool:
        return bool(self._blocked)

    def has_room(self, source: str | None = None) -> bool:
        """Whether another shard of the source makes sense now; None: of any."""
        if source is None:
            return not self.blocked and self.taken < self._limit
        return source not in self._blocked and self._fits(source, 1)

    def add(
        self, shard: int, lengths: Iterable[int], inside: Iterable[int], *, number: int, source: str = ""
    ) -> None:
        """A shard claimed after all before it. `inside`: segments with bytes in the spool already.
        `shard` is whatever the caller calls this fetch; `number` the plan's, for what an earlier fetch
        of the same shard had left."""
        self.taken -= self._remnants.pop(number, 0)
        entry = _Entry(source, array("q", lengths), bytearray())
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
        """(shard, segment) of all that enter now. idle: nothing that has entered comes in any more.
        reclaiming: room is being made, so that nothing enters beyond the limit yet."""
        admitted: list[tuple[int, int]] = []
        blocked: set[str] = set()
        oldest = True
        for shard, entry in self._entries.items():
            if entry.source in blocked:
                continue
            while entry.next < len(entry.lengths):
                if not entry.entered[entry.next]:
                    fits = self._fits(entry.source, entry.lengths[entry.next])
                    if not fits and not (oldest and entry.demanded and not reclaiming):
                        blocked.add(entry.source)
                        break
                    self._enter(entry, entry.next)
                    admitted.append((shard, entry.next))
                entry.next += 1
            if len(blocked) == len(self._taken_by):
                break
            oldest = False
        self._blocked = frozenset(blocked)
        if self.blocked and idle and not reclaiming and not admitted:
            admitted.extend(self._first_demanded())
        return admitted

    def freed(self, shard: int, count: int) -> None:
        """`count` bytes of the shard's segments left the disk."""
        entry = self._entries.get(shard)
        if entry is not None:
            self._take(entry, -count)

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
        self._taken_by[entry.source] -= entry.taken
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
        self._take(entry, entry.lengths[segment])

    def _take(self, entry: _Entry, count: int) -> None:
        entry.taken += count
        self.taken += count
        self._taken_by[entry.source] += count

    def _fits(self, source: str, length: int) -> bool:
        """Whether there is room for so much more of the source, less what others have a right to. The first
        segment of a source need not spare them, or those that are large against the limit would all wait."""
        if not self._taken_by[source]:
            return self.taken + length <= self._limit
        kept = sum(max(0, self._own - taken) for other, taken in self._taken_by.items() if other != source)
        return self.taken + length <= self._limit - kept
