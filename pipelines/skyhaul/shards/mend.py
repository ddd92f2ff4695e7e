"""A committed shard, hauled again because files of it are broken: put them right, or change nothing.

What was hauled anew has to say the same as the commit record, digest by digest, before any file is touched.
A broken file is then replaced in one step, and kept under another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skyhaul.dataset.commits import read_commit
from skyhaul.dataset.intact import fault_in_file
from skyhaul.dataset.store import DatasetStore
from skyhaul.shards.commit import CommitGuard, commit_shard
from skyhaul.shards.parquet import FinishedFile
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import ReplayDiffers
from skyhaul_schemas.printable import printable


def mend_shard(
    store: DatasetStore, record: CommitRecord, files: Sequence[FinishedFile], guard: CommitGuard | None = None
) -> CommitRecord:
    """Replace what is broken of the shard by the `files` that `record` speaks of; the record that stands.
    Raises ReplayDiffers, StorageError. A shard without a commit record is committed."""
    standing = read_commit(store, record.shard)
    if standing is None:
        return commit_shard(store, record, files, guard)
    difference = next(_differences(standing, record), None)
    if difference is not None:
        raise ReplayDiffers(
            f"shard {record.shard} of source {record.source} comes out otherwise than it was committed:"
            f" {difference}; nothing was replaced"
        )
    for finished in files:
        if fault_in_file(store, finished.entry) is not None:
            entry = finished.entry
            store.replace_file(finished.file.path, entry.path, entry.sha256, _aside(store, entry.path))
    return standing


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
    if (standing.records, standing.filtered_by, standing.source) != (
        ours.records, ours.filtered_by, ours.source,
    ):  # fmt: skip
        yield "its counts of records are others"


def _aside(store: DatasetStore, path: str) -> str:
    """A name for what is replaced that nothing has."""
    number = 0
    while store.exists(f"{layout.SET_ASIDE}/{path}.{number}"):
        number += 1
    return f"{layout.SET_ASIDE}/{path}.{number}"
