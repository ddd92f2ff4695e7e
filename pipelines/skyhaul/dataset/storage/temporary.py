"""Temporary folders that a dead process leaves behind and the next one clears away.

A folder belongs to the process that holds the lock (flock) on the file `lock` in it; the system drops the
lock with the process, also on SIGKILL, so no clock and no process number is asked.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from skyhaul_connectors.durable import sync_folder

PREFIX = "tmp-"
"""Listings of the dataset leave out what begins so (`LocalStore.list`)."""

_LOCK = "lock"


class TemporaryFolder:
    """A folder `tmp-…` in `parent`, held by this process until `remove()`. Raises OSError."""

    def __init__(self, parent: Path) -> None:
        self.owner = os.getpid()
        while True:
            self.path = parent / f"{PREFIX}{secrets.token_hex(6)}"
            self.path.mkdir(mode=0o755)
            descriptor = _locked(self.path)
            if descriptor is not None:
                self._descriptor = descriptor
                return

    def remove(self) -> None:
        """Remove the folder, unless it came from a parent by fork.

        What the system does not let go of stays, with the lock, for the next process."""
        try:
            if os.getpid() == self.owner:
                _empty(self.path)
        except OSError:
            return
        finally:
            os.close(self._descriptor)


class OwnTemporary:
    """The temporary folder of this process, in `parent()`.

    It is made when it is first asked for, and anew after a fork: the parent's goes when the parent closes the
    store.
    """

    def __init__(self, parent: Callable[[], Path]) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        self._folder: TemporaryFolder | None = None

    def path(self) -> Path:
        """Raises OSError, and what `parent` raises."""
        with self._lock:
            if self._folder is None or self._folder.owner != os.getpid():
                self._folder = TemporaryFolder(self._parent())
            return self._folder.path

    def remove(self) -> None:
        with self._lock:
            if self._folder is not None and self._folder.owner == os.getpid():
                self._folder.remove()
            self._folder = None


def _locked(folder: Path) -> int | None:
    """The lock on a new folder; None where a cleaner took it for a leftover first."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        # No locks on this filesystem: then no cleaner can take one either, and leftovers stay.
        return descriptor
    # A cleaner may have had the lock between our opening and our locking, and removed the file.
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    try:
        # A power cut that took the lock's name, and left files, would leave a folder that nobody clears.
        sync_folder(folder)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def clear_leftovers(parent: Path) -> int:
    """Remove the temporary folders of dead processes in `parent`; how many there were."""
    try:
        names = [entry.name for entry in os.scandir(parent) if entry.name.startswith(PREFIX)]
    except OSError:
        return 0
    return sum(_clear(parent / name) for name in sorted(names))


def _clear(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        try:
            # Killed between making the folder and its lock; a live owner would make another.
            folder.rmdir()
        except OSError:
            return False
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _empty(folder)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _empty(folder: Path) -> None:
    """Remove the folder and what is in it, the lock file last. Raises OSError.

    Should this process die or fail on its way, or the power, the next one clears the rest."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        elif entry.name != _LOCK:
            os.unlink(entry.path)
    sync_folder(folder)
    (folder / _LOCK).unlink(missing_ok=True)
    folder.rmdir()
