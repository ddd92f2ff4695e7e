"""One shard's file in the spool, and what has arrived in it since the last commit.

What a stretch should hold is known once, when its bytes are in memory: they are digested there, after the
write that took them. A digest of bytes that were read back would vouch for whatever the disk has, a hole
that a failed write left included. So after a write that failed nothing that was pending is told any more.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from skyhaul_connectors.transfer.spool.disk import Disk, storage_error
from skyhaul_connectors.transfer.spool.extents import Arrival, arrivals
from skyhaul_connectors.transfer.spool.write_behind import WriteBehind
from skyhaul_schemas.errors import StorageError


@dataclass(slots=True)
class Pending:
    """What was written since it was last taken.

    Attributes:
        inode: Which of the files that had the name holds it; see `SpoolFile.inode`.
        arrived: The stretches, each with the digest of its bytes in memory.
    """

    inode: int = 0
    arrived: list[Arrival] = field(default_factory=list)


class SpoolFile:
    """One shard's file, open. Written by the loop's thread, read by any once it is flushed.

    Args:
        disk: The file operations.
        path: The file; created where it is missing.

    Attributes:
        path: As given.
        failed: Why a write failed, None while none did. From then on the file takes nothing, and nothing of
            it is pending: it is for another run to find out what of it is sound.
        entered: Whether the file's name was synced into its folder.

    Raises:
        DiskFull: The file cannot be created.
        StorageError: The file cannot be opened.
    """

    def __init__(self, disk: Disk, path: Path) -> None:
        self.path = path
        self.failed: StorageError | None = None
        self.entered = False
        self._disk = disk
        try:
            # The descriptor and a number for what is behind it, in one value: `replace` swaps both at once,
            # on another thread than the one that writes.
            self._file = (disk.open(path), 0)
        except OSError as error:
            raise storage_error(error, "opening the spool file", path) from error
        self._old: list[int] = []
        self._pending = Pending()
        self._behind = WriteBehind(self._write_now)

    @property
    def inode(self) -> int:
        """How many files had the name before the present one, since this was opened."""
        return self._file[1]

    def write(self, position: int, data: bytes | memoryview) -> None:
        """Take bytes, which are in the file after the next `take`.

        Raises:
            DiskFull, StorageError: A write failed, now or before; the file takes nothing any more."""
        if self.failed is not None:
            raise self.failed
        self._behind.add(position, data)

    def take(self) -> Pending:
        """Write what is held, and hand over what arrived.

        Raises:
            DiskFull, StorageError: A write failed: nobody knows what of it is in the file."""
        if self.failed is not None:
            raise self.failed
        self._behind.flush()
        taken, self._pending = self._pending, Pending(self.inode)
        return taken

    def forget(self) -> None:
        """Drop what is pending: it is never handed over."""
        self._behind.forget()
        self._pending = Pending(self.inode)

    def _write_now(self, position: int, data: bytes | memoryview) -> None:
        descriptor, inode = self._file
        if inode != self._pending.inode:
            self._pending = Pending(inode)  # what the file before this one held is gone with it
        try:
            self._disk.write_at(descriptor, data, position)
        except OSError as error:
            self.failed = storage_error(error, "writing to the spool file", self.path)
            self.forget()
            raise self.failed from error
        self._pending.arrived.extend(arrivals(position, data))

    def read(self, position: int, length: int) -> bytes:
        """Read bytes: fewer where the file is too short, none where the disk fails. The digests tell."""
        try:
            return self._disk.read_at(self._file[0], length, position)
        except OSError:
            return b""

    def sync(self) -> None:
        """Make what was written durable: the file's name (once) and its data, by `Disk.sync`.

        What is gathered and not flushed is not part of it. Blocks; the journal's thread.

        Raises:
            OSError: The data may be lost though a later sync succeeds (the kernel marks pages clean after a
                failed write-back), so the file must be replaced, never synced again."""
        if not self.entered:
            self._disk.sync_folder(self.path.parent)
            self.entered = True
        self._disk.sync(self._file[0])

    def replace(self) -> None:
        """A new, empty file under the name.

        The old descriptor stays open until `close()`, since another thread may be using it at this moment.

        Raises:
            DiskFull, StorageError: The file takes nothing any more."""
        descriptor, inode = self._file
        try:
            self._disk.unlink(self.path)
            fresh = self._disk.open(self.path)
        except OSError as error:
            self.failed = storage_error(error, "replacing the spool file", self.path)
            raise self.failed from error
        self._old.append(descriptor)
        self._file = (fresh, inode + 1)
        self.entered = False

    def punch(self, position: int, length: int) -> None:
        """Give the stretch back to the disk. Raises DiskFull or StorageError."""
        try:
            self._disk.punch(self._file[0], position, length)
        except OSError as error:
            raise storage_error(error, "punching a hole into the spool file", self.path) from error

    def close(self) -> None:
        """Close all descriptors. Nobody may use the file afterwards."""
        for descriptor in [self._file[0], *self._old]:
            with suppress(OSError):
                self._disk.close(descriptor)
        self._old.clear()
