"""The committed files on local disk, which is where all engines can open them without a network."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.storage.errors import storage_error
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas.commit import CommittedFile
from skyhaul_schemas.errors import DiskFull, RecordDamaged
from skyhaul_schemas.units import format_size

CARD = "README.md"
_BLOCK = 8 * 1024 * 1024
"""Bytes that are copied at once. Chosen, not measured."""


def on_local_disk(store: DatasetStore, folder: Path, size: int) -> Path:
    """The dataset's folder.

    For a dataset elsewhere a copy in `folder` of what an engine reads: the data files, each held against its
    commit record's digest on the way, and the card.

    Args:
        store: The dataset.
        folder: An empty folder for the copy.
        size: Their bytes.

    Raises:
        DiskFull: There is no room left.
        StorageError: The storage fails otherwise."""
    if store.local_root is not None:
        return store.local_root
    # Asked before, because the copy takes long where the dataset is far away.
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DiskFull(
            f"dataset {store.place}: the engines need a copy of {format_size(size)}, and {folder.parent} has"
            f" {format_size(free)} left; make room, or set TMPDIR to a larger disk"
        )
    copy = folder / "copy"
    try:
        for record in commits(store):
            for file in record.files:
                _fetch(store, file, copy / file.path)
        if store.exists(CARD):
            (copy / CARD).write_bytes(store.read_bytes(CARD))
    except OSError as error:
        raise storage_error(error, "write", str(copy)) from error
    return copy


def _fetch(store: DatasetStore, file: CommittedFile, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with store.open_input(file.path) as source, path.open("wb") as copy:
        while block := source.read(_BLOCK):
            digest.update(block)
            copy.write(block)
    # Verified a moment ago, but in the store: a copy that was cut short would be taken for an engine's miss.
    if digest.hexdigest() != file.sha256:
        raise RecordDamaged(
            f"{file.path} in dataset {store.place} is no longer what its commit record says;"
            " run `skyhaul verify`, then `skyhaul replay --damaged`"
        )
