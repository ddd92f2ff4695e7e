"""The spool folders on this machine: who holds them, which nobody needs any more, can one be written to.

A spool is of one plan and one worker at a time: `<spool>/<plan>` and, where a runner starts several workers
on a machine, `<spool>/worker-N/<plan>`. A worker that is lost lets go of its lock (the kernel sees to it),
and the next one takes the lowest spool that is free, with what is in it. What stays beyond that is of plans
that changed, were finished elsewhere, or had more workers then.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from skyhaul_connectors.transfer.spool.disk import storage_error
from skyhaul_connectors.transfer.spool.lock import LOCK, SpoolLock, holder_of, is_locked
from skyhaul_connectors.transfer.spool.spool import JOURNAL, SUFFIX, folder_name
from skyhaul_schemas import storage_errors
from skyhaul_schemas.errors import SpoolInUse, StorageRefused, UsageError
from skyhaul_schemas.printable import printable


@dataclass(frozen=True, slots=True)
class SpoolFolder:
    """A plan's spool folder.

    Attributes:
        path: The folder.
        plan: The first 32 characters of the plan's digest.
        bytes: On disk, holes not counted.
        idle: Seconds since it last changed.
        newest: That moment, in seconds since 1970.
        shards: How many have a file in it.
        in_use: Whether a live process holds it.
        holder: The process that holds it, or held it last; None where nobody put it down.
        ours: Whether it belongs to the user who asks.
    """

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
    """The spools below `root` and those of its workers, oldest first. Other folders are left alone.

    Raises StorageError."""
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
                    # In units of 512 bytes (stat(2)); `st_size` would count the holes.
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
    """The user's own spools below `root` that are not in use, oldest first. Raises StorageError.

    Args:
        root: Folder of all spools.
        keep: The digest of a plan whose spools are not among them.
        older_than: Seconds for which they have not changed."""
    kept = None if keep is None else folder_name(keep)
    return [
        spool
        for spool in spools(root)
        if spool.ours and not spool.in_use and spool.idle >= older_than and spool.plan != kept
    ]


def remove_spool(spool: SpoolFolder, *, unless_used: bool = False) -> bool:
    """Remove the folder, under its lock.

    Args:
        spool: As it was looked at.
        unless_used: Leave it where it has been used since.

    Returns:
        False where it was left: somebody holds it, or has used it.

    Raises:
        UsageError: The folder is no spool.
        StorageError: It cannot be removed."""
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


@contextmanager
def held_spools(root: Path, plan: str) -> Iterator[None]:
    """Hold the plan's spool in `root` and those of its workers that there are.

    Raises SpoolInUse that names the holder, and StorageError."""
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


def probe_spool(root: Path) -> None:
    """Can the spool folder be written to? Makes it, and a file in it that is gone afterwards.

    Asked before anything else is done, so that a disk that is read-only from the start can be told from one
    that was remounted while a haul ran.

    Raises:
        StorageRefused: It cannot be written to.
        StorageError: It cannot now; it may be next time."""
    path = root / f".probe-{secrets.token_hex(6)}"
    done = "made"
    try:
        root.mkdir(parents=True, exist_ok=True)
        done = "written to"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        path.unlink()
    except OSError as error:
        what = f"spool {printable(str(root))} cannot be {done}"
        # In the midst of a haul EROFS is put off, as after a remount; at the start it is the user's mistake.
        if storage_errors.is_passing(error) and error.errno != errno.EROFS:
            raise storage_errors.storage_error(error, what) from error
        raise StorageRefused(f"{what}: {error.strerror}; choose another `spool`") from error
