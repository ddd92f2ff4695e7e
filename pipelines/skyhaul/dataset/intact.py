"""Is a committed file as its commit record says? By size and sha256 alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from skyhaul.dataset.store import DatasetStore
from skyhaul_schemas.commit import CommittedFile
from skyhaul_schemas.errors import StorageError

_BLOCK = 4 * 1024 * 1024


def _unwatched(count: int) -> None:
    """What `read` does by default."""


def fault_in_file(
    store: DatasetStore, entry: CommittedFile, read: Callable[[int], None] = _unwatched
) -> str | None:
    """What is wrong with the file, or None. read: called with the bytes just digested."""
    try:
        size = store.size(entry.path)
        if size != entry.bytes:
            return f"it has {size} bytes, its commit record says {entry.bytes}"
        digest = hashlib.sha256()
        with store.open_input(entry.path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                read(len(block))
    except FileNotFoundError:
        return "it is gone"
    except (StorageError, OSError) as error:
        return f"it cannot be read: {error}"
    return None if digest.hexdigest() == entry.sha256 else "its sha256 is not that of its commit record"
