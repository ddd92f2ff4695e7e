"""Put a shard's finished files into place and commit it."""

from __future__ import annotations

from collections.abc import Sequence

from skyhaul.dataset.commits import clear_failure, write_commit
from skyhaul.dataset.store import DatasetStore
from skyhaul.shards.parquet import FinishedFile
from skyhaul_schemas.commit import CommitRecord


def commit_shard(store: DatasetStore, record: CommitRecord, files: Sequence[FinishedFile]) -> CommitRecord:
    """Publish `files`, then write `record`, which speaks of them; the record that stands, ours or an equal
    one that was there. Raises CommitConflict, DiskFull and StorageError."""
    for finished in files:
        store.publish(finished.file.path, finished.entry.path, finished.entry.sha256)
    standing = write_commit(store, record)
    clear_failure(store, record.shard)
    return standing
