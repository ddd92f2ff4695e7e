"""Spools that nobody uses any more: of plans that changed or were finished elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skyhaul_connectors.transfer.disk import storage_error
from skyhaul_connectors.transfer.spool import JOURNAL, folder_name
from skyhaul_connectors.transfer.spool_lock import LOCK, SpoolLock, is_locked
from skyhaul_schemas.errors import UsageError


@dataclass(frozen=True, slots=True)
class StaleSpool:
    """A plan's spool folder that no process holds. bytes: on disk. idle: seconds since it last changed."""

    path: Path
    bytes: int
    idle: float


def stale_spools(root: Path, keep: str | None = None) -> list[StaleSpool]:
    """The spools below `root` that are not in use, except that of plan digest `keep`; oldest first. Other
    folders are left alone. Raises StorageError."""
    now = time.time()
    found: list[StaleSpool] = []
    try:
        for folder in _spools(root):
            if (keep is None or folder.name != folder_name(keep)) and not is_locked(folder):
                sizes = [entry.stat() for entry in folder.iterdir() if entry.is_file()]
                newest = max((s.st_mtime for s in sizes), default=folder.stat().st_mtime)
                found.append(
                    StaleSpool(folder, sum(s.st_blocks * 512 for s in sizes), max(0.0, now - newest))
                )
    except OSError as error:
        raise storage_error(error, "looking for stale spools in", root) from error
    return sorted(found, key=lambda spool: (-spool.idle, spool.path.name))


def remove_spool(spool: StaleSpool) -> None:
    """Remove the folder, under its lock. Raises UsageError where somebody holds it now, StorageError."""
    if not (spool.path / LOCK).is_file():
        raise UsageError(f"{str(spool.path)!r} is no spool")
    lock = SpoolLock(spool.path)
    try:
        shutil.rmtree(spool.path)
    except OSError as error:
        raise storage_error(error, "removing the spool", spool.path) from error
    finally:
        lock.release()


def _spools(root: Path) -> Iterator[Path]:
    """Folders that look like ours: a lock and a journal, or a lock alone where a start was interrupted."""
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.is_symlink() or not (folder / LOCK).is_file():
            continue
        if (folder / JOURNAL).is_file() or len(list(folder.iterdir())) == 1:
            yield folder
