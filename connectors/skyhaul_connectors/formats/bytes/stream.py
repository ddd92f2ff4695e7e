"""An object as a stream that is read once from its start: as it is, or decompressed on the way.

Offsets are of the stream: for a compressed object, of what comes out. A stream whose bytes end or lie
before their time raises `Broken`; what was read before it stays good.
"""

from __future__ import annotations

from typing import Protocol

from skyhaul_connectors.formats.protocol import ChunkBytes

PIECE = 1024 * 1024
"""Bytes asked of the source at once: large enough to make calls cheap, small enough for the caches."""


class Broken(Exception):
    """The stream cannot be read any further.

    It is raised inside formats only; decoders turn it into damage. It is a function of the pinned bytes,
    never of how they were carried: a connection's errors must not become damage."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stream(Protocol):
    """Bytes that are read once, in their order."""

    @property
    def position(self) -> int:
        """Offset in the stream of the next byte."""

    def read(self, length: int) -> bytes:
        """The next bytes, at least one and at most `length`; b"" at the end.

        Raises:
            Broken, and what ChunkBytes.read raises."""


class PeekedStream:
    """A stream whose first `length` bytes (`head`; fewer where it ends or breaks) were looked at."""

    def __init__(self, inner: Stream, length: int) -> None:
        self._inner = inner
        self._start = inner.position
        self.head = b""
        # A look ahead must not raise what the reader would meet later: the bytes before the break are served
        # first.
        self._broken: Broken | None = None
        try:
            while len(self.head) < length and (piece := inner.read(length - len(self.head))):
                self.head += piece
        except Broken as broken:
            self._broken = broken
        self._served = 0

    @property
    def position(self) -> int:
        return self._start + self._served if self._served < len(self.head) else self._inner.position

    def read(self, length: int) -> bytes:
        if self._served < len(self.head):
            piece = self.head[self._served : self._served + length]
            self._served += len(piece)
            return piece
        if self._broken is not None:
            raise self._broken
        return self._inner.read(length)


class PlainStream:
    """Bytes [start, stop) of the object as they are; it never raises Broken.

    No read crosses `border`, beyond which bytes may have to be fetched: what lies before it is served without
    waiting for them."""

    def __init__(self, data: ChunkBytes, start: int, stop: int, border: int | None = None) -> None:
        self._data = data
        self.position = start
        self._stop = stop
        self._border = border

    def read(self, length: int) -> bytes:
        length = min(length, self._stop - self.position)
        if length <= 0:
            return b""
        if self._border is not None and self.position < self._border:
            length = min(length, self._border - self.position)
        piece = self._data.read(self.position, length)
        self.position += len(piece)
        return piece
