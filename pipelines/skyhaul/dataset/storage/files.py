"""The file operations of the commit path, each a named step.

Everything durable that a local dataset does goes through `LocalFiles`, so that one subclass (`before`,
`after`) can stop the process on either side of any step: that is how the crash tests reach each of them.
The order that callers keep: write to a temporary name, fsync, link (which never replaces), fsync
the folder, unlink the temporary name.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skyhaul.dataset.storage.errors import storage_error
from skyhaul_schemas.errors import StorageError
from skyhaul_schemas.printable import printable

if TYPE_CHECKING:
    from typing_extensions import Buffer

Step = Literal["create", "write", "fsync", "link", "replace", "unlink", "make-folder", "fsync-folder"]

_BUFFER = 1 << 20
"""Bytes that are written at once: Arrow writes pages and heads of a few bytes. Chosen, not measured."""


class LocalFiles:
    """Named file operations. They raise DiskFull or StorageError.

    FileExistsError and FileNotFoundError pass through, for they are answers rather than failures."""

    _root: Path | None = None
    _lasting: frozenset[Path] = frozenset()
    """Folders whose names this process has synced, or seen synced."""

    def before(self, step: Step, path: Path) -> None:
        """Called before each step; for fault injection."""

    def after(self, step: Step, path: Path) -> None:
        """Called after each step that went well; for fault injection."""

    @contextmanager
    def step(self, step: Step, path: Path) -> Iterator[None]:
        self.before(step, path)
        try:
            yield
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError as error:
            raise storage_error(error, step.replace("-", " the "), path) from error
        self.after(step, path)

    def create(self, path: Path) -> NewFile:
        """A new file to be written once, digested on its way."""
        with self.step("create", path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        return NewFile(self, path, descriptor)

    def write_new(self, path: Path, data: bytes) -> None:
        """Create `path` with `data` and sync it.

        A file whose sync failed is gone afterwards, for its pages may count as clean although they never
        reached the disk."""
        file = self.create(path)
        try:
            file.write(data)
            file.finish(sync=True)
        except BaseException:
            file.discard()
            raise

    def fsync(self, path: Path) -> None:
        with self.step("fsync", path):
            # Opened anew for reading: fsync(2) is about the file, not about who wrote it.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def hold(self, path: Path, sha256: str) -> None:
        """Read a finished file back, and hold it against the digest of what was written.

        Raises StorageError where it has other bytes."""
        try:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise storage_error(error, "read", path) from error
        if found != sha256:
            raise self.rotten(path)

    @staticmethod
    def rotten(path: Path) -> StorageError:
        """The error for a file that no longer has the bytes that were written."""
        return StorageError(
            f"{printable(str(path))} no longer has the bytes that were written to it, so that it was not put"
            " into the dataset; check the disk, or set TMPDIR to another one"
        )

    def link(self, source: Path, target: Path) -> None:
        """Give the file a second name. Raises FileExistsError where there is one: a link never replaces."""
        with self.step("link", target):
            os.link(source, target)

    def replace(self, source: Path, target: Path) -> None:
        with self.step("replace", target):
            os.replace(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file; no error where there is none."""
        with self.step("unlink", path):
            path.unlink(missing_ok=True)

    def fsync_folder(self, path: Path) -> None:
        with self.step("fsync-folder", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def keep(self, root: Path) -> None:
        """Have `make_folders` take `root` and all below it for ours."""
        self._root, self._lasting = root, frozenset()

    def make_folders(self, path: Path) -> None:
        """Make `path` and its parents; the name of each new one is synced into its parent.

        So is the name of each of ours, once, where it is there already: who made it may have been killed
        before it came to that."""
        ours = self._root is not None and (path == self._root or self._root in path.parents)
        if path.is_dir() and (not ours or path in self._lasting):
            return
        if path == self._root and path.is_dir():
            self._sync_name(path)
        else:
            self.make_folders(path.parent)
            with self.step("make-folder", path):
                try:
                    path.mkdir(exist_ok=True)
                except FileExistsError as error:
                    # A file, or a link to nothing, has the folder's name.
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
            self.fsync_folder(path.parent)
        # A new set, never a change of the old one: several threads read it without a lock. At worst a folder
        # is synced twice.
        self._lasting = self._lasting | {path}

    def _sync_name(self, root: Path) -> None:
        try:
            self.fsync_folder(root.parent)
        except StorageError as error:
            # A root in a folder that only others may list: they have made it.
            if not isinstance(error.__cause__, PermissionError):
                raise


class NewFile:
    """A file that is written once, in order, and digested on its way; `pa.PythonFile` can wrap it.

    The digest is of the bytes as they were produced, in memory. It may stand for the file only where every
    write went well: after one that did not, whoever caught its error, `finish` refuses. `close()` does
    nothing, for Arrow closes what it is given; `finish` and `discard` end it.
    """

    def __init__(self, files: LocalFiles, path: Path, descriptor: int) -> None:
        self.path = path
        self.bytes = 0
        self._files = files
        self._sha256 = hashlib.sha256()
        self._raw = _SteppedRaw(files, path, descriptor)
        self._buffered = io.BufferedWriter(self._raw, _BUFFER)
        self._discarded = False
        self._failed: BaseException | None = None

    @property
    def closed(self) -> bool:
        return False

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far."""
        return self._sha256.hexdigest()

    def write(self, data: Buffer) -> int:
        view = memoryview(data)
        if not self._discarded:
            with self._remembered():
                self._sha256.update(view)
                self._buffered.write(view)
            self.bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        """Do nothing: the bytes go out when the buffer is full, and at `finish`."""

    def close(self) -> None:
        """Do nothing; see the class."""

    def finish(self, *, sync: bool) -> None:
        """Write out what is buffered, sync it if asked, and close.

        Raises:
            DiskFull, StorageError: It failed now, or an earlier write did whose error was caught on the
                way."""
        if self._failed is not None:
            raise self._failed
        with self._remembered():
            self._buffered.flush()
            if sync:
                with self._files.step("fsync", self.path):
                    os.fsync(self._raw.descriptor)
            # What the system says it has, once more: a write that was cut short without an error would show.
            size = self._size()
            if size != self.bytes:
                raise StorageError(
                    f"{printable(str(self.path))} has {size} bytes after {self.bytes} were written to it;"
                    " check the disk, or whether something else writes there"
                )
        self._buffered.close()

    def _size(self) -> int:
        try:
            return os.fstat(self._raw.descriptor).st_size
        except OSError as error:
            raise storage_error(error, "look at", self.path) from error

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._failed = error
            raise

    def discard(self) -> None:
        """Drop what was written, and the file; later writes go nowhere. Fine after `finish` too."""
        self._discarded = True
        # Closing flushes what is buffered, onto a disk that may be full: it has to go nowhere.
        self._raw.dropped = True
        self._buffered.close()
        self._files.unlink(self.path)


class _SteppedRaw(io.RawIOBase):
    """An open descriptor whose every write is a step. Once `dropped`, writes go nowhere."""

    def __init__(self, files: LocalFiles, path: Path, descriptor: int) -> None:
        self.descriptor = descriptor
        self._files = files
        self._path = path
        self.dropped = False

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        if self.dropped:
            return memoryview(data).nbytes
        with self._files.step("write", self._path):
            return os.write(self.descriptor, data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self.descriptor)
