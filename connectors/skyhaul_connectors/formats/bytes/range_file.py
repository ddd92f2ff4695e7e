"""A seekable file over stretches of an object, for libraries that want one."""

from __future__ import annotations

import io
from collections.abc import Callable

from skyhaul_connectors.formats.bytes.stream import Broken


class RangeFile(io.RawIOBase):
    """A file of `size` bytes over `read(offset, length)`."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        length = left if size is None or size < 0 else min(size, left)
        if not length:
            return b""
        data = self._read(self._at, length)
        # A library takes fewer bytes than it asked for for the end of the file, and might read an object that
        # is cut off as a short one.
        if len(data) != length:
            raise Broken(f"ends at {self._at + len(data)}")
        self._at += length
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed: any buffer
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
