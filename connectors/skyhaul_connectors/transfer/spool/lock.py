"""One haul a spool and plan: an flock that dies with its holder, with the holder's pid in the file."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from contextlib import suppress
from pathlib import Path

from skyhaul_connectors.transfer.spool.disk import storage_error
from skyhaul_schemas.errors import SpoolInUse

LOCK = "lock"
"""Spools are known by this name: `folders` lists and removes what has it, and nothing else."""

_LET_GO = 1.0
"""Seconds after which a lock that outlives its holder is taken for held: a child that was forked just before
its parent was killed has yet to let go, and whoever only looks (`is_locked`) holds it for a moment."""

_held: weakref.WeakSet[SpoolLock] = weakref.WeakSet()


class SpoolLock:
    """Held from construction to `release()`. Raises SpoolInUse that names the holder, or StorageError.

    A forked child lets go of its copy, else it would hold the spool beyond its parent's death.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        try:
            self._fd = self._locked(folder)
            while not _is_at(self._fd, path):
                # The folder was removed between the opening and the locking.
                os.close(self._fd)
                self._fd = self._locked(folder)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError as error:
            raise storage_error(error, "locking", path) from error
        _held.add(self)

    @staticmethod
    def _locked(folder: Path) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + _LET_GO
        while True:
            try:
                # flock(2), not fcntl(2): the latter's locks go when any descriptor of the file is closed, as
                # `is_locked` and `holder_of` do in the same process.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                if not _is_alive(holder) and time.monotonic() < end:
                    time.sleep(0.02)  # chosen: fifty looks in _LET_GO
                    continue
                os.close(descriptor)
                raise SpoolInUse(
                    f"the spool {str(folder)!r} is in use by process {holder}, which hauls or amends the same"
                    " plan; wait for it, or give this job another spool"
                ) from None
            return descriptor

    def release(self) -> None:
        """Let go. The file stays: removing it would let two holders lock two files of one name."""
        _held.discard(self)
        with suppress(OSError):
            os.close(self._fd)


def holder_of(folder: Path) -> int | None:
    """The process that holds the spool or, where none does, held it last; None where nobody put it down."""
    with suppress(OSError, ValueError):
        return int((folder / LOCK).read_text("ascii", "replace")[:32])
    return None


def _is_alive(holder: str) -> bool:
    try:
        os.kill(int(holder), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        there, ours = os.stat(path), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def is_locked(folder: Path) -> bool:
    """Whether somebody hauls with this spool folder now."""
    try:
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look do not take each other for a holder.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _forget_in_child() -> None:
    # An flock belongs to the open file, which a fork shares: closing the child's descriptor leaves the
    # parent's lock as it is.
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_forget_in_child)
