"""The bytes of one chunk: from a local file read in place, or from memory; and lines that start in it.

*The record-that-starts-here rule*: a record belongs to the chunk in which its first byte lies. The reader
of a chunk therefore looks at the byte before the chunk (is it a line's end?) and reads beyond the chunk's
end until the record that began inside it is whole. Wherever an object is cut, each record is read once.

`read` of ChunkBytes cuts a stretch at the object's end and raises nothing for one beyond it: readers look
ahead without knowing where the object ends.
"""

from __future__ import annotations

import os
from types import TracebackType

from skyhaul_schemas.errors import AccessRefused, ObjectMissing, SourceChanged
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.printable import brief
from skyhaul_schemas.storage_errors import storage_error


def whole(size: int, path: str = "memory", *, source: str = "memory") -> Chunk:
    """The one chunk of an object of `size` bytes that is not cut."""
    return Chunk(0, 0, PinnedObject(source, path, size, ""), 0, size)


class BytesChunk:
    """ChunkBytes over bytes in memory: for tests, and for members of a container."""

    def __init__(self, data: bytes, chunk: Chunk | None = None, *, path: str = "memory") -> None:
        self._data = data
        self._chunk = chunk if chunk is not None else whole(len(data), path)

    @property
    def chunk(self) -> Chunk:
        return self._chunk

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class FileChunkBytes:
    """ChunkBytes over a local file that is read in place.

    Size and mtime are compared with the plan's pin when the file is opened and again when it is closed
    without an error (`with`): bytes between the two are of one version. Raises SourceChanged,
    ObjectMissing, AccessRefused or StorageError.
    """

    def __init__(self, path: str, chunk: Chunk) -> None:
        self._path = path
        self._chunk = chunk
        self._file: int | None = None

    @property
    def chunk(self) -> Chunk:
        return self._chunk

    def read(self, offset: int, length: int) -> bytes:
        size = self._chunk.object.size
        # The pinned size, not the file's: what was appended since it was opened is not read, and is refused
        # when it is closed.
        length = min(length, size - offset)
        if length <= 0:
            return b""
        file = self._open()
        parts = []
        # pread may give less than it is asked for (Linux: at most 0x7ffff000 bytes a call), and keeps no
        # position, so that reads need no order among each other.
        while length:
            try:
                part = os.pread(file, length, offset)
            except OSError as error:
                raise storage_error(error, f"{brief(self._path)}: cannot be read at {offset}") from error
            if not part:
                raise SourceChanged(f"{brief(self._path)}: ends at {offset}, was planned with {size} bytes")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def check(self) -> None:
        """Compares the open file's size and mtime with the pin. Raises SourceChanged."""
        obj = self._chunk.object
        now = os.fstat(self._open())
        if now.st_size != obj.size:
            raise SourceChanged(
                f"{brief(self._path)}: has {now.st_size} bytes, was planned with {obj.size}; plan again"
            )
        kind, _, pinned = obj.version.partition(":")
        # fstat has nothing to hold against a pin of another kind; then only the size speaks.
        if kind == "mtime" and str(now.st_mtime_ns) != pinned:
            raise SourceChanged(f"{brief(self._path)}: was modified since it was planned; plan again")

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __enter__(self) -> FileChunkBytes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Under an error that is on its way already, a second one about the file would hide it. A file
            # that nobody read was never opened and has nothing to be compared.
            if error is None and self._file is not None:
                self.check()
                self._check_end()
                self._check_replaced()
        finally:
            self.close()

    def _open(self) -> int:
        if self._file is None:
            try:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                # Typed apart from other errors: these two are about one object and fail its shard, others may
                # be about the machine and are sorted by errno (docs/adr/0009).
                raise ObjectMissing(f"{brief(self._path)}: is gone since it was planned") from None
            except PermissionError:
                raise AccessRefused(f"{brief(self._path)}: permission denied") from None
            except OSError as error:
                raise storage_error(error, f"{brief(self._path)}: cannot be opened") from error
            self.check()
        return self._file

    def _check_end(self) -> None:
        """Raises SourceChanged where the file goes on behind its stated size.

        Some file systems state another size than can be read: /sys says 4096 for a few bytes, and a network
        file system may state one from its cache."""
        size = self._chunk.object.size
        try:
            more = os.pread(self._open(), 1, size)
        except OSError as error:
            raise storage_error(error, f"{brief(self._path)}: cannot be read at {size}") from error
        if more:
            raise SourceChanged(
                f"{brief(self._path)}: states {size} bytes and has more; haul a copy, or leave it out"
            )

    def _check_replaced(self) -> None:
        """Raises SourceChanged where the name stands for another file by now.

        A rename over the file leaves ours open and unchanged, so that fstat alone sees nothing."""
        try:
            named, opened = os.stat(self._path), os.fstat(self._open())
        except OSError:
            raise SourceChanged(f"{brief(self._path)}: is gone since it was planned; plan again") from None
        if (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino):
            raise SourceChanged(f"{brief(self._path)}: was replaced while it was read; plan again")
