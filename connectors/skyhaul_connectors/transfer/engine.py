"""The engine on an asyncio loop: shards in, journaled segments out.

Works the same in life and in virtual time: of the loop it uses `time`, `call_soon`, `call_later` and
`call_at`; whatever blocks goes to a `Background`. All methods are called on the loop's thread, except
where they say otherwise.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from skyhaul_connectors.transfer.background import Background
from skyhaul_connectors.transfer.direct_read import DirectRead
from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch
from skyhaul_connectors.transfer.schedule.fetch_task import Count, FetchTask
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_connectors.transfer.settings import EngineSettings, SourceLanes
from skyhaul_connectors.transfer.source_driver import SourceDriver
from skyhaul_connectors.transfer.spool.disk import Disk, PosixDisk
from skyhaul_connectors.transfer.spool.group_commit import GroupCommit, SpoolSink, take_batch
from skyhaul_connectors.transfer.spool.open_shard import OpenShard, SegmentState
from skyhaul_connectors.transfer.spool.quota import SpoolQuota
from skyhaul_connectors.transfer.spool.received_counts import ReceivedNotes
from skyhaul_connectors.transfer.spool.spool import Batch, OpenSpoolFile, Spool
from skyhaul_connectors.transfer.spool.verification import Verification
from skyhaul_schemas.errors import DeferredError, SkyhaulError, StorageError
from skyhaul_schemas.plan import PinnedObject


class TransferEngine:
    """Fetches shards. Raises, on construction, UsageError (spool in use), SpoolDamaged, StorageError.

    It is told by two protocols what happens: `SpoolEvents` by the parts of the spool, `SourceEvents` by the
    drivers of the sources.

    Args:
        sources: By name, each with its lanes.
        settings: Of the haul.
        loop: The running loop, real or virtual.
        journal: Background for syncs, digests of what arrived and the journal, in order.
        checker: Background for digests of objects and blocks: they take seconds and must not hold commits up.
        disk: The spool's file operations; None for the operating system's.
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
        self.resumed = dict.fromkeys(sources, 0)
        self._loop = loop
        self._journal = journal
        self._checker = checker
        self._spool = Spool(settings.spool, settings.plan, disk or PosixDisk())
        self._shards: dict[int, OpenShard] = {}
        self._reads: dict[int, DirectRead] = {}
        self._keys = itertools.count()
        self._stopped: BaseException | None = None
        self._verification = Verification(self._spool, journal, checker, self)
        self._commits = GroupCommit(loop, journal, self._spool, self._verification, self)
        self._notes = ReceivedNotes(loop, self._note)
        self._quota = SpoolQuota(
            settings.spool_limit,
            self._spool,
            journal,
            self._shards,
            self._verification,
            self,
            tuple(sources),
        )
        self.drivers = {
            name: SourceDriver(name, lanes, settings, loop, self) for name, lanes in sources.items()
        }

    # -- what callers ask for

    def fetch(self, number: int, source: str, segments: Sequence[Segment]) -> OpenShard:
        """Fetch the segments of a shard; what the journal holds of them is not fetched again."""
        shard = OpenShard(number, source, AddressMap(segments))
        self.begin(shard)
        return shard

    def begin(self, shard: OpenShard) -> None:
        """Begin to fetch a shard that the caller has made, as `fetch` does."""
        if any(other.number == shard.number for other in self._shards.values()):
            shard.end(ValueError(f"shard {shard.number} is being fetched already"))
            return
        shard.key = next(self._keys)
        self._shards[shard.key] = shard
        if self._stopped is not None:
            shard.end(self._stopped)
            return
        shard.opening = True

        def failed(error: BaseException) -> None:
            shard.opening = False
            self.shard_failed(shard, error)

        self._journal.submit(
            lambda: self._spool.open(shard.number, shard.map),
            lambda spooled: self._opened(shard, spooled),
            failed,
        )

    def demand(self, shard: OpenShard, segment: int) -> None:
        """Somebody waits for the segment: it enters the spool when nothing else can move."""
        self._quota.demand(shard, segment)

    def drop(self, shard: OpenShard, segment: int) -> None:
        """The segment was used; it leaves the spool once room is needed."""
        self._quota.drop(shard, segment)

    def reads_wrong(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Fetch stretches again that do not match their digests. Until then their segments are not in."""
        if self._stopped is not None:
            shard.end(self._stopped)
        elif shard.error is None:
            self._verification.reads_wrong(shard, stretches)

    def read_direct(
        self,
        shard: OpenShard,
        obj: PinnedObject,
        offset: int,
        length: int,
        done: Callable[[bytes], None],
        failed: Callable[[BaseException], None],
        *,
        again: bool = False,
    ) -> None:
        """Fetch bytes that are in no segment, before anything else, past the spool.

        Args:
            shard: Whose counts the bytes are added to.
            obj: The object.
            offset: Of the first byte in the object.
            length: Bytes, at least one; all are held in memory.
            done: Gets the bytes.
            failed: Gets what prevented them. One of the two is called, once.
            again: They came before and were wrong, so they count as re-sent.
        """
        if self._stopped is not None:
            failed(self._stopped)
            return
        scheduler = self.drivers[shard.source].scheduler
        key = next(self._keys)
        read = self._reads[key] = DirectRead(key, shard.source, Segment(obj, offset, length), done, failed)
        # One dictionary for both: the journal and the commit record count these bytes as the shard's.
        if shard.work is not None:
            read.work.counts = shard.work.counts
        if again:
            read.work.again.add(0, length)
        scheduler.add(read.work)
        scheduler.want(key, 0, self._loop.time())
        self.drivers[shard.source].wake()

    def release(self, shard: OpenShard, *, keep: bool) -> None:
        """Let go of the shard: its caller is done. Without `keep` nothing of it stays in the spool."""
        if shard.released is None:
            shard.released = keep
            shard.forget_cache()
            shard.end(StorageError(f"shard {shard.number} was released"))
            self._finish_release(shard)

    def set_pace(self, link: str, rate: float, *, redial: bool) -> None:
        """Ask for at most `rate` bit/s over the link; `redial` drops what is out on it, to be asked anew."""
        for driver in self.drivers.values():
            for lane in driver.lanes.lanes:
                if lane.link == link and lane.shared is not None:
                    lane.shared.set_pace(rate)
                    if redial:
                        driver.scheduler.reconnect(link)
                    driver.wake()

    def allow(self, source: str, connections: int, min_rate: float) -> None:
        """So many connections to the source from now on, which should bring so many bytes a second."""
        self.drivers[source].scheduler.allow(connections, min_rate)
        self.drivers[source].wake()

    def stop(self, reason: DeferredError, flushed: Callable[[], None]) -> None:
        """All fetches end with the reason; `flushed` is called once the journal says what arrived."""
        self._end_all(reason)
        for driver in self.drivers.values():
            driver.stop()
        self._commits.flush(flushed)

    def close(self) -> None:
        """Journal what arrived and let go of the spool. The loop may be closed afterwards."""
        for driver in self.drivers.values():
            driver.stop()
        self._commits.cancel()
        self._notes.cancel()
        for shard in self._shards.values():
            spooled, shard.spooled = shard.spooled, None
            if spooled is not None:
                self._close_kept(shard, spooled)
        self._checker.close()
        # In order, behind the last commits: the lock goes when nothing is written any more.
        self._journal.submit(self._spool.close, lambda done: None, lambda error: None)
        self._journal.close()

    @property
    def missing(self) -> int:
        """Bytes that are being fetched and have not arrived."""
        return sum(driver.scheduler.missing for driver in self.drivers.values())

    @property
    def resumed_bytes(self) -> int:
        """Bytes of earlier runs that were found sound in the spool; `resumed` has them by source."""
        return sum(self.resumed.values())

    def backlog(self, source: str | None = None) -> int:
        """Bytes that were asked for (of the source) and have not arrived. Any thread.

        By bytes and not by segments: what is left of a large segment must not look like a full link's work
        until its last byte is in."""
        missing = self.missing if source is None else self.drivers[source].scheduler.missing
        # Copied in one step, since the loop's thread adds and removes.
        shards = list(self._shards.values())
        return missing + sum(shard.queued_bytes for shard in shards if source in (None, shard.source))

    def has_room(self, source: str | None = None) -> bool:
        """Whether another shard (of the source) makes sense now. Any thread."""
        return self._quota.free(source)

    @property
    def spool_bytes(self) -> int:
        """Room that segments take or have been promised. Any thread."""
        return self._quota.taken

    # -- a shard's way

    def _opened(self, shard: OpenShard, spooled: OpenSpoolFile) -> None:
        shard.opening = False
        shard.spooled = spooled
        held = spooled.extents.stretches()
        shard.durable = IntervalSet(held)
        self.resumed[shard.source] += shard.durable.total
        shard.work = FetchTask(
            shard.key,
            shard.key,
            shard.map,
            SpoolSink(shard, spooled.file, self._notes, self._commits),
            arrived=IntervalSet(held),
            counts={
                link: Count(c.payload_bytes, c.wire_bytes, c.resent_bytes)
                for link, c in spooled.counts.items()
            },
        )
        inside = {segment for start, stop in held for segment in shard.map.touched(start, stop)}
        # An empty segment has nothing to wait for.
        inside.update(i for i, segment in enumerate(shard.map.segments) if not segment.length)
        self._quota.add(shard, sorted(inside))
        if shard.released is not None:
            self._finish_release(shard)
        elif shard.error is not None:
            self._quota.cancel(shard)
        else:
            self.drivers[shard.source].scheduler.add(shard.work)
            for segment in sorted(inside):
                self.admitted(shard, segment)
            self._quota.admit()

    def _note(self, shard: OpenShard) -> None:
        if shard.spooled is not None:
            self._spool.note(shard.spooled, shard.counts())

    # -- SourceEvents: what the drivers tell

    def task_complete(self, key: int) -> None:
        """A direct read has all its bytes. A shard's bytes are looked at once they are committed."""
        read = self._reads.pop(key, None)
        if read is not None:
            self.drivers[read.source].scheduler.remove(key)
            read.complete()

    def task_failed(self, key: int, error: SkyhaulError) -> None:
        """End the direct read, or the shard, with the error."""
        read = self._reads.pop(key, None)
        if read is not None:
            read.failed(error)
            return
        shard = self._shards.get(key)
        if shard is not None:
            self._fail(shard, error)
            self.nothing_missing()

    def nothing_missing(self) -> None:
        """Commit at once: nothing more is coming that could share the commit."""
        self._commits.now()
        self._quota.look()

    # -- SpoolEvents: what verification, commits and the quota tell

    def admitted(self, shard: OpenShard, segment: int) -> None:
        """Ask for the bytes of the segment that are missing, and look at those that are there already."""
        shard.set_state(segment, SegmentState.WANTED)
        driver = self.drivers[shard.source]
        driver.scheduler.want(shard.key, segment, self._loop.time())
        driver.wake()
        self._verification.look_at(shard, segment)

    def fetch_again(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Fetch stretches again that had arrived and are lost."""
        if shard.error is None:
            driver = self.drivers[shard.source]
            driver.scheduler.again(shard.key, stretches, self._loop.time())
            driver.wake()

    def check_ended(self, shard: OpenShard) -> None:
        """Let go of a shard that was released while it was checked."""
        self._finish_release(shard)

    def shard_failed(self, shard: OpenShard, error: BaseException) -> None:
        """A background job for the shard raised. Anything but an error of ours is a bug."""
        if not isinstance(error, SkyhaulError):
            self.crash(error)
            return
        self._fail(shard, error)
        if shard.released is not None:
            self._finish_release(shard)

    def crash(self, error: BaseException) -> None:
        """A bug: every fetch ends with it, so that it comes up where somebody waits."""
        self._end_all(error)

    def nothing_moves(self) -> bool:
        """Whether no source delivers any of the admitted segments."""
        now = self._loop.time()
        return not any(driver.scheduler.moves(now) for driver in self.drivers.values())

    # -- ends

    def _fail(self, shard: OpenShard, error: BaseException) -> None:
        shard.end(error)
        self.drivers[shard.source].scheduler.remove(shard.key)
        self._quota.cancel(shard)

    def _finish_release(self, shard: OpenShard) -> None:
        """Let go of a released shard, unless it is being opened or checked right now."""
        if self._shards.get(shard.key) is not shard or shard.checks or shard.opening:
            return
        self.drivers[shard.source].scheduler.remove(shard.key)
        del self._shards[shard.key]
        self._notes.forget(shard)
        spooled, shard.spooled = shard.spooled, None
        if spooled is None or shard.released:
            if spooled is not None:
                self._close_kept(shard, spooled)
            self._commits.forget(shard)
            self._quota.leave(shard, kept=spooled is not None)
            return
        self._commits.forget(shard)

        def removed(done: None) -> None:
            self._quota.leave(shard, kept=False)

        def failed(error: BaseException) -> None:
            # The file may still be there, and then takes room.
            self._quota.leave(shard, kept=True)
            if not isinstance(error, SkyhaulError):
                self.crash(error)

        self._journal.submit(lambda: self._spool.remove(spooled), removed, failed)

    def _close_kept(self, shard: OpenShard, spooled: OpenSpoolFile) -> None:
        # What is held in memory belongs to the loop's thread: it is taken here, and synced over there.
        batch: Batch | None = None
        with suppress(SkyhaulError):  # what cannot be written is not journaled, and comes again
            batch = take_batch(shard, spooled)
        self._spool.note(spooled, shard.counts())

        def keep() -> None:
            if batch is not None and batch.pending.arrived:
                self._spool.commit([batch])
            spooled.file.close()

        self._journal.submit(keep, lambda done: None, self.crash)

    def _end_all(self, error: BaseException) -> None:
        """End the fetches that are not complete; complete shards stay readable."""
        if self._stopped is None:
            self._stopped = error
        for shard in list(self._shards.values()):
            if shard.waiting_bytes:
                shard.end(error)
                self._quota.cancel(shard)
            self.drivers[shard.source].scheduler.remove(shard.key)
        reads, self._reads = self._reads, {}
        for read in reads.values():
            read.failed(error)
