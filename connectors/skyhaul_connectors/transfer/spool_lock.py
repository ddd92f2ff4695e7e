"""One haul a spool and plan: an flock that dies with its holder, with the holder's pid in the file."""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from skyhaul_connectors.transfer.disk import storage_error
from skyhaul_schemas.errors import SpoolInUse

LOCK = "lock"

_held: weakref.WeakSet[SpoolLock] = weakref.WeakSet()


class SpoolLock:
    """Held from construction to `release()`. Raises SpoolInUse that names the holder, or StorageError.

    A forked child lets go of its copy, else it would hold the spool beyond its parent's death.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(self._fd)
                raise SpoolInUse(
                    f"the spool {str(folder)!r} is in use by process {holder}, which hauls the same plan;"
                    " wait for it, or give this job another spool"
                ) from None
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError as error:
            raise storage_error(error, "locking", path) from error
        _held.add(self)

    def release(self) -> None:
        """Let go. The file stays: removing it would let two holders lock two files of one name."""
        _held.discard(self)
        with suppress(OSError):
            os.close(self._fd)


def is_locked(folder: Path) -> bool:
    """Whether somebody hauls with this spool folder now."""
    try:
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_forget_in_child)
