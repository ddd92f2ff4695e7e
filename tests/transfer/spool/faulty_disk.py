"""A disk that fails on command: it dies at the n-th operation, loses what was not synced, or runs full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from skyhaul_connectors.transfer.spool.disk import PosixDisk


class Died(SystemExit):
    """The process died here. A SystemExit, since a loop lets nothing else through at once."""


class CountingDisk(PosixDisk):
    """Calls `at(n, operation)` before and after each operation that changes the disk; n counts from 0."""

    def __init__(self, at: Callable[[int, str], None]) -> None:
        self._at = at
        self.operations = 0

    def _step(self, operation: str) -> None:
        self._at(self.operations, operation)
        self.operations += 1

    def open(self, path: Path) -> int:
        self._step("before open")
        fd = super().open(path)
        self._step("after open")
        return fd

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        self._step("before write")
        half = len(data) // 2
        super().write_at(fd, data[:half], offset)
        self._step("within write")
        super().write_at(fd, data[half:], offset + half)
        self._step("after write")

    def sync(self, fd: int) -> None:
        self._step("before sync")
        super().sync(fd)
        self._step("after sync")

    def punch(self, fd: int, offset: int, length: int) -> None:
        self._step("before punch")
        super().punch(fd, offset, length)
        self._step("after punch")

    def unlink(self, path: Path) -> None:
        self._step("before unlink")
        super().unlink(path)
        self._step("after unlink")

    def sync_folder(self, path: Path) -> None:
        self._step("before folder sync")
        super().sync_folder(path)
        self._step("after folder sync")


class ForgetfulDisk(PosixDisk):
    """What was not synced is lost when the power fails: `power_cut()` takes unsynced bytes back."""

    def __init__(self) -> None:
        self._before: dict[int, list[tuple[int, bytes]]] = {}
        self._paths: dict[int, Path] = {}
        self._entered: set[Path] = set()

    def open(self, path: Path) -> int:
        if path.exists():
            self._entered.add(path)
        fd = super().open(path)
        self._before[fd] = []
        self._paths[fd] = path
        return fd

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        self._before[fd].append((offset, os.pread(fd, len(data), offset).ljust(len(data), b"\xee")))
        super().write_at(fd, data, offset)

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self._before[fd].clear()

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self._entered.update(p for p in self._paths.values() if p.parent == path)

    def close(self, fd: int) -> None:
        """Descriptors stay open, so that a power cut can still take bytes back."""

    def power_cut(self) -> None:
        for fd, writes in self._before.items():
            for offset, old in reversed(writes):
                os.pwrite(fd, old, offset)
            writes.clear()
        for path in self._paths.values():
            if path not in self._entered:
                path.unlink(missing_ok=True)


class FailingDisk(PosixDisk):
    """Operations named in `failures` raise that errno, so many times."""

    def __init__(self, **failures: tuple[int, int]) -> None:
        self.failures = dict(failures)
        self.synced_after_failure: list[int] = []
        self._failed: set[int] = set()
        self.only: Callable[[Path], bool] = lambda path: True
        self._paths: dict[int, Path] = {}

    def open(self, path: Path) -> int:
        fd = super().open(path)
        self._paths[fd] = path
        self._failed.discard(fd)
        return fd

    def _maybe_fail(self, operation: str, fd: int) -> None:
        number, times = self.failures.get(operation, (0, 0))
        if times > 0 and self.only(self._paths[fd]):
            self.failures[operation] = (number, times - 1)
            self._failed.add(fd)
            raise OSError(number, os.strerror(number))

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        self._maybe_fail("write", fd)
        super().write_at(fd, data, offset)

    def sync(self, fd: int) -> None:
        if fd in self._failed:
            self.synced_after_failure.append(fd)
        self._maybe_fail("sync", fd)
        super().sync(fd)


class SmallDisk(PosixDisk):
    """Holds `room` bytes of what is written and neither punched nor removed, then says ENOSPC."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._files: dict[int, Path] = {}
        self._used: dict[Path, int] = {}

    def open(self, path: Path) -> int:
        fd = super().open(path)
        self._files[fd] = path
        self._used.setdefault(path, 0)
        return fd

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        if sum(self._used.values()) + len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._used[self._files[fd]] += len(data)
        super().write_at(fd, data, offset)

    def punch(self, fd: int, offset: int, length: int) -> None:
        super().punch(fd, offset, length)
        self._used[self._files[fd]] -= length

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._used.pop(path, None)


class NthWriteFails(PosixDisk):
    """Write number `nth` (from 1), and `count` - 1 more, fail with `number`, after `torn` bytes of each were
    written all the same. failed: called at that moment."""

    def __init__(
        self,
        nth: int,
        number: int = errno.EIO,
        *,
        count: int = 1,
        torn: int = 0,
        failed: Callable[[], None] = lambda: None,
        only: Callable[[Path], bool] = lambda path: True,
    ) -> None:
        self.writes = 0
        self.failures = 0
        self._nth, self._number, self._count, self._torn = nth, number, count, torn
        self._tell = failed
        self._only = only
        self._paths: dict[int, Path] = {}

    def open(self, path: Path) -> int:
        fd = super().open(path)
        self._paths[fd] = path
        return fd

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        if self._only(self._paths[fd]):
            self.writes += 1
            if self._nth <= self.writes < self._nth + self._count:
                super().write_at(fd, data[: self._torn], offset)
                self.failures += 1
                self._tell()
                raise OSError(self._number, os.strerror(self._number))
        super().write_at(fd, data, offset)


class RottenDisk(PosixDisk):
    """The first `times` reads that hold byte `place` find it flipped."""

    def __init__(self, place: int, times: int) -> None:
        self.place = place
        self.times = times

    def read_at(self, fd: int, length: int, offset: int) -> bytes:
        data = super().read_at(fd, length, offset)
        if self.times and offset <= self.place < offset + len(data):
            self.times -= 1
            at = self.place - offset
            return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        return data
