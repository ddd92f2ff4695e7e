"""What became of shards: committed, put off or failed, and what follows for those that are still to come.

A source that gave nothing but garbage, silence or errors is given up for the rest of the haul, and so is all
of it where a disk of ours takes nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from skyhaul.dataset.commits.record_files import read_failure, write_failure
from skyhaul.hauling.receipts import DEFERRED, FAILED, Receipt, receipt_of
from skyhaul.hauling.worker_context import WorkerContext
from skyhaul_schemas.commit import CommitRecord, FailureRecord
from skyhaul_schemas.errors import (
    EXIT_INCOMPLETE,
    DeferredError,
    DiskFull,
    SkyhaulError,
    SourceFailing,
    SourceSilent,
    StorageError,
    StorageReadOnly,
    TooManyRejects,
)
from skyhaul_schemas.plan import Shard
from skyhaul_schemas.units import moment_text

_GARBAGE = 3
"""Shards of a source, one after the other, above its ceiling on rejects: chunks are dealt to shards by a
hash, so each is a sample of the source, and the rest need not cross the link to be refused, too. Chosen, not
measured."""


_STORAGE_TRIES = 3
"""Shards that a disk of ours lost, with no commit between them, after which no more are claimed. Chosen,
not measured."""


def now() -> str:
    """The wall clock, as records have it: UTC, RFC 3339, to the millisecond."""
    return moment_text(datetime.now(UTC))


class Outcomes:
    """Of the shards of one conductor. Any of its encoders may call any method.

    Args:
        context: The process's part in the haul.
        on_event: Gets a line for each failure.

    """

    def __init__(self, context: WorkerContext, on_event: Callable[[str], None]) -> None:
        self._context = context
        self._event = on_event
        self._disk_lost: StorageError | None = None
        self._given_up: dict[str, SkyhaulError] = {}
        self._garbage: dict[str, int] = {}
        self._reported_kinds: set[str] = set()
        self._storage_failed = 0

    def stopped(self) -> SkyhaulError | None:
        """Why no further shard is to be hauled, if so.

        The haul is stopped, or a disk of ours takes nothing any more."""
        return self._context.control.reason or self._disk_lost

    def given_up(self, source: str) -> SkyhaulError | None:
        """Why no further shard of the source is hauled, if so."""
        return self._given_up.get(source)

    def _note_garbage(self, source: str, error: TooManyRejects) -> None:
        if source in self._given_up:
            return
        self._garbage[source] = self._garbage.get(source, 0) + 1
        if self._garbage[source] >= _GARBAGE:
            self._given_up[source] = TooManyRejects(
                f"source {source}: {_GARBAGE} shards one after the other are above `max_rejects`, so that"
                f" this one was not fetched; the last of them: {error}"
            )

    def _note_storage(self, shard: Shard, error: StorageError) -> None:
        """A disk of ours lost the shard, which is as good as before: it is put off, and has not failed.

        Where a disk takes nothing any more, further shards would cross the link for nothing."""
        if error.kind not in self._reported_kinds:
            # The others are counted in the summary.
            self._reported_kinds.add(error.kind)
            self._event(f"shard {shard.number} of {shard.source} put off: {error.kind}: {error}")
        self._storage_failed += 1
        lasting = isinstance(error, DiskFull | StorageReadOnly)
        if lasting or self._storage_failed >= _STORAGE_TRIES:
            self._disk_lost = error

    def committed(self, shard: Shard, record: CommitRecord) -> Receipt:
        """The receipt of a shard that is committed by `record`."""
        self._garbage.pop(shard.source, None)
        self._storage_failed = 0
        return replace(receipt_of(self._context.config, record), fresh=True)

    def failed(self, shard: Shard, error: SkyhaulError) -> Receipt:
        """Put a shard off, or record its failure."""
        config = self._context.config
        links = tuple(self._context.job.sources[shard.source].via)
        receipt = Receipt(
            config.dataset,
            config.run,
            shard.plan,
            shard.number,
            shard.source,
            FAILED,
            kind=error.kind,
            reason=str(error),
            unhauled=shard.length,
            links=links,
        )
        if isinstance(error, DeferredError):
            if isinstance(error, SourceSilent):
                self._given_up.setdefault(shard.source, error)
            return replace(receipt, outcome=DEFERRED)
        if isinstance(error, SourceFailing):
            self._given_up.setdefault(shard.source, error)
        if isinstance(error, TooManyRejects):
            self._note_garbage(shard.source, error)
        if isinstance(error, StorageError) and error.exit_code == EXIT_INCOMPLETE:
            self._note_storage(shard, error)
            return replace(receipt, outcome=DEFERRED)
        over = f" over {', '.join(links)}" if links else ""
        self._event(f"shard {shard.number} of {shard.source}{over} failed: {error.kind}: {error}")
        if self._context.config.mend:
            # The shard is committed; what is wrong with it is for `verify` to say.
            return receipt
        store = self._context.store
        earlier = None
        try:
            earlier = read_failure(store, shard.number)
            write_failure(
                store,
                FailureRecord(
                    shard=shard.number,
                    plan=shard.plan,
                    source=shard.source,
                    kind=error.kind,
                    reason=str(error),
                    attempts=(earlier.attempts if earlier else 0) + 1,
                    where="dataset or spool" if isinstance(error, StorageError) else "source or link",
                    final=not isinstance(error, StorageError),
                    at=now(),
                ),
            )
        except StorageError as unwritable:
            self._event(f"shard {shard.number}: its failure could not be recorded: {unwritable}")
        return replace(receipt, attempts=(earlier.attempts if earlier else 0) + 1)
