"""The few file operations that the spool rests on, in one place, so that tests can make them fail.

Everything here raises OSError; `storage_error` translates it once, where the spool's callers are.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
from pathlib import Path
from typing import Protocol

from skyhaul_connectors.durable import sync_folder
from skyhaul_schemas import storage_errors as errors_of_storage
from skyhaul_schemas.errors import StorageError
from skyhaul_schemas.printable import printable

_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01  # linux/falloc.h


class Disk(Protocol):
    """What the spool asks of a disk. Offsets and lengths in bytes."""

    def open(self, path: Path) -> int:
        """Open the file for reading and writing, and create it where it is missing."""

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`."""

    def read_at(self, fd: int, length: int, offset: int) -> bytes:
        """Read up to `length` bytes; fewer at the end of the file."""

    def sync(self, fd: int) -> None:
        """Sync the file's data: it is on the disk when this returns."""

    def punch(self, fd: int, offset: int, length: int) -> None:
        """Give the stretch back to the disk where it can; it may read as zeros afterwards."""

    def close(self, fd: int) -> None:
        """Close the descriptor."""

    def unlink(self, path: Path) -> None:
        """Remove the file; no error where it is gone."""

    def note(self, path: Path, data: bytes) -> None:
        """Put `data` at the beginning of a small file, made where it is missing. Nothing syncs it."""

    def sync_folder(self, path: Path) -> None:
        """Sync the folder: its entries are on the disk when this returns."""


class PosixDisk:
    """The operating system's files."""

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        # pwrite(2) may take less than all without an error (2 GiB at once, a disk that runs full): its next
        # call says why.
        written = os.pwrite(fd, data, offset)
        if written < len(data):
            rest = memoryview(data)
            while written < len(rest):
                more = os.pwrite(fd, rest[written:], offset + written)
                if not more:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                written += more

    def read_at(self, fd: int, length: int, offset: int) -> bytes:
        data = os.pread(fd, length, offset)
        if len(data) == length or not data:
            return data
        parts = [data]
        have = len(data)
        while have < length and (data := os.pread(fd, length - have, offset + have)):
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def sync(self, fd: int) -> None:
        _datasync(fd)

    def punch(self, fd: int, offset: int, length: int) -> None:
        _punch(fd, offset, length)

    def close(self, fd: int) -> None:
        os.close(fd)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def note(self, path: Path, data: bytes) -> None:
        # Without O_TRUNC: a process that is killed in between would leave an empty note. What stays of a
        # longer one lies behind the new one's end of line.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, data, 0)
        finally:
            os.close(fd)

    def sync_folder(self, path: Path) -> None:
        sync_folder(path)


_datasync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def _punch(fd: int, offset: int, length: int) -> None:
    """fallocate(2) with FALLOC_FL_PUNCH_HOLE; where a system has none the bytes simply stay."""
    if _fallocate is None:
        return
    if _fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, offset, length) != 0:
        number = ctypes.get_errno()
        if number not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise OSError(number, os.strerror(number))


def _find_fallocate() -> ctypes._NamedFuncPointer | None:
    # By ctypes, since `os.posix_fallocate` cannot punch holes.
    try:
        function = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    function.restype = ctypes.c_int
    return function


_fallocate = _find_fallocate()


def storage_error(error: OSError, doing: str, path: Path | str) -> StorageError:
    """The error of ours for a step on `path`; see `skyhaul_schemas.storage_errors`."""
    return errors_of_storage.storage_error(error, f"{doing} {printable(os.fspath(path))!r} failed")
