"""Is a committed file as its commit record says? By size and sha256 alone."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable

from skyhaul.dataset.storage.errors import storage_error
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas.commit import CommittedFile
from skyhaul_schemas.errors import StorageError
from skyhaul_schemas.storage_errors import is_passing

GONE = "it is gone"
"""What is wrong with a file that is not there; reports look for it."""

_BLOCK = 4 * 1024 * 1024
"""Bytes that are read at once. Chosen, not measured."""


def _unwatched(count: int) -> None:
    """Do nothing: the default of `read`."""


def fault_in_file(
    store: DatasetStore,
    entry: CommittedFile,
    read: Callable[[int], None] = _unwatched,
    *,
    just_written: bool = False,
) -> str | None:
    """What is wrong with the file, or None.

    Args:
        store: The dataset.
        entry: What the commit record says of the file.
        read: Called with the bytes just digested.
        just_written: A disk that cannot read it is no fault of the file.

    Raises:
        StorageError: For what may pass."""
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
        return GONE
    except (StorageError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError):
            # A sector that is gone is mended by writing the file anew; where that was done, the disk is to
            # blame.
            passing = is_passing(cause) and (just_written or cause.errno != errno.EIO)
        else:
            passing = False
        if isinstance(cause, OSError) and (passing or isinstance(cause, PermissionError)):
            # It says nothing of the file; hauling the shard again would be for nothing.
            raise storage_error(cause, "read", entry.path) from error
        return f"it cannot be read: {error}"
    return None if digest.hexdigest() == entry.sha256 else "its sha256 is not that of its commit record"
