"""How a segment gets in: its bytes are journaled, its object's checksum holds; else they come again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skyhaul_connectors.transfer.background import Background
from skyhaul_connectors.transfer.checksum import PIECE, matches
from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch
from skyhaul_connectors.transfer.open_shard import OpenShard, SegmentState
from skyhaul_connectors.transfer.spool import Committed, Spool
from skyhaul_schemas.errors import ChecksumMismatch, StorageError

REFETCHES = 3
"""How often an object with a wrong checksum is fetched again."""


class Intake:
    """Moves segments from wanted to in, and back when what they hold proves wrong.

    again: has stretches fetched once more. failed: ends a shard with an error. released: a shard that
    was waiting for its check may be let go.
    """

    def __init__(
        self,
        spool: Spool,
        journal: Background,
        checker: Background,
        again: Callable[[OpenShard, Sequence[Stretch]], None],
        failed: Callable[[OpenShard, BaseException], None],
        released: Callable[[OpenShard], None],
    ) -> None:
        self._spool = spool
        self._journal = journal
        self._checker = checker
        self._again = again
        self._failed = failed
        self._released = released

    def look_at(self, shard: OpenShard, segment: int) -> None:
        """Is the segment in? All its bytes must be journaled, and its object's checksum must hold."""
        if shard.states[segment] != SegmentState.WANTED:
            return
        if not shard.durable.covers(*shard.map.stretch(segment)):
            return
        wanted = shard.map.segments[segment]
        if wanted.object.checksum is None or not wanted.whole:
            shard.set_state(segment, SegmentState.IN)
        else:
            self._check(shard, segment, wanted.object.checksum)

    def committed(self, shard: OpenShard, answer: Committed) -> None:
        """A group commit ended."""
        if answer.error is not None:
            self._failed(shard, answer.error)
        elif answer.replaced:
            self._replaced(shard)
        else:
            for start, stop in answer.gained:
                shard.durable.add(start, stop)
            if shard.error is None:
                for start, stop in answer.gained:
                    for segment in shard.map.touched(start, stop):
                        self.look_at(shard, segment)
                self.lost(shard, answer.lost)

    def lost(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Stretches that the journal holds no more have to come again."""
        if stretches:
            self._take_out(shard, stretches)
            self._again(shard, stretches)

    def reads_wrong(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Stretches do not match their digests: out of the journal, and fetched again."""
        spooled = shard.spooled
        if spooled is None:
            return
        self._take_out(shard, stretches)
        wrong = [(start, stop) for start, stop in stretches if start < stop]
        self._journal.submit(
            lambda: self._spool.drop(spooled, wrong, punch=False),
            lambda neighbours: self.lost(shard, [*wrong, *neighbours]),
            lambda error: self._failed(shard, error),
        )

    def _check(self, shard: OpenShard, segment: int, checksum: str) -> None:
        assert shard.spooled is not None
        shard.set_state(segment, SegmentState.CHECKING)
        shard.checks += 1
        file = shard.spooled.file
        start, stop = shard.map.stretch(segment)

        def sound() -> bool:
            pieces = (file.read(at, min(PIECE, stop - at)) for at in range(start, stop, PIECE))
            return matches(checksum, pieces)

        def checked(holds: bool) -> None:
            shard.checks -= 1
            if shard.released is not None:
                self._released(shard)
            elif shard.error is None and shard.states[segment] == SegmentState.CHECKING:
                if holds:
                    shard.set_state(segment, SegmentState.IN)
                else:
                    self._mismatch(shard, segment, checksum)

        def failed(error: BaseException) -> None:
            shard.checks -= 1
            self._failed(shard, error)

        self._checker.submit(sound, checked, failed)

    def _mismatch(self, shard: OpenShard, segment: int, checksum: str) -> None:
        wanted = shard.map.segments[segment]
        tries = shard.mismatches[segment] = shard.mismatches.get(segment, 0) + 1
        self.reads_wrong(shard, [shard.map.stretch(segment)])
        if tries > REFETCHES or not wanted.length:
            error = ChecksumMismatch(
                f"{shard.source}: {wanted.object.path!r} arrived {tries} times and never had its checksum"
                f" {checksum}; the source's list or the object is wrong"
            )
            self._failed(shard, error)

    def _take_out(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        for start, stop in stretches:
            shard.durable.remove(start, stop)
            for segment in shard.map.touched(start, stop) if start < stop else ():
                if shard.states[segment] in (SegmentState.IN, SegmentState.CHECKING):
                    shard.set_state(segment, SegmentState.WANTED)

    def _replaced(self, shard: OpenShard) -> None:
        """The file's sync failed: all of it is fetched again into a new one, once."""
        shard.replaced += 1
        shard.pending = IntervalSet()
        shard.durable = IntervalSet()
        if shard.replaced > 1:
            place = f"the file of shard {shard.number}"
            self._failed(
                shard, StorageError(f"the spool's disk twice failed to sync {place}; use another disk")
            )
        elif shard.work is not None:
            self.lost(shard, list(shard.work.arrived))
