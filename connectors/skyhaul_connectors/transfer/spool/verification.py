"""How a segment gets in: its bytes are journaled, and have the digests that its list states.

Else they come again."""

from __future__ import annotations

from collections.abc import Sequence

from skyhaul_connectors.transfer.background import Background
from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch
from skyhaul_connectors.transfer.spool.checksum import REFETCHES, block_mismatch, has_checksum, has_sha256
from skyhaul_connectors.transfer.spool.events import SpoolEvents
from skyhaul_connectors.transfer.spool.extents import BLOCK
from skyhaul_connectors.transfer.spool.open_shard import OpenShard, ReadsWrong, SegmentState
from skyhaul_connectors.transfer.spool.spool import Committed, Spool
from skyhaul_connectors.transfer.spool.verified_blocks import DueBlock
from skyhaul_schemas.errors import ChecksumMismatch, StorageError


class Verification:
    """Moves segments from wanted to in, and back when what they hold proves wrong.

    Args:
        spool: Whose journal lets go of what reads wrong.
        journal: Runs the spool's jobs in order.
        checker: Runs digests, which may take seconds and must not hold commits up.
        events: Told what has to be fetched again, and which shards fail.
    """

    def __init__(
        self,
        spool: Spool,
        journal: Background,
        checker: Background,
        events: SpoolEvents,
    ) -> None:
        self._spool = spool
        self._journal = journal
        self._checker = checker
        self._events = events

    def look_at(self, shard: OpenShard, segment: int, fresh: Stretch | None = None) -> None:
        """Is the segment in? If so it may be read from now on.

        All its bytes must be journaled, each of its blocks must have its digest, and its object's checksum
        must hold.

        Args:
            shard: Whose segment.
            segment: By its index.
            fresh: Positions that were journaled since the last look; None: all of it."""
        if shard.states[segment] != SegmentState.WANTED:
            return
        stretch = shard.map.stretch(segment)
        due = shard.verified_blocks.due(segment, stretch if fresh is None else fresh, shard.durable)
        if due:
            self._check_blocks(shard, segment, due)
        if not shard.durable.covers(*stretch) or not shard.verified_blocks.all_verified(segment):
            return
        wanted = shard.map.segments[segment]
        if wanted.object.checksum is None or not wanted.whole:
            shard.set_state(segment, SegmentState.IN)
        else:
            self._check(shard, segment, wanted.object.checksum)

    def committed(self, shard: OpenShard, answer: Committed) -> None:
        """Take in what a group commit made of the shard's bytes."""
        if answer.error is not None:
            self._events.shard_failed(shard, answer.error)
        elif answer.replaced:
            self._replaced(shard)
        else:
            for start, stop in answer.gained:
                shard.durable.add(start, stop)
            if shard.error is None:
                for start, stop in answer.gained:
                    for segment in shard.map.touched(start, stop):
                        self.look_at(shard, segment, (start, stop))
                # What arrived well and reads wrong is the disk's fault: fetched again, but not for ever.
                self.lost(shard, answer.lost)
                self._blame_the_disk(shard, answer.lost)

    def lost(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Fetch stretches again that the journal no longer holds."""
        if stretches:
            self._take_out(shard, stretches)
            self._events.fetch_again(shard, stretches)

    def reads_wrong(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Take stretches that do not match their digests out of the journal, and fetch them again."""
        spooled = shard.spooled
        if spooled is None:
            return
        # Out before the journal is told, so that nobody reads them meanwhile; fetched only after it has let
        # go of them, or what arrives anew would count as in already.
        self._take_out(shard, stretches)
        wrong = [(start, stop) for start, stop in stretches if start < stop]
        self._journal.submit(
            lambda: self._spool.drop(spooled, wrong, punch=False),
            lambda neighbours: self.lost(shard, [*wrong, *neighbours]),
            lambda error: self._events.shard_failed(shard, error),
        )

    def _blame_the_disk(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Count stretches for which the disk had other bytes than arrived; too many fail the shard."""
        for block in {n for start, stop in stretches for n in range(start // BLOCK, -(-stop // BLOCK))}:
            shard.lost[block] = shard.lost.get(block, 0) + 1
            if shard.lost[block] > REFETCHES:
                error = StorageError(
                    f"the spool's disk has other bytes than were written to the file of shard {shard.number},"
                    f" again and again, near byte {block * BLOCK}; check the disk, or use another one"
                )
                self._events.shard_failed(shard, error)
                return

    def _rotten(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        if stretches:
            self.reads_wrong(shard, stretches)
            self._blame_the_disk(shard, stretches)

    def _check_blocks(self, shard: OpenShard, segment: int, due: Sequence[DueBlock]) -> None:
        # Counted, for the check reads the file on its own thread: until it ends the shard is not let go.
        shard.checks += 1

        def checked_blocks() -> tuple[list[DueBlock], list[DueBlock], list[Stretch]]:
            """Blocks with other bytes than the list states; blocks that read unlike they came; and where."""
            wrong: list[DueBlock] = []
            unread: list[DueBlock] = []
            rotten: list[Stretch] = []
            for block in due:
                try:
                    if not has_sha256(block.digest, shard.verified(block.start, block.stop)):
                        wrong.append(block)
                except ReadsWrong as found:
                    unread.append(block)
                    rotten.append(found.stretch)
            return wrong, unread, rotten

        def checked(found: tuple[list[DueBlock], list[DueBlock], list[Stretch]]) -> None:
            wrong, unread, rotten = found
            shard.checks -= 1
            if shard.released is not None:
                self._events.check_ended(shard)
            elif shard.error is None:
                shard.verified_blocks.undecided(unread)
                self._wrong_blocks(shard, segment, shard.verified_blocks.settle(due, wrong))
                self._rotten(shard, rotten)
                # Nothing is fresh: only asks whether the segment is in by now.
                self.look_at(shard, segment, (0, 0))

        def failed(error: BaseException) -> None:
            shard.checks -= 1
            self._events.shard_failed(shard, error)

        self._checker.submit(checked_blocks, checked, failed)

    def _wrong_blocks(self, shard: OpenShard, segment: int, wrong: Sequence[tuple[DueBlock, int]]) -> None:
        if not wrong:
            return
        self.reads_wrong(shard, [(block.start, block.stop) for block, _ in wrong])
        worst, tries = max(wrong, key=lambda found: found[1])
        if tries > REFETCHES:
            self._events.shard_failed(
                shard, block_mismatch(shard.map.segments[segment].object, worst.number, tries)
            )

    def _check(self, shard: OpenShard, segment: int, checksum: str) -> None:
        # A state of its own, so that a second look does not begin a second check.
        shard.set_state(segment, SegmentState.CHECKING)
        shard.checks += 1

        def sound() -> bool | Stretch:
            """Whether what arrived has the checksum; or what the disk could not give back as it arrived."""
            try:
                return has_checksum(checksum, shard.verified(*shard.map.stretch(segment)))
            except ReadsWrong as found:
                return found.stretch

        def checked(found: bool | Stretch) -> None:
            shard.checks -= 1
            if shard.released is not None:
                self._events.check_ended(shard)
            elif shard.error is None and shard.states[segment] == SegmentState.CHECKING:
                if found is True:
                    shard.set_state(segment, SegmentState.IN)
                elif found is False:
                    self._mismatch(shard, segment, checksum)
                else:
                    self._rotten(shard, [found])

        def failed(error: BaseException) -> None:
            shard.checks -= 1
            self._events.shard_failed(shard, error)

        self._checker.submit(sound, checked, failed)

    def _mismatch(self, shard: OpenShard, segment: int, checksum: str) -> None:
        wanted = shard.map.segments[segment]
        if wanted.object.blocks is not None:
            # To fetch again what has its digests would change nothing.
            error = ChecksumMismatch(
                f"{shard.source}: {wanted.object.path!r} has the digests of all its blocks, but not its"
                f" checksum {checksum}; the source's list contradicts itself"
            )
            self._events.shard_failed(shard, error)
            return
        tries = shard.mismatches[segment] = shard.mismatches.get(segment, 0) + 1
        self.reads_wrong(shard, [shard.map.stretch(segment)])
        if tries > REFETCHES or not wanted.length:
            error = ChecksumMismatch(
                f"{shard.source}: {wanted.object.path!r} arrived {tries} times and never had its checksum"
                f" {checksum}; the source's list or the object is wrong"
            )
            self._events.shard_failed(shard, error)

    def _take_out(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        for start, stop in stretches:
            shard.durable.remove(start, stop)
            shard.verified_blocks.lost(start, stop)
            for segment in shard.map.touched(start, stop) if start < stop else ():
                if shard.states[segment] in (SegmentState.IN, SegmentState.CHECKING):
                    shard.set_state(segment, SegmentState.WANTED)

    def _replaced(self, shard: OpenShard) -> None:
        """Fetch all of the shard again, into a new file, once: the old one's sync failed."""
        shard.replaced += 1
        if shard.spooled is not None:
            shard.spooled.file.forget()
        shard.durable = IntervalSet()
        shard.verified_blocks.lost(0, shard.map.length)
        if shard.replaced > 1:
            place = f"the file of shard {shard.number}"
            self._events.shard_failed(
                shard, StorageError(f"the spool's disk twice failed to sync {place}; use another disk")
            )
        elif shard.work is not None:
            self.lost(shard, list(shard.work.arrived))
