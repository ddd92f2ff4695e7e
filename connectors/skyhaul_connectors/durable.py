"""Folders that a power cut does not take away again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

_NO_SUCH_SYNC = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}


def sync_folder(path: Path) -> None:
    """Put the folder's entries on the disk before returning. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_durable_folder(
    path: Path, *, mode: int = 0o777, ours: int = 1, sync: Callable[[Path], None] = sync_folder
) -> None:
    """Make a folder, and what is missing above it, so that a power cut takes none of them away.

    Args:
        path: The folder.
        mode: Of the folder itself; those above it get the system's default.
        ours: How many folders, from `path` upwards, are synced into the one above even if they are there:
            whoever made them may have been killed before the sync.
        sync: Syncs one folder; tests put their own in its place.

    Raises:
        OSError: A folder cannot be made or synced.
    """
    there = path.is_dir()
    if there and ours <= 0:
        return
    make_durable_folder(path.parent, ours=ours - 1, sync=sync)
    if not there:
        path.mkdir(mode=mode, exist_ok=True)
    try:
        sync(path.parent)
    except PermissionError:
        # A folder that we may not list: nothing in it can be synced by us.
        return
    except OSError as error:
        # Some network filesystems know no sync of a folder; SQLite passes it over too.
        if error.errno not in _NO_SUCH_SYNC:
            raise
