"""Unsealing: a sealed group's commit records become files of their own again, because one of them does not
count any more."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from skyhaul.dataset.commits.commits import same_commit
from skyhaul.dataset.commits.sealed import SealedGroup
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout


def unseal_group(store: DatasetStore, group: int, without: Collection[int]) -> str | None:
    """Give the shards of a sealed group records of their own again, but for those `without`, and set the
    sealed file aside. Its name there; None: another process was first. Raises CommitConflict,
    StorageError."""
    path = layout.sealed_file(group)
    try:
        digest = store.digest(path)
        with SealedGroup(store, group) as sealed:
            records = sealed.records()
    except FileNotFoundError:
        return None
    kept = {shard: data for shard, data in records.items() if shard not in without}
    put_records(store, kept)
    aside = store.set_aside(path, digest)
    # Whoever has just sealed the group may have been removing these meanwhile.
    put_records(store, kept)
    return aside


def put_records(store: DatasetStore, records: Mapping[int, bytes]) -> None:
    """Create commit records where there are none. Raises CommitConflict, StorageError."""
    for shard, data in records.items():
        store.create_bytes(layout.commit_file(shard), data, same=same_commit)
