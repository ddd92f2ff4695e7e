"""Folders that a power cut does not take away again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def sync_folder(path: Path) -> None:
    """The folder's entries are on the disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_lasting(
    path: Path, *, mode: int = 0o777, ours: int = 1, sync: Callable[[Path], None] = sync_folder
) -> None:
    """Make the folder `path`, with `mode`, and what is missing above it; each new name is synced into the
    folder above it. So are the names of the last `ours` folders where they are there already: who made them
    may have been killed before. Raises OSError."""
    there = path.is_dir()
    if not there:
        make_lasting(path.parent, ours=ours - 1, sync=sync)
        path.mkdir(mode=mode, exist_ok=True)
        sync(path.parent)
        return
    if ours <= 0:
        return
    make_lasting(path.parent, ours=ours - 1, sync=sync)
    try:
        sync(path.parent)
    except PermissionError:
        # A folder that was there, in one that only others may list: they have made it.
        return
