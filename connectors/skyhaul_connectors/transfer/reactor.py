"""The engine on an asyncio loop: shards in, journaled segments out.

Works the same in life and in virtual time: of the loop it uses `time`, `call_soon`, `call_later` and
`call_at`; whatever blocks goes to a `Background`. All methods are called on the loop's thread.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence

from skyhaul_connectors.transfer.admission import Admission
from skyhaul_connectors.transfer.background import Background
from skyhaul_connectors.transfer.checksum import PIECE, matches
from skyhaul_connectors.transfer.disk import Disk, PosixDisk
from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch
from skyhaul_connectors.transfer.open_shard import OpenShard, SegmentState
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_connectors.transfer.settings import EngineSettings, SourceLanes
from skyhaul_connectors.transfer.source_driver import SourceDriver
from skyhaul_connectors.transfer.spool import Batch, Committed, OpenSpoolFile, Spool
from skyhaul_connectors.transfer.work import Count, Work
from skyhaul_schemas.errors import (
    ChecksumMismatch,
    DeferredError,
    DiskFull,
    SkyhaulError,
    StorageError,
)
from skyhaul_schemas.plan import PinnedObject

COMMIT_EVERY = 0.2
"""Seconds between group commits while bytes arrive."""

REFETCHES = 3
"""How often an object with a wrong checksum is fetched again."""

_DIRECT = -1


class TransferEngine:
    """Fetches shards. Raises, on construction, UsageError (spool in use), SpoolDamaged, StorageError.

    journal: background for syncs, digests and the journal, in order. checker: background for whole-object
    checksums, which may take seconds and must not hold commits up.
    """

    def __init__(
        self,
        sources: Mapping[str, SourceLanes],
        settings: EngineSettings,
        *,
        loop: asyncio.AbstractEventLoop,
        journal: Background,
        checker: Background,
        disk: Disk | None = None,
    ) -> None:
        self.settings = settings
        self._loop = loop
        self._journal = journal
        self._checker = checker
        self._spool = Spool(settings.spool, settings.plan, disk or PosixDisk())
        self._admission = Admission(settings.spool_limit, self._spool.remnants)
        self.drivers = {
            name: SourceDriver(name, lanes, settings, loop, self._gave_up, self._idle)
            for name, lanes in sources.items()
        }
        self.resumed_bytes = 0
        self._keys = itertools.count()
        self._shards: dict[int, OpenShard] = {}
        self._key_of: dict[OpenShard, int] = {}
        self._direct: dict[int, Callable[[BaseException], None]] = {}
        self._dirty: dict[OpenShard, None] = {}
        self._committing = False
        self._commit_due: asyncio.TimerHandle | None = None
        self._commit_began = float("-inf")
        self._reclaiming = 0
        self._stopped: BaseException | None = None
        self._flushed: list[Callable[[], None]] = []

    # -- what callers ask for

    def fetch(self, number: int, source: str, segments: Sequence[Segment]) -> OpenShard:
        """Fetch the segments of a shard; what the journal holds of them is not fetched again."""
        shard = OpenShard(number, source, AddressMap(segments))
        self.begin(shard)
        return shard

    def begin(self, shard: OpenShard) -> None:
        """`fetch` of a shard that was made elsewhere."""
        key = next(self._keys)
        self._shards[key] = shard
        self._key_of[shard] = key
        if self._stopped is not None:
            shard.end(self._stopped)
            return
        shard.opening = True

        def failed(error: BaseException) -> None:
            shard.opening = False
            self._failed(shard, error)

        self._journal.submit(
            lambda: self._spool.open(shard.number, shard.map),
            lambda spooled: self._opened(shard, spooled),
            failed,
        )

    def demand(self, shard: OpenShard, segment: int) -> None:
        """Somebody waits for the segment: it enters the spool when nothing else can move."""
        shard.demanded.add(segment)
        key = self._key_of.get(shard)
        if key is not None:
            self._admission.demand(key, segment)
            if self._admission.blocked:
                self._admit()

    def drop(self, shard: OpenShard, segment: int) -> None:
        """The segment was used; it leaves the spool once room is needed."""
        if shard.states[segment] == SegmentState.IN:
            shard.set_state(segment, SegmentState.DROPPED)
            shard.dropped.add(*shard.map.stretch(segment))
            if self._admission.blocked:
                self._admit()

    def reads_wrong(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Bytes that are in do not match their digests: fetch them again. The segments are out until then."""
        if self._stopped is not None:
            shard.end(self._stopped)
        elif shard.error is None and shard.spooled is not None:
            self._out(shard, stretches)
            self._refetch(shard, stretches)

    def read_direct(
        self,
        shard: OpenShard,
        obj: PinnedObject,
        offset: int,
        length: int,
        done: Callable[[bytes], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Fetch bytes that are in no segment, before anything else, past the spool."""
        if self._stopped is not None:
            failed(self._stopped)
            return
        buffer = bytearray(length)
        key = next(self._keys)
        driver = self.drivers[shard.source]

        def write(position: int, data: bytes | memoryview) -> None:
            buffer[position : position + len(data)] = data

        def complete() -> None:
            del self._direct[key]
            driver.scheduler.remove(key)
            done(bytes(buffer))

        work = Work(key, _DIRECT, AddressMap([Segment(obj, offset, length)]), write)
        if shard.work is not None:
            work.counts = shard.work.counts
        work.complete = complete
        self._direct[key] = failed
        driver.scheduler.add(work)
        driver.scheduler.want(key, 0, self._loop.time())
        driver.poke()

    def release(self, shard: OpenShard, *, keep: bool) -> None:
        """The caller is through with the shard. Without `keep` nothing of it stays in the spool."""
        if shard.released is None:
            shard.released = keep
            shard.forget_cache()
            shard.end(StorageError(f"shard {shard.number} was released"))
            self._finish_release(shard)

    def stop(self, reason: DeferredError, flushed: Callable[[], None]) -> None:
        """All fetches end with the reason; `flushed` is called once the journal says what arrived."""
        self._end_all(reason)
        for driver in self.drivers.values():
            driver.stop()
        self._flushed.append(flushed)
        self._commit_now()

    def crash(self, error: BaseException) -> None:
        """A bug: every fetch ends with it, so that it comes up where somebody waits."""
        self._end_all(error)

    def close(self) -> None:
        """Stop without a reason, and let go of the spool. The loop may be closed afterwards."""
        for driver in self.drivers.values():
            driver.stop()
        if self._commit_due is not None:
            self._commit_due.cancel()
        for shard in self._shards.values():
            if shard.spooled is not None:
                self._close_kept(shard, shard.spooled)
                shard.spooled = None
        self._checker.close()
        self._journal.submit(self._spool.close, lambda done: None, lambda error: None)
        self._journal.close()

    @property
    def backlog(self) -> int:
        """Bytes that were asked for and are not in. Any thread."""
        return sum(shard.waiting_bytes for shard in list(self._shards.values()))

    @property
    def has_room(self) -> bool:
        return self._admission.has_room

    @property
    def spool_bytes(self) -> int:
        return self._admission.taken

    # -- a shard's way

    def _opened(self, shard: OpenShard, spooled: OpenSpoolFile) -> None:
        shard.opening = False
        shard.spooled = spooled
        key = self._key_of[shard]
        held = spooled.held.stretches()
        shard.durable = IntervalSet(held)
        self.resumed_bytes += shard.durable.total
        shard.work = Work(
            key,
            key,
            shard.map,
            lambda position, data: self._write(shard, position, data),
            arrived=IntervalSet(held),
            again=IntervalSet(spooled.lost),
            counts={
                link: Count(c.payload_bytes, c.wire_bytes, c.resent_bytes)
                for link, c in spooled.counts.items()
            },
        )
        if shard.released is not None:
            self._finish_release(shard)
            return
        if shard.error is not None:
            return
        inside = {segment for start, stop in held for segment in shard.map.touched(start, stop)}
        inside.update(i for i, segment in enumerate(shard.map.segments) if not segment.length)
        lengths = [segment.length for segment in shard.map.segments]
        self._admission.add(key, lengths, sorted(inside), number=shard.number)
        self.drivers[shard.source].scheduler.add(shard.work)
        for segment in sorted(inside):
            self._want(shard, segment)
        for segment in sorted(shard.demanded):
            self._admission.demand(key, segment)
        self._admit()

    def _want(self, shard: OpenShard, segment: int) -> None:
        shard.set_state(segment, SegmentState.WANTED)
        driver = self.drivers[shard.source]
        driver.scheduler.want(self._key_of[shard], segment, self._loop.time())
        driver.poke()
        self._look_at(shard, segment)

    def _admit(self) -> None:
        idle = not any(driver.scheduler.missing for driver in self.drivers.values())
        reclaiming = self._reclaiming > 0 or any(
            shard.whole_blocks_dropped() for shard in self._shards.values() if shard.error is None
        )
        for key, segment in self._admission.admit(idle=idle, reclaiming=reclaiming):
            shard = self._shards.get(key)
            if shard is not None and shard.error is None:
                self._want(shard, segment)
        if self._admission.blocked and not self._reclaiming:
            self._reclaim()

    def _reclaim(self) -> None:
        """Punch what was dropped out of the spool files."""
        for shard in list(self._shards.values()):
            stretches = shard.whole_blocks_dropped() if shard.error is None else []
            if stretches and shard.spooled is not None:
                self._punch(shard, shard.spooled, stretches)

    def _punch(self, shard: OpenShard, spooled: OpenSpoolFile, stretches: list[Stretch]) -> None:
        self._reclaiming += 1
        freed = 0
        for start, stop in stretches:
            shard.punched.add(start, stop)
            shard.durable.remove(start, stop)
            freed += stop - start

        def punched(lost: list[Stretch]) -> None:
            self._reclaiming -= 1
            self._admission.freed(self._key_of.get(shard, -1), freed)
            if lost:
                self._out(shard, lost)
                self._again(shard, lost)
            self._admit()

        def failed(error: BaseException) -> None:
            self._reclaiming -= 1
            self._failed(shard, error)

        self._journal.submit(lambda: self._spool.drop(spooled, stretches, punch=True), punched, failed)

    def _write(self, shard: OpenShard, position: int, data: bytes | memoryview) -> None:
        assert shard.spooled is not None
        shard.spooled.file.write(position, data)
        shard.pending.add(position, position + len(data))
        self._mark_dirty(shard)

    def _look_at(self, shard: OpenShard, segment: int) -> None:
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

    def _check(self, shard: OpenShard, segment: int, checksum: str) -> None:
        assert shard.spooled is not None
        shard.set_state(segment, SegmentState.CHECKING)
        shard.checks += 1
        file = shard.spooled.file
        start, stop = shard.map.stretch(segment)

        def sound() -> bool:
            return matches(
                checksum, (file.read(at, min(PIECE, stop - at)) for at in range(start, stop, PIECE))
            )

        def checked(holds: bool) -> None:
            shard.checks -= 1
            if shard.released is not None:
                self._finish_release(shard)
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
        stretch = shard.map.stretch(segment)
        self._out(shard, [stretch])
        self._refetch(shard, [stretch])
        if tries > REFETCHES or not wanted.length:
            self._fail(
                shard,
                ChecksumMismatch(
                    f"{shard.source}: {wanted.object.path!r} arrived {tries} times and never had its checksum"
                    f" {checksum}; the source's list or the object is wrong"
                ),
            )

    def _out(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        for start, stop in stretches:
            shard.durable.remove(start, stop)
            for segment in shard.map.touched(start, stop) if start < stop else ():
                if shard.states[segment] in (SegmentState.IN, SegmentState.CHECKING):
                    shard.set_state(segment, SegmentState.WANTED)

    def _refetch(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        spooled = shard.spooled
        assert spooled is not None
        wrong = [(start, stop) for start, stop in stretches if start < stop]

        def dropped(lost: list[Stretch]) -> None:
            self._out(shard, lost)
            self._again(shard, [*wrong, *lost])

        self._journal.submit(
            lambda: self._spool.drop(spooled, wrong, punch=False),
            dropped,
            lambda error: self._failed(shard, error),
        )

    def _again(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        if shard.error is None:
            driver = self.drivers[shard.source]
            driver.scheduler.again(self._key_of[shard], stretches, self._loop.time())
            driver.poke()

    # -- group commits

    def _mark_dirty(self, shard: OpenShard) -> None:
        self._dirty[shard] = None
        if self._commit_due is None and not self._committing:
            due = max(self._loop.time(), self._commit_began + COMMIT_EVERY)
            self._commit_due = self._loop.call_at(due, self._commit_now)

    def _idle(self) -> None:
        """Nothing is missing at one source: do not let what arrived wait for its commit."""
        if not self._committing:
            self._commit_now()
        if self._admission.blocked:
            self._admit()

    def _commit_now(self) -> None:
        if self._commit_due is not None:
            self._commit_due.cancel()
            self._commit_due = None
        if self._committing:
            return
        shards = [shard for shard in self._dirty if shard.spooled is not None]
        self._dirty.clear()
        if not shards:
            self._tell_flushed()
            return
        batches = [self._batch(shard, shard.spooled) for shard in shards if shard.spooled is not None]
        self._committing = True
        self._commit_began = self._loop.time()
        self._journal.submit(
            lambda: self._spool.commit(batches), lambda answers: self._committed(shards, answers), self.crash
        )

    def _batch(self, shard: OpenShard, spooled: OpenSpoolFile) -> Batch:
        arrived = list(shard.pending)
        shard.pending = IntervalSet()
        return Batch(spooled, arrived, shard.counts())

    def _committed(self, shards: list[OpenShard], answers: list[Committed]) -> None:
        self._committing = False
        for shard, answer in zip(shards, answers, strict=True):
            if answer.error is not None:
                self._failed(shard, answer.error)
            elif answer.replaced:
                self._replaced(shard)
            else:
                self._gained(shard, answer)
        if self._stopped is not None or (self._dirty and self._all_arrived()):
            self._commit_now()
        elif self._dirty:
            self._mark_dirty(next(iter(self._dirty)))

    def _all_arrived(self) -> bool:
        return not any(driver.scheduler.missing for driver in self.drivers.values())

    def _gained(self, shard: OpenShard, answer: Committed) -> None:
        for start, stop in answer.gained:
            shard.durable.add(start, stop)
        if shard.error is not None:
            return
        for start, stop in answer.gained:
            for segment in shard.map.touched(start, stop):
                self._look_at(shard, segment)
        if answer.lost:
            self._out(shard, answer.lost)
            self._again(shard, answer.lost)

    def _replaced(self, shard: OpenShard) -> None:
        """The file's sync failed: all of it is fetched again into a new one, once."""
        shard.replaced += 1
        shard.pending = IntervalSet()
        self._dirty.pop(shard, None)
        shard.durable = IntervalSet()
        if shard.replaced > 1:
            self._fail(
                shard,
                StorageError(
                    f"the spool's disk twice failed to sync the file of shard {shard.number}; change it"
                ),
            )
            return
        assert shard.work is not None
        everything = list(shard.work.arrived)
        self._out(shard, everything)
        self._again(shard, everything)

    def _tell_flushed(self) -> None:
        told, self._flushed = self._flushed, []
        for call in told:
            call()

    # -- ends

    def _gave_up(self, key: int, error: SkyhaulError) -> None:
        """The scheduler gave the work up, or its bytes could not be written."""
        direct = self._direct.pop(key, None)
        if direct is not None:
            direct(error)
            return
        shard = self._shards.get(key)
        if shard is not None:
            shard.end(error)
            self._idle()

    def _fail(self, shard: OpenShard, error: BaseException) -> None:
        shard.end(error)
        if shard.work is not None:
            self.drivers[shard.source].scheduler.remove(shard.work.key)
        if self._admission.blocked:
            self._admit()

    def _failed(self, shard: OpenShard, error: BaseException) -> None:
        """A background job for the shard raised. Anything but an error of ours is a bug."""
        if isinstance(error, SkyhaulError):
            self._fail(shard, error)
            if shard.released is not None:
                self._finish_release(shard)
        else:
            self.crash(error)

    def _finish_release(self, shard: OpenShard) -> None:
        """Let go of a released shard, unless it is being opened or checked right now."""
        key = self._key_of.get(shard)
        if key is None or shard.checks or shard.opening:
            return
        if shard.work is not None:
            self.drivers[shard.source].scheduler.remove(shard.work.key)
        del self._key_of[shard]
        del self._shards[key]
        spooled, shard.spooled = shard.spooled, None
        self._dirty.pop(shard, None)
        if shard.released or spooled is None:
            if spooled is not None:
                self._close_kept(shard, spooled)
            self._admission.leave(key, keep_as=shard.number)
            self._admit()
            return

        def removed(done: None) -> None:
            self._admission.leave(key, keep_as=None)
            self._admit()

        def failed(error: BaseException) -> None:
            self._admission.leave(key, keep_as=None)
            if not isinstance(error, DiskFull | StorageError):
                self.crash(error)

        self._journal.submit(lambda: self._spool.remove(spooled), removed, failed)

    def _close_kept(self, shard: OpenShard, spooled: OpenSpoolFile) -> None:
        batch = self._batch(shard, spooled)

        def keep() -> None:
            if batch.arrived:
                self._spool.commit([batch])
            spooled.file.close()

        self._journal.submit(keep, lambda done: None, self.crash)

    def _end_all(self, error: BaseException) -> None:
        if self._stopped is None:
            self._stopped = error
        for shard in list(self._shards.values()):
            if shard.waiting_bytes:
                shard.end(error)
            if shard.work is not None:
                self.drivers[shard.source].scheduler.remove(shard.work.key)
        for failed in list(self._direct.values()):
            failed(error)
        self._direct.clear()
