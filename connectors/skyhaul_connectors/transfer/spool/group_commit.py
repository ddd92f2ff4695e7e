"""Group commits: what arrived in the last fifth of a second becomes durable in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from skyhaul_connectors.transfer.background import Background
from skyhaul_connectors.transfer.spool.events import SpoolEvents
from skyhaul_connectors.transfer.spool.open_shard import OpenShard
from skyhaul_connectors.transfer.spool.received_counts import ReceivedNotes
from skyhaul_connectors.transfer.spool.spool import Batch, Committed, OpenSpoolFile, Spool
from skyhaul_connectors.transfer.spool.spool_file import SpoolFile
from skyhaul_connectors.transfer.spool.verification import Verification
from skyhaul_schemas.errors import SkyhaulError

COMMIT_EVERY = 0.2
"""Seconds between two commits while bytes arrive: what a kill or a power cut costs at most. A commit is one
sync a shard and one of the journal. Chosen, not measured."""


class GroupCommit:
    """Gathers shards with bytes that the journal does not have yet, and commits them together.

    One commit runs at a time; `verification` is told what became of each shard in it. On the loop's thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        journal: Background,
        spool: Spool,
        verification: Verification,
        events: SpoolEvents,
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._spool = spool
        self._verification = verification
        self._events = events
        # A dictionary as a set whose order hangs on no addresses, so that virtual time repeats itself.
        self._dirty: dict[OpenShard, None] = {}
        self._running = False
        self._due: asyncio.TimerHandle | None = None
        self._began = float("-inf")
        self._hurry = False
        self._flushed: list[Callable[[], None]] = []

    def mark(self, shard: OpenShard) -> None:
        """Bytes of the shard were written: a commit with them is due.

        That is `COMMIT_EVERY` seconds after the last one began, or at once where that is over."""
        self._dirty[shard] = None
        # One at a time: on a slow disk more gathers meanwhile, and commits grow instead of queueing up.
        if self._due is None and not self._running:
            due = max(self._loop.time(), self._began + COMMIT_EVERY)
            self._due = self._loop.call_at(due, self.now)

    def forget(self, shard: OpenShard) -> None:
        """Leave the shard out of further commits."""
        self._dirty.pop(shard, None)

    def now(self) -> None:
        """Do not wait for the next commit's time: commit now, or as soon as the running commit ends."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._running:
            self._hurry = True
            return
        batches: dict[OpenShard, Batch] = {}
        unwritten: list[tuple[OpenShard, SkyhaulError]] = []
        for shard in self._dirty:
            if shard.spooled is not None:
                try:
                    batches[shard] = take_batch(shard, shard.spooled)
                except SkyhaulError as error:
                    unwritten.append((shard, error))
        self._dirty.clear()
        # After the set is cleared: what is told may mark or forget shards.
        for shard, failure in unwritten:
            self._verification.committed(shard, Committed([], [], error=failure))
        if not batches:
            told, self._flushed = self._flushed, []
            for call in told:
                call()
            return
        self._running = True
        self._hurry = False
        self._began = self._loop.time()
        self._journal.submit(
            lambda: self._spool.commit(list(batches.values())),
            lambda answers: self._done(list(batches), answers),
            self._events.crash,
        )

    def flush(self, flushed: Callable[[], None]) -> None:
        """Commit until nothing is left, then call."""
        self._flushed.append(flushed)
        self.now()

    def cancel(self) -> None:
        """Schedule no further commit; one that runs goes on."""
        if self._due is not None:
            self._due.cancel()

    def _done(self, shards: list[OpenShard], answers: list[Committed]) -> None:
        self._running = False
        for shard, answer in zip(shards, answers, strict=True):
            self._verification.committed(shard, answer)
        if self._flushed or (self._dirty and self._hurry):
            self.now()
        elif self._dirty:
            self.mark(next(iter(self._dirty)))


def take_batch(shard: OpenShard, spooled: OpenSpoolFile) -> Batch:
    """What of the shard waits for a commit, in its file; it is pending no longer.

    Raises:
        DiskFull, StorageError: A write failed: nothing that was pending is known to be in the file then."""
    return Batch(spooled, spooled.file.take(), shard.counts())


class SpoolSink:
    """A shard's bytes on their way into its spool file: a `ByteSink` of the scheduler's tasks."""

    __slots__ = ("_commits", "_file", "_notes", "_shard")

    def __init__(
        self, shard: OpenShard, file: SpoolFile, notes: ReceivedNotes[OpenShard], commits: GroupCommit
    ) -> None:
        self._shard = shard
        self._file = file
        self._notes = notes
        self._commits = commits

    def write(self, position: int, data: bytes | memoryview) -> None:
        """Take bytes of the shard. Raises DiskFull or StorageError; then nothing pending is journaled."""
        # Before the write: what was received is counted even where the disk does not take it.
        self._notes.mark(self._shard)
        self._file.write(position, data)
        self._commits.mark(self._shard)
