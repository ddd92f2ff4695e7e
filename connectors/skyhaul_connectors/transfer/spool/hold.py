"""Hold every spool of a plan below a job's folder, so that no haul on this machine uses one meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from skyhaul_connectors.transfer.spool.lock import LOCK, SpoolLock
from skyhaul_connectors.transfer.spool.spool import folder_name


@contextmanager
def held_spools(root: Path, plan: str) -> Iterator[None]:
    """Hold the plan's spool in `root` and those of its workers that there are. Raises SpoolInUse that names
    the holder, StorageError."""
    with ExitStack() as stack:
        # Workers of a runner that share a machine have a spool each, below the job's.
        for place in (root, *sorted(root.glob("worker-*"))):
            folder = place / folder_name(plan)
            if place == root or folder.is_dir():
                stack.enter_context(_held(folder))
        yield


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    fresh = not folder.exists()
    lock = SpoolLock(folder)
    try:
        yield
    finally:
        if fresh:
            # Nothing else is in it; the lock goes last, and under itself, as `remove_spool` does it.
            with suppress(OSError):
                (folder / LOCK).unlink()
                folder.rmdir()
        lock.release()
