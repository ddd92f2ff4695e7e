"""The spools on this machine's disk: who holds them, and which nobody needs any more.

A spool is of one plan and one worker at a time: `<spool>/<plan>` and, where a runner starts several workers
on a machine, `<spool>/worker-N/<plan>`. A worker that is lost lets go of its lock (the kernel sees to it),
and the next one takes the lowest spool that is free, with what is in it. What stays beyond that is of plans
that changed, were finished elsewhere, or had more workers then.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skyhaul_connectors.transfer.spool.disk import storage_error
from skyhaul_connectors.transfer.spool.lock import LOCK, SpoolLock, holder_of, is_locked
from skyhaul_connectors.transfer.spool.spool import JOURNAL, SUFFIX, folder_name
from skyhaul_schemas.errors import SpoolInUse, UsageError


@dataclass(frozen=True, slots=True)
class SpoolFolder:
    """A plan's spool folder. plan: the first 32 characters of its digest. bytes: on disk. idle: seconds since
    it last changed. newest: that moment, in seconds since 1970. shards: those with a file in it. in_use: a
    live process holds it. holder: the process that holds it, or held it last. ours: it belongs to the user
    who asks."""

    path: Path
    plan: str
    bytes: int
    idle: float
    newest: float
    shards: int
    in_use: bool
    holder: int | None
    ours: bool


def spools(root: Path) -> list[SpoolFolder]:
    """The spools below `root` and those of its workers, oldest first. Other folders are left alone. Raises
    StorageError."""
    now = time.time()
    found: list[SpoolFolder] = []
    try:
        for folder in _spools(root):
            held = is_locked(folder)
            files = {entry.name: entry.stat() for entry in folder.iterdir() if entry.is_file()}
            facts = folder.stat()
            newest = max((file.st_mtime for file in files.values()), default=facts.st_mtime)
            found.append(
                SpoolFolder(
                    path=folder,
                    plan=folder.name,
                    bytes=sum(file.st_blocks * 512 for file in files.values()),
                    idle=max(0.0, now - newest),
                    newest=newest,
                    shards=sum(name.endswith(SUFFIX) for name in files),
                    in_use=held,
                    holder=holder_of(folder),
                    ours=facts.st_uid == os.getuid(),
                )
            )
    except OSError as error:
        raise storage_error(error, "looking for spools in", root) from error
    return sorted(found, key=lambda spool: (-spool.idle, str(spool.path)))


def stale_spools(root: Path, keep: str | None = None, older_than: float = 0.0) -> list[SpoolFolder]:
    """The user's own spools below `root` that are not in use and have not changed for `older_than` seconds,
    except those of plan digest `keep`; oldest first. Raises StorageError."""
    kept = None if keep is None else folder_name(keep)
    return [
        spool
        for spool in spools(root)
        if spool.ours and not spool.in_use and spool.idle >= older_than and spool.plan != kept
    ]


def remove_spool(spool: SpoolFolder, *, unless_used: bool = False) -> bool:
    """Remove the folder, under its lock; False where somebody holds it now or, with `unless_used`, has used
    it since it was looked at. Raises UsageError for a folder that is no spool, StorageError."""
    if not (spool.path / LOCK).is_file():
        raise UsageError(f"{str(spool.path)!r} is no spool")
    # Before we write our own name into it.
    locked = _changed(spool.path / LOCK)
    try:
        lock = SpoolLock(spool.path)
    except SpoolInUse:
        return False
    try:
        others = (_changed(entry) for entry in spool.path.iterdir() if entry.name != LOCK)
        if unless_used and max([locked, *others]) > spool.newest:
            return False
        # The lock goes last: who finds it missing makes another, in a folder of its own.
        for entry in list(spool.path.iterdir()):
            if entry.name != LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        (spool.path / LOCK).unlink()
        spool.path.rmdir()
    except OSError as error:
        raise storage_error(error, "removing the spool", spool.path) from error
    finally:
        lock.release()
    return True


def _changed(path: Path) -> float:
    """When it last changed; long ago where it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _spools(root: Path) -> Iterator[Path]:
    """Folders that look like ours: a lock and a journal, or a lock alone where a start was interrupted."""
    if not root.is_dir():
        return
    for place in (root, *sorted(root.glob("worker-*"))):
        for folder in sorted(place.iterdir()) if place.is_dir() and not place.is_symlink() else ():
            if not folder.is_dir() or folder.is_symlink() or not (folder / LOCK).is_file():
                continue
            if (folder / JOURNAL).is_file() or len(list(folder.iterdir())) == 1:
                yield folder
