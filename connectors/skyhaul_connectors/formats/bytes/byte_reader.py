"""Framed records out of a stream: lines, exact stretches, searches, with a bounded buffer."""

from __future__ import annotations

from skyhaul_connectors.formats.bytes.stream import PIECE, Broken, Stream
from skyhaul_schemas.records import RAW_CAP


class ByteReader:
    """Reads a stream in the pieces that a format asks for.

    Where the stream is broken, what was read before is served first; Broken comes through when more is
    needed.
    `start`, `beginning` and `end` then say what the record was that it broke.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._base = stream.position
        self._ended = False
        self._broken: Broken | None = None
        self.start = stream.position
        self.beginning = b""

    @property
    def offset(self) -> int:
        """Where the next byte lies."""
        return self._base + self._at

    @property
    def end(self) -> int:
        """How far the stream has been read."""
        return self._base + len(self._buffer)

    def begin(self) -> int:
        """A record begins here; gives the offset."""
        self.start = self.offset
        self.beginning = self._buffer[self._at : self._at + RAW_CAP]
        return self.start

    def peek(self, length: int) -> bytes:
        """The next bytes, at least one before the end."""
        ahead = self.ahead(length)
        if not ahead:
            self.check()
        return ahead

    def check(self) -> None:
        """Raises Broken where the stream did."""
        if self._broken is not None:
            raise self._broken

    def ahead(self, length: int) -> bytes:
        """The next bytes as far as they can be had; never raises Broken."""
        while len(self._buffer) - self._at < length and self._more():
            pass
        return self._buffer[self._at : self._at + length]

    def take(self, length: int) -> bytes:
        """The next `length` bytes; fewer where the stream ends."""
        piece = self.gather(length)
        if len(piece) < length:
            self.check()
        return piece

    def gather(self, length: int) -> bytes:
        """As `take`, but never raises Broken: fewer bytes also where the stream is broken."""
        have = len(self._buffer) - self._at
        if have >= length:
            piece = self._buffer[self._at : self._at + length]
            self._at += length
            return piece
        parts = [self._buffer[self._at :]]
        self._base += len(self._buffer)
        self._buffer, self._at = b"", 0
        missing = length - have
        while missing and self._more():
            piece = self._buffer[:missing]
            parts.append(piece)
            self._at = len(piece)
            missing -= len(piece)
            if missing:
                self._base += self._at
                self._buffer, self._at = b"", 0
        return b"".join(parts)

    def skip(self, length: int) -> int:
        """Pass over `length` bytes; gives how many there were."""
        left = length
        while left:
            have = min(left, len(self._buffer) - self._at)
            self._at += have
            left -= have
            if left and not self._more():
                self.check()
                break
        return length - left

    def line(self, limit: int) -> bytes:
        """Up to and with the next LF; without one where the stream ends or `limit` is reached."""
        searched = 0
        while True:
            found = self._buffer.find(b"\n", self._at + searched, self._at + limit)
            if found >= 0:
                break
            searched = len(self._buffer) - self._at
            if searched >= limit or not self._more():
                if searched < limit:
                    self.check()
                return self.take(min(limit, len(self._buffer) - self._at))
        return self.take(found + 1 - self._at)

    def skip_to(self, marker: bytes, length: int) -> int:
        """Pass over `length` bytes, or those before `marker` where it lies in them; gives how many they were.
        Never raises Broken."""
        passed = 0
        while True:
            stop = min(len(self._buffer), self._at + length - passed)
            found = self._buffer.find(marker, self._at, stop)
            whole = passed + stop - self._at == length
            # The marker may be cut by the end of what is here.
            to = found if found >= 0 else stop if whole else max(self._at, stop - len(marker) + 1)
            passed += to - self._at
            self._at = to
            if found >= 0 or whole:
                return passed
            if not self._more():
                rest = len(self._buffer) - self._at
                self._at += rest
                return passed + rest

    def seek_to(self, marker: bytes, beyond: int = 0) -> bool:
        """Pass over bytes until `marker` is next, at least `beyond`; False at the stream's end."""
        start = beyond
        while True:
            found = self._buffer.find(marker, self._at + start)
            if found >= 0:
                self._at = found
                return True
            keep = min(len(self._buffer) - self._at, len(marker) - 1)
            passed = len(self._buffer) - self._at - keep
            self._at += passed
            start = max(0, start - passed)
            if not self._more():
                self._at = len(self._buffer)
                self.check()
                return False

    def unread(self, raw: bytes) -> None:
        """Hand back bytes that were taken last."""
        self._base = self.offset - len(raw)
        self._buffer = raw + self._buffer[self._at :]
        self._at = 0

    def _more(self) -> bool:
        if self._ended:
            return False
        piece = b""
        try:
            piece = self._stream.read(PIECE)
        except Broken as broken:
            self._broken = broken
        if not piece:
            self._ended = True
            return False
        if self._at == len(self._buffer):
            self._base += self._at
            self._buffer = piece
        else:
            self._base += self._at
            self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return True
