"""Commit and failure records: what is true of a dataset's shards.

A commit record's presence is the commit. It is created, never replaced; one that stands already and says
the same of the same plan (times, traffic and versions aside) is as good as ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from pydantic import ValidationError

from skyhaul.dataset.shard_set import ShardSet
from skyhaul.dataset.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, FailureRecord
from skyhaul_schemas.errors import StorageError

_NUMBERED = re.compile(r"(?:.*/)?(\d{7,9})\.json")
_INCIDENTAL = {"transfer", "started", "finished", "versions"}


def same_commit(standing: bytes, ours: bytes) -> bool:
    """Whether two commit records say the same of the shard."""
    try:
        a, b = CommitRecord.model_validate_json(standing), CommitRecord.model_validate_json(ours)
    except ValidationError:
        return False
    return a.model_dump(exclude=_INCIDENTAL) == b.model_dump(exclude=_INCIDENTAL)


def write_commit(store: DatasetStore, record: CommitRecord) -> CommitRecord:
    """Commit a shard whose files are in place; the record that stands, ours or an equal one that was there.
    Raises CommitConflict where a record says otherwise."""
    path = layout.commit_file(record.shard)
    if store.create_bytes(path, record.model_dump_json().encode() + b"\n", same=same_commit):
        return record
    standing = read_commit(store, record.shard)
    return record if standing is None else standing


def read_commit(store: DatasetStore, shard: int) -> CommitRecord | None:
    """None: not committed. Raises StorageError for a record that cannot be read."""
    path = layout.commit_file(shard)
    try:
        data = store.read_bytes(path)
    except FileNotFoundError:
        return None
    try:
        return CommitRecord.model_validate_json(data)
    except ValidationError as error:
        raise StorageError(
            f"{path} in dataset {store.place} is no commit record; run `skyhaul verify`"
        ) from error


def is_committed(store: DatasetStore, shard: int) -> bool:
    return store.exists(layout.commit_file(shard))


def committed_shards(store: DatasetStore) -> ShardSet:
    """The shards with a commit record, by listing group after group."""
    return ShardSet(numbers(store, layout.COMMITS))


def commits(store: DatasetStore) -> Iterator[CommitRecord]:
    """All commit records, by shard. Raises StorageError for one that cannot be read."""
    for shard in numbers(store, layout.COMMITS):
        record = read_commit(store, shard)
        if record is not None:
            yield record


def write_failure(store: DatasetStore, failure: FailureRecord) -> None:
    """Put down the last failure of a shard."""
    store.replace_bytes(
        layout.failure_file(failure.shard), failure.model_dump_json(indent=2).encode() + b"\n"
    )


def clear_failure(store: DatasetStore, shard: int) -> None:
    """Forget a failure. One that cannot be removed stays: a commit record outweighs it."""
    with suppress(StorageError):
        store.remove(layout.failure_file(shard))


def read_failure(store: DatasetStore, shard: int) -> FailureRecord | None:
    """None: no failure, or none that can be read; the shard is then simply tried again."""
    try:
        return FailureRecord.model_validate_json(store.read_bytes(layout.failure_file(shard)))
    except (FileNotFoundError, ValidationError):
        return None


def failures(store: DatasetStore) -> Iterator[FailureRecord]:
    """The last failure of each shard that is not committed, by shard."""
    for shard in numbers(store, layout.FAILURES):
        failure = read_failure(store, shard)
        if failure is not None and not is_committed(store, shard):
            yield failure


def numbers(store: DatasetStore, folder: str) -> Iterator[int]:
    """Shard numbers of the records in `folder` (COMMITS or FAILURES), ascending.

    One group's folder is listed at a time; groups sealed into one file would be read here."""
    for group in sorted(store.folders(folder), key=lambda name: (len(name), name)):
        for path in store.list(f"{folder}/{group}"):
            match = _NUMBERED.fullmatch(path)
            if match:
                yield int(match[1])
