"""Framed records out of a stream: lines, exact stretches, searches, with a bounded buffer."""

from __future__ import annotations

from skyhaul_connectors.formats.bytes.stream import PIECE, Broken, Stream
from skyhaul_schemas.records import RAW_CAP


class ByteReader:
    """Reads a stream in the pieces that a format asks for.

    Where the stream breaks, the bytes before the break are served first; Broken is raised only when a format
    needs more than those. `start`, `beginning` and `end` then describe the record that was cut short.

    Attributes:
        start: Offset in the stream at which the current record begins (`begin`).
        beginning: Its first bytes, as far as they had been read when it began; at most RAW_CAP.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        # `_base` is the offset in the stream of `_buffer[0]`, `_at` the place in the buffer of the next byte.
        # Every method that drops or puts back bytes has to move both, or the offsets of all later records are
        # wrong.
        self._buffer = b""
        self._at = 0
        self._base = stream.position
        self._ended = False
        # Kept instead of raised: callers that want to look for a next record in what is left (`ahead`,
        # `gather`) get it without an exception, and `check` raises it later.
        self._broken: Broken | None = None
        self.start = stream.position
        self.beginning = b""

    @property
    def offset(self) -> int:
        """Offset in the stream of the next byte."""
        return self._base + self._at

    @property
    def end(self) -> int:
        """Offset up to which the stream has been read, which may be beyond `offset`."""
        return self._base + len(self._buffer)

    def begin(self) -> int:
        """Notes that a record begins here, to be told of if the stream breaks in it; returns its offset."""
        self.start = self.offset
        self.beginning = self._buffer[self._at : self._at + RAW_CAP]
        return self.start

    def peek(self, length: int) -> bytes:
        """The next bytes, up to `length`, without taking them; b"" only at the end.

        Raises:
            Broken: Where the stream broke and nothing is left before the break."""
        ahead = self.ahead(length)
        if not ahead:
            self.check()
        return ahead

    def check(self) -> None:
        """Raises Broken if the stream broke when it was last read."""
        if self._broken is not None:
            raise self._broken

    def ahead(self, length: int) -> bytes:
        """As `peek`, but b"" where the stream is broken, too; never raises Broken."""
        while len(self._buffer) - self._at < length and self._more():
            pass
        return self._buffer[self._at : self._at + length]

    def take(self, length: int) -> bytes:
        """Takes the next `length` bytes; fewer where the stream ends.

        Raises:
            Broken: The stream breaks before so many; those before the break are lost."""
        piece = self.gather(length)
        if len(piece) < length:
            self.check()
        return piece

    def gather(self, length: int) -> bytes:
        """As `take`, but never raises Broken: there are fewer bytes where the stream is broken, too."""
        have = len(self._buffer) - self._at
        if have >= length:
            piece = self._buffer[self._at : self._at + length]
            self._at += length
            return piece
        # Pieces are joined once at the end: growing the buffer piece by piece would copy a record of many MiB
        # again for each MiB.
        parts = [self._buffer[self._at :]]
        self._base += len(self._buffer)
        self._buffer, self._at = b"", 0
        missing = length - have
        while missing and self._more():
            piece = self._buffer[:missing]
            # `_more` replaces an empty buffer, so that a piece holds only new bytes; what is left of the last
            # one stays in the buffer.
            parts.append(piece)
            self._at = len(piece)
            missing -= len(piece)
            if missing:
                self._base += self._at
                self._buffer, self._at = b"", 0
        return b"".join(parts)

    def skip(self, length: int) -> int:
        """Passes over `length` bytes without holding them; returns how many there were."""
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
        """The bytes up to and with the next LF; without one where the stream ends or `limit` is reached."""
        searched = 0
        while True:
            found = self._buffer.find(b"\n", self._at + searched, self._at + limit)
            if found >= 0:
                break
            # Counted from `_at`, since `_more` moves the buffer. Bytes that were searched once are not
            # searched again, so that a long line costs time in proportion to its length.
            searched = len(self._buffer) - self._at
            if searched >= limit or not self._more():
                if searched < limit:
                    self.check()
                return self.take(min(limit, len(self._buffer) - self._at))
        return self.take(found + 1 - self._at)

    def skip_to(self, marker: bytes, length: int) -> int:
        """Passes over `length` bytes, or over those before `marker` if it begins within them.

        Never raises Broken.

        Returns:
            How many bytes were passed over; fewer than `length` without a marker where the stream ended."""
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
        """Passes over bytes until `marker` is next, at least `beyond`; False at the stream's end.

        Raises:
            Broken: Where the stream breaks before a marker."""
        start = beyond
        while True:
            found = self._buffer.find(marker, self._at + start)
            if found >= 0:
                self._at = found
                return True
            # The buffer's last bytes may be the first part of a marker.
            keep = min(len(self._buffer) - self._at, len(marker) - 1)
            passed = len(self._buffer) - self._at - keep
            self._at += passed
            start = max(0, start - passed)
            if not self._more():
                self._at = len(self._buffer)
                self.check()
                return False

    def unread(self, raw: bytes) -> None:
        """Puts back `raw`, the bytes that were taken last."""
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
            # The end of the stream as far as this reader goes: a stream that broke is not asked again.
            self._broken = broken
        if not piece:
            self._ended = True
            return False
        # The common case of a buffer that is used up costs no copy of the piece.
        if self._at == len(self._buffer):
            self._base += self._at
            self._buffer = piece
        else:
            self._base += self._at
            self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return True
