"""The spool's limit as back-pressure.

`AdmissionQueue` (sans-I/O) says who may enter, `SpoolQuota` lets in and makes room.

Segments of one source enter in the order of claims, then of their index, while what has entered fits. Half
of the room is divided evenly among the sources of the haul, so that one whose bytes do not come (it drips, or
its link is closed) cannot fill the spool and hold up the others; the other half is anybody's. What is dropped
leaves once room is needed. A segment that somebody waits for enters regardless when its shard is the oldest,
or when nothing else moves: whoever drops segments must be able to go on to do so."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from skyhaul_connectors.transfer.background import Background
from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.spool.events import SpoolEvents
from skyhaul_connectors.transfer.spool.open_shard import OpenShard, SegmentState
from skyhaul_connectors.transfer.spool.spool import OpenSpoolFile, Spool
from skyhaul_connectors.transfer.spool.verification import Verification


@dataclass(slots=True)
class _Entry:
    source: str
    lengths: Sequence[int]
    entered: bytearray
    next: int = 0
    taken: int = 0
    demanded: set[int] = field(default_factory=set)


class AdmissionQueue:
    """Who waits for room, and in which order they get it.

    Args:
        limit: Bytes.
        remnants: Bytes that earlier runs left on the disk, by shard number; they count until the shard is
            added.
        sources: Names of the haul's sources; where none are named, all room is one source's.

    Attributes:
        taken: Bytes in use or promised.
    """

    def __init__(
        self, limit: int, remnants: Mapping[int, int] | None = None, sources: Sequence[str] = ("",)
    ) -> None:
        self._limit = limit
        # Half, so that a source alone at work still fills half of the spool and more.
        self._own = limit // (2 * len(sources)) if len(sources) > 1 else 0
        self._taken_by = dict.fromkeys(sources, 0)
        self._entries: dict[int, _Entry] = {}
        self._remnants = dict(remnants or {})
        self.taken = sum(self._remnants.values())
        self._blocked: frozenset[str] = frozenset()

    @property
    def blocked(self) -> bool:
        """Whether a segment waited for room when it was last looked at."""
        return bool(self._blocked)

    def has_room(self, source: str | None = None) -> bool:
        """Whether another shard of the source makes sense now; None: of any."""
        if source is None:
            return not self.blocked and self.taken < self._limit
        return source not in self._blocked and self._fits(source, 1)

    def add(
        self, shard: int, lengths: Iterable[int], inside: Iterable[int], *, number: int, source: str = ""
    ) -> None:
        """A shard claimed after all before it.

        Args:
            shard: Whatever the caller calls this fetch.
            lengths: Of its segments, bytes.
            inside: Segments with bytes in the spool already.
            number: The plan's, for what an earlier fetch of the same shard had left.
            source: Its name."""
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
        """(shard, segment) of all that enter now.

        Args:
            idle: Nothing that has entered comes in any more.
            reclaiming: Room is being made, so that nothing enters beyond the limit yet."""
        admitted: list[tuple[int, int]] = []
        blocked: set[str] = set()
        oldest = True
        for shard, entry in self._entries.items():
            if entry.source in blocked:
                continue
            while entry.next < len(entry.lengths):
                # Those that were inside, or demanded and let in out of turn, have entered before.
                if not entry.entered[entry.next]:
                    fits = self._fits(entry.source, entry.lengths[entry.next])
                    # Who waits for the oldest shard drops its segments only after it got them: without this a
                    # reader that needs two at once, and a limit below the two, wait for each other.
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
        """Forget the shard. keep_as: its number, under which bytes that stay on the disk count on."""
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
        """Whether there is room for so much more of the source, less what others have a right to.

        The first segment of a source need not spare them, or those that are large against the limit would
        all wait."""
        if not self._taken_by[source]:
            return self.taken + length <= self._limit
        kept = sum(max(0, self._own - taken) for other, taken in self._taken_by.items() if other != source)
        return self.taken + length <= self._limit - kept


class SpoolQuota:
    """The spool's limit, applied to the shards that are open. On the loop's thread, except where said.

    It admits segments, and makes room by giving what was dropped back to the disk.

    Args:
        limit: Bytes.
        spool: Whose files are punched; `spool.remnants` counts against the limit.
        journal: Runs the spool's jobs in order.
        shards: The open shards by key; the engine adds and removes.
        verification: Told of stretches that read wrong while room was made.
        events: Told of each segment that is admitted, and of errors.
        sources: Names of the haul's sources, which share half of the room evenly."""

    def __init__(
        self,
        limit: int,
        spool: Spool,
        journal: Background,
        shards: Mapping[int, OpenShard],
        verification: Verification,
        events: SpoolEvents,
        sources: Sequence[str],
    ) -> None:
        self._admission = AdmissionQueue(limit, spool.remnants, sources)
        self._spool = spool
        self._journal = journal
        self._shards = shards
        self._verification = verification
        self._events = events
        self._punching = 0

    def free(self, source: str | None = None) -> bool:
        """Whether another shard of the source makes sense now; None: of any."""
        return self._admission.has_room(source)

    @property
    def taken(self) -> int:
        """Bytes of room in use or promised."""
        return self._admission.taken

    def add(self, shard: OpenShard, inside: list[int]) -> None:
        """The shard's segments queue up; those `inside` have bytes in the spool already."""
        lengths = [segment.length for segment in shard.map.segments]
        self._admission.add(shard.key, lengths, inside, number=shard.number, source=shard.source)
        # A reader may have asked before the spool file was open.
        for segment in sorted(shard.demanded):
            self._admission.demand(shard.key, segment)

    def demand(self, shard: OpenShard, segment: int) -> None:
        """Somebody waits for the segment."""
        shard.demanded.add(segment)
        self._admission.demand(shard.key, segment)
        self.look()

    def drop(self, shard: OpenShard, segment: int) -> None:
        """The segment was used up; its whole blocks leave the disk once room is needed."""
        if shard.states[segment] == SegmentState.IN:
            shard.set_state(segment, SegmentState.DROPPED)
            shard.dropped.add(*shard.map.stretch(segment))
            self.look()

    def cancel(self, shard: OpenShard) -> None:
        """Let no further segment of the shard in: it ended."""
        self._admission.cancel(shard.key)
        self.look()

    def leave(self, shard: OpenShard, *, kept: bool) -> None:
        """Forget the shard. kept: its bytes stay on the disk, and go on taking room."""
        self._admission.leave(shard.key, keep_as=shard.number if kept else None)
        self.look()

    def look(self) -> None:
        """Let segments in that wait for room, if there is some now."""
        if self._admission.blocked:
            self.admit()

    def admit(self) -> None:
        """Let in what fits."""
        reclaiming = self._punching > 0 or any(
            shard.whole_blocks_dropped() for shard in self._shards.values() if shard.error is None
        )
        for key, segment in self._admission.admit(idle=self._events.nothing_moves(), reclaiming=reclaiming):
            shard = self._shards.get(key)
            if shard is not None and shard.error is None:
                self._events.admitted(shard, segment)
        # Holes are punched only when somebody waits for room: until then a dropped segment costs nothing.
        if self._admission.blocked and not self._punching:
            for shard in list(self._shards.values()):
                stretches = shard.whole_blocks_dropped() if shard.error is None else []
                if stretches and shard.spooled is not None:
                    self._punch(shard, shard.spooled, stretches)

    def _punch(self, shard: OpenShard, spooled: OpenSpoolFile, stretches: list[Stretch]) -> None:
        self._punching += 1
        freed = sum(stop - start for start, stop in stretches)
        # At once, on the loop's thread: from here on nothing may count on these bytes.
        for start, stop in stretches:
            shard.punched.add(start, stop)
            shard.durable.remove(start, stop)

        def punched(lost: list[Stretch]) -> None:
            self._punching -= 1
            self._admission.freed(shard.key, freed)
            if lost:
                self._verification.lost(shard, lost)
            self.admit()

        def failed(error: BaseException) -> None:
            self._punching -= 1
            self._events.shard_failed(shard, error)

        self._journal.submit(lambda: self._spool.drop(spooled, stretches, punch=True), punched, failed)
