"""The notes of a shared link in the dataset's store: empty files whose names say all."""

from __future__ import annotations

import os

from skyhaul.dataset.storage.errors import storage_error
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout


class StoreBoard:
    """A `Board` below `_skyhaul/links/{link}`. Raises StorageError."""

    def __init__(self, store: DatasetStore, link: str) -> None:
        self._store = store
        self._folder = f"{layout.LINKS}/{link}"

    def post(self, note: str) -> None:
        if self._store.local_root is None:
            self._store.create_bytes(f"{self._folder}/{note}", b"")
            return
        # A note has to be seen, and not to outlive a power cut: no syncing.
        folder = self._store.local_root / self._folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(folder / note, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        except OSError as error:
            raise storage_error(error, "put up a note in", folder) from error

    def notes(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self._store.list(self._folder)]

    def drop(self, note: str) -> None:
        self._store.remove(f"{self._folder}/{note}")
