"""What is broken or of no use is kept under `_skyhaul/set-aside/`, where nothing looks for it."""

from __future__ import annotations

from contextlib import suppress

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas.errors import RecordDamaged


def keep_aside(store: DatasetStore, path: str) -> None:
    """Copy a small file; none there is fine. What is no file is moved. Raises StorageError."""
    with suppress(FileNotFoundError):
        try:
            data = store.read_bytes(path)
        except RecordDamaged:
            store.move_aside(path)
        else:
            store.create_bytes(store.aside_of(path), data)
