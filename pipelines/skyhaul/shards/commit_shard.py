"""Put a shard's finished files into place and commit it.

Two things can be in the way. A file of other bytes under the name of one of ours, while the shard is not
committed: a crash left it of the shard as it was before an amendment of the plan, or a disk has lost an
unlink; it is set aside. And an amendment that comes between: the plan is looked at before the commit record
and after it, because the amendment looks at the records only after it is there (`skyhaul.planning.outdated`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field

from pydantic import ValidationError

from skyhaul.dataset.commits.record_files import CommitReader, clear_failure, read_commit, write_commit
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import DATA_FILE
from skyhaul.shards.parquet import FinishedFile
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import CommitConflict, PlanAmended, RecordDamaged, StorageError

_TRIES = 3
"""Of one file: what is set aside may be put there again by a worker of the plan as it was. Chosen, not
measured."""


def _no_check() -> None:
    """A plan that never changes."""


@dataclass(slots=True)
class CommitGuard:
    """What a commit asks about the plan as it is now, since an amendment may have changed it."""

    check: Callable[[], None] = _no_check
    """Raises PlanAmended if the shard is another one now."""
    outdated: Callable[[CommitRecord], bool] = lambda record: False
    """Whether a record describes the shard as it was before an amendment."""
    amended: bool = False
    """Whether the plan has been amended."""
    moved: dict[str, str] = field(default_factory=dict)
    """File -> where it was set aside; filled in during the commit."""


def commit_shard(
    store: DatasetStore, record: CommitRecord, files: Sequence[FinishedFile], guard: CommitGuard | None = None
) -> CommitRecord:
    """Publish `files`, then write `record`, which speaks of them.

    Returns:
        The record that stands, ours or an equal one that was there.

    Raises:
        CommitConflict: What stands there already says otherwise.
        PlanAmended: An amendment has changed the shard meanwhile.
        DiskFull: There is no room left.
        StorageError: The storage fails otherwise."""
    guard = guard or CommitGuard()
    try:
        for finished in files:
            _publish(store, record.shard, finished, guard)
        # Before the record and after it: the amendment looks at records after its generation is there, so
        # that one of the two sees the other.
        guard.check()
        if guard.amended:
            _clear_orphans(store, record, guard)
        standing = _write(store, record, guard)
        guard.check()
    except PlanAmended:
        _withdraw(store, record, guard)
        raise
    if guard.amended:
        # A worker of the plan as it was may have come between: it looks for this record once it knows.
        _clear_orphans(store, standing, guard)
    # Last: a failure beside a commit record counts for nothing, the other way round it would be lost.
    clear_failure(store, record.shard)
    return standing


def _publish(store: DatasetStore, shard: int, finished: FinishedFile, guard: CommitGuard) -> None:
    path, sha256 = finished.entry.path, finished.entry.sha256
    for left in reversed(range(_TRIES)):
        try:
            store.publish(finished.file.path, path, sha256)
            return
        except CommitConflict:
            guard.check()
            standing = read_commit(store, shard)
            # A committed shard's file is never set aside: other bytes than its record's are damage, for
            # `verify` to name.
            if not left or (standing is not None and not guard.outdated(standing)):
                raise
            with suppress(FileNotFoundError):
                _set_aside(store, path, guard)


def _write(store: DatasetStore, record: CommitRecord, guard: CommitGuard) -> CommitRecord:
    try:
        return write_commit(store, record)
    except CommitConflict:
        guard.check()
        standing = read_commit(store, record.shard)
        if standing is not None and not guard.outdated(standing):
            _put_back(store, standing, guard)
            raise
    _set_record_aside(store, record.shard, guard)
    return write_commit(store, record)


def _put_back(store: DatasetStore, standing: CommitRecord, guard: CommitGuard) -> None:
    """Put files back that were set aside as orphans: another worker has committed the shard with them."""
    rejects = [standing.rejects] if standing.rejects else []
    for entry in (*standing.files, *rejects):
        kept = guard.moved.get(entry.path)
        if kept is not None and store.digest(kept) == entry.sha256:
            store.copy(kept, entry.path)


def _withdraw(store: DatasetStore, record: CommitRecord, guard: CommitGuard) -> None:
    """Take back a commit that an amendment has overtaken.

    Its files stay for the shard as it is now to set aside; where that one is committed already, they go now.
    What fails here is found by the next haul."""
    with suppress(StorageError):
        standing = read_commit(store, record.shard)
        if standing is not None and standing.plan == record.plan:
            _set_record_aside(
                store, record.shard, CommitGuard(outdated=lambda found: found.plan == record.plan)
            )
        elif standing is not None:
            _clear_orphans(store, standing, guard)


def _set_record_aside(store: DatasetStore, shard: int, guard: CommitGuard) -> None:
    """Set the record of a shard aside, if it is outdated.

    One in a sealed group stays: the next haul sees to it."""
    path = layout.commit_file(shard)
    with closing(CommitReader(store)) as reader, suppress(FileNotFoundError, ValidationError):
        data = reader.data(shard)
        if data is not None and guard.outdated(CommitRecord.model_validate_json(data)):
            kept = store.set_aside(path, hashlib.sha256(data).hexdigest())
            if kept is not None:
                guard.moved[path] = kept


def _clear_orphans(store: DatasetStore, record: CommitRecord, guard: CommitGuard) -> None:
    """Set files of the shard aside that `record` does not speak of."""
    for path in list(orphans_of(store, layout.group_of(record.shard), {record.shard: record})):
        with suppress(FileNotFoundError):
            _set_aside(store, path, guard)


def orphans_of(store: DatasetStore, group: int, committed: Mapping[int, CommitRecord]) -> Iterator[str]:
    """Yield the files of committed shards that their records do not speak of.

    Args:
        store: The dataset.
        group: The group whose folders are looked at.
        committed: Shard -> its commit record; only files named after these shards are looked at.
    """
    known = {entry.path for record in committed.values() for entry in record.files}
    for path in store.list(f"{layout.DATA}/{group:04d}"):
        match = DATA_FILE.fullmatch(path)
        if match and int(match[3]) in committed and path not in known:
            yield path
    without = {layout.rejects_file(shard) for shard, record in committed.items() if record.rejects is None}
    yield from (path for path in store.list(f"{layout.REJECTS}/{group:04d}") if path in without)


def _set_aside(store: DatasetStore, path: str, guard: CommitGuard) -> None:
    try:
        kept = store.set_aside(path, store.digest(path))
    except RecordDamaged:
        kept = store.move_aside(path)
    if kept is not None:
        guard.moved[path] = kept
