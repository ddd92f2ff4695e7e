"""What dead processes left is made to last, before a process that found it rests anything on it.

A process that is killed between giving a file its name and syncing the folder leaves a name that is there for
all who look, and that a power cut may still take. Whoever sees a plan, a commit record or a sealed group and
goes on from it (hauls its shards, leaves the shard out, removes the records) would build on nothing.
"""

from __future__ import annotations

import errno

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.errors import StorageError

# "" is the dataset itself, where the names of the other folders, of the job and of the card lie.
_FOLDERS = ("", layout.CONTROL, layout.PLAN, layout.SEALED, layout.RUNS)
_RECORDS = (layout.COMMITS, layout.FAILURES)
_FILES = (layout.DATA, layout.REJECTS)


def sync_inherited(store: DatasetStore, *, files: bool = False) -> None:
    """Sync the folders that a haul, an amendment or an extension builds on: a sync or two a group.

    They are those of the job, the plan, the sealed groups, the records of commits, failures and runs, and of
    what was set aside.

    Args:
        store: The dataset.
        files: Data and rejects, too. They need it only where they may have been replaced: the folder of a new
            file was synced before the record that speaks of it was written.

    Raises:
        StorageError: The storage fails otherwise."""
    # An object store has what it said it has; there is nothing to sync.
    if store.local_root is None:
        return
    try:
        for folder in _FOLDERS:
            store.sync_folder(folder)
        for parent in (*_RECORDS, *(_FILES if files else ())):
            store.sync_folder(parent)
            for group in store.folders(parent):
                store.sync_folder(f"{parent}/{group}")
        _sync_tree(store, layout.SET_ASIDE)
    except StorageError as error:
        # On a filesystem that is read-only nothing waits to be written; it may be shown, and no more.
        if not (isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS):
            raise


def _sync_tree(store: DatasetStore, folder: str) -> None:
    """Sync a folder and all below it: what was moved here has no other name."""
    store.sync_folder(folder)
    for name in store.folders(folder):
        _sync_tree(store, f"{folder}/{name}")
