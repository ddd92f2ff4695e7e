"""What is broken or of no use is kept under `_skyhaul/set-aside/`, where nothing looks for it."""

from __future__ import annotations

from contextlib import suppress

from skyhaul.dataset.store import DatasetStore
from skyhaul_schemas import layout

_PIECE = 4 * 1024 * 1024


def name_aside(store: DatasetStore, path: str) -> str:
    """A name for what is replaced that nothing has."""
    number = 0
    while store.exists(f"{layout.SET_ASIDE}/{path}.{number}"):
        number += 1
    return f"{layout.SET_ASIDE}/{path}.{number}"


def keep_aside(store: DatasetStore, path: str) -> None:
    """Copy a small file; none there is fine. Raises StorageError."""
    with suppress(FileNotFoundError):
        store.create_bytes(name_aside(store, path), store.read_bytes(path))


def move_aside(store: DatasetStore, path: str) -> None:
    """Move a file of any size, its copy first. Raises FileNotFoundError, StorageError."""
    copy = store.files.create(store.temp_path())
    try:
        with store.open_input(path) as file:
            while data := file.read(_PIECE):
                copy.write(data)
        copy.finish(sync=True)
    except BaseException:
        copy.discard()
        raise
    store.publish(copy.path, name_aside(store, path), copy.sha256)
    store.remove(path)
