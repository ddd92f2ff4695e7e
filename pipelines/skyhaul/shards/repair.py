"""A committed shard, hauled again because files of it are broken: put them right, or change nothing.

What was hauled anew has to say the same as the commit record, digest by digest, before any file is touched.
A broken file is then replaced in one step, and kept under another name. Where it is the commit record that is
broken, or none of this shard, plan and bytes, there is nothing to compare with: the plan has pinned what was
hauled, and it takes the place of what lies there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from skyhaul.dataset.commits.record_files import clear_failure, has_record, read_commit, write_commit
from skyhaul.dataset.commits.validation import own_faults
from skyhaul.dataset.intact import fault_in_file
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import DATA_FILE
from skyhaul.shards.commit_shard import CommitGuard, commit_shard
from skyhaul.shards.parquet import FinishedFile
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import RecordDamaged, ReplayDiffers
from skyhaul_schemas.printable import printable


def repair_shard(
    store: DatasetStore, record: CommitRecord, files: Sequence[FinishedFile], guard: CommitGuard | None = None
) -> CommitRecord:
    """Replace what is broken of the shard by the `files` that `record` speaks of; the record that stands.

    A shard without a commit record of its own is committed.

    Raises:
        ReplayDiffers: What was hauled anew is not what was committed; nothing was replaced.
        PlanAmended: An amendment has changed the shard meanwhile.
        StorageError: The storage fails otherwise."""
    guard = guard or CommitGuard()
    try:
        standing = read_commit(store, record.shard)
    except RecordDamaged:
        standing = None
    if not has_record(store, record.shard):
        return commit_shard(store, record, files, guard)
    if standing is None or _claims(standing) != _claims(record) or any(own_faults(standing)):
        return _commit_over(store, record, files, guard)
    # All files, not only the broken one: where any comes out otherwise, the source or the encoder is not what
    # it was, and a file of its making among older ones would be no part of the dataset.
    difference = next(_differences(standing, record), None)
    if difference is not None:
        raise ReplayDiffers(
            f"shard {record.shard} of source {record.source} comes out otherwise than it was committed:"
            f" {difference}; nothing was replaced"
        )
    _replace_broken(store, files)
    return standing


def _claims(record: CommitRecord) -> tuple[object, ...]:
    """Of which shard, and of which planned bytes, the record is: the plan says so, whatever was hauled."""
    taken = [(source.object, source.ranges, source.skipped) for source in record.sources]
    return record.shard, record.plan, record.source, taken


def _replace_broken(store: DatasetStore, files: Sequence[FinishedFile]) -> None:
    for finished in files:
        if fault_in_file(store, finished.entry) is not None:
            entry = finished.entry
            store.replace_file(finished.file.path, entry.path, entry.sha256, store.aside_of(entry.path))


def _commit_over(
    store: DatasetStore, record: CommitRecord, files: Sequence[FinishedFile], guard: CommitGuard
) -> CommitRecord:
    """Commit the shard in the place of whatever lies there under its names."""
    # As in a commit, files come before the record, and the plan is looked at before and after it.
    guard.check()
    _replace_broken(store, files)
    ours = {finished.entry.path for finished in files}
    for path in _files_of(store, record.shard):
        if path not in ours:
            store.move_aside(path)
    if has_record(store, record.shard):
        # A copy, not a move: without any record there the shard would be nobody's for a moment.
        keep_aside(store, layout.commit_file(record.shard))
        store.replace_bytes(layout.commit_file(record.shard), record.to_line())
    standing = write_commit(store, record)
    guard.check()
    clear_failure(store, record.shard)
    return standing


def _files_of(store: DatasetStore, shard: int) -> Iterator[str]:
    """The data files and rejects that lie under the shard's names."""
    for path in list(store.list(f"{layout.DATA}/{layout.group_of(shard):04d}")):
        match = DATA_FILE.fullmatch(path)
        if match and int(match[3]) == shard:
            yield path
    if store.exists(layout.rejects_file(shard)):
        yield layout.rejects_file(shard)


def _differences(standing: CommitRecord, ours: CommitRecord) -> Iterator[str]:
    if standing.plan != ours.plan:
        yield f"it was committed under plan {standing.plan[:16]}, the dataset's is {ours.plan[:16]}"
    taken = {(s.object, tuple(s.ranges)): s.sha256 for s in standing.sources}
    for source in ours.sources:
        if taken.get((source.object, tuple(source.ranges))) != source.sha256:
            yield f"the source has other bytes now in {printable(source.object)}"
    names = {file.path: file for file in [*standing.files, *([standing.rejects] if standing.rejects else [])]}
    found = [*ours.files, *([ours.rejects] if ours.rejects else [])]
    for file in found:
        before = names.pop(file.path, None)
        if before is None:
            yield f"{file.path} was not there"
        elif before != file:
            yield f"{file.path} has sha256 {file.sha256[:16]}, its commit record says {before.sha256[:16]}"
    for path in names:
        yield f"{path} is not there"
    counts = ours.records
    if standing.digest is None:
        # Written before it was counted what is passed over.
        counts = counts.model_copy(update={"read": counts.read - counts.passed_over, "passed_over": 0})
    if (standing.records, standing.filtered_by) != (counts, ours.filtered_by):
        yield "its counts of records are others"


def keep_aside(store: DatasetStore, path: str) -> None:
    """Copy a small file; none there is fine. What is no file is moved. Raises StorageError."""
    with suppress(FileNotFoundError):
        try:
            data = store.read_bytes(path)
        except RecordDamaged:
            store.move_aside(path)
        else:
            store.create_bytes(store.aside_of(path), data)
