"""Answers out of a stream of bytes, however it is cut into reads: sans-I/O, no clock, no copies of bodies.

    feed -> head (up to the empty line, at most HEAD_CAP bytes) -> body -> head -> ...

1xx heads are passed over. Bodies with a length are counted here, chunked ones by `ChunkReader`, others
last until the end of the connection. The sink may call `stop` at any time; nothing follows then.
"""

from __future__ import annotations

import enum
from typing import Protocol

from skyhaul_connectors.sources.http.response.chunked import ChunkReader
from skyhaul_connectors.sources.http.response.head import HEAD_CAP, AnswerHead, NotHttp, parse_head

_INTERIM_CAP = 8
"""1xx heads before a final one. A client has to bear several that it never asked for (RFC 9110, section
15.2); endless ones would keep a connection from ever being idle."""
_START = b"HTTP/1."
"""Held against the first bytes, so that what is no HTTP (a banner, a TLS alert) is told without waiting for
an empty line that never comes."""
_BODILESS = (204, 304)
"""RFC 9112, section 6.3: they end with their head, whatever length that states."""


class AnswerSink(Protocol):
    """What the reader tells."""

    def answer_head(self, head: AnswerHead) -> bool:
        """A final answer begins; returns whether it was asked for by HEAD (and thus has no body)."""

    def answer_body(self, data: memoryview) -> None:
        """The next bytes of the body; valid during the call only."""

    def answer_end(self) -> None:
        """The answer is whole."""


class _State(enum.Enum):
    HEAD = enum.auto()
    LENGTH = enum.auto()
    CHUNKS = enum.auto()
    UNTIL_CLOSE = enum.auto()
    STOPPED = enum.auto()


class AnswerReader:
    """Tells `sink` of each answer of one connection, while `feed` runs."""

    def __init__(self, sink: AnswerSink) -> None:
        self._sink = sink
        self._state = _State.HEAD
        self._partial = bytearray()
        self._left = self._length = 0
        self._interim = 0
        self._chunks: ChunkReader | None = None
        self._view = memoryview(b"")

    @property
    def between_answers(self) -> bool:
        """No byte of the next answer has come."""
        return self._state is _State.HEAD and not self._partial

    @property
    def left(self) -> int:
        """Bytes of the body under way that are to come; 0 between bodies and without a stated length."""
        return self._left if self._state is _State.LENGTH else 0

    @property
    def length(self) -> int:
        """Bytes of the last body whose length was stated."""
        return self._length

    def stop(self) -> None:
        """Nothing follows: also not of the bytes that `feed` has in hand."""
        self._state = _State.STOPPED

    def feed(self, buffer: bytearray, view: memoryview, stop: int) -> None:
        """`view` is a memoryview of `buffer`; its first `stop` bytes have come. Raises NotHttp."""
        at = 0
        self._view = view
        while at < stop:
            match self._state:
                case _State.LENGTH:
                    take = min(self._left, stop - at)
                    self._left -= take  # first: the sink asks for `left` in its `answer_body`
                    self._sink.answer_body(view[at : at + take])
                    at += take
                    if self._left == 0:
                        self._end()
                case _State.HEAD:
                    at = self._feed_head(buffer, at, stop)
                case _State.CHUNKS:
                    assert self._chunks is not None
                    at = self._chunks.feed(buffer, at, stop)
                    if self._chunks.done:
                        self._end()
                case _State.UNTIL_CLOSE:
                    self._sink.answer_body(view[at:stop])
                    return
                case _State.STOPPED:
                    return

    def eof(self) -> bool:
        """The connection ended. False where it cut an answer short."""
        if self._state is _State.UNTIL_CLOSE:
            self._end()
        return self._state is _State.STOPPED or self.between_answers

    def _feed_head(self, buffer: bytearray, at: int, stop: int) -> int:
        # Most heads are in one read, and are copied once; only one that is cut is gathered.
        if not self._partial:
            end = buffer.find(b"\r\n\r\n", at, min(stop, at + HEAD_CAP))
            if end >= 0:
                self._took_head(bytes(buffer[at : end + 4]))
                return end + 4
        before = len(self._partial)
        # One byte more than may be, which tells a head that is too long from one that just fits.
        self._partial += buffer[at : min(stop, at + HEAD_CAP - before + 1)]
        end = self._partial.find(b"\r\n\r\n", max(0, before - 3))  # the empty line may be cut, too
        if 0 <= end <= HEAD_CAP - 4:
            head = bytes(self._partial[: end + 4])
            self._partial.clear()
            self._took_head(head)
            return at + end + 4 - before
        if not self._partial.startswith(_START[: len(self._partial)]):
            raise NotHttp("not HTTP/1.1")
        if len(self._partial) > HEAD_CAP:
            raise NotHttp(f"a head longer than {HEAD_CAP} bytes")
        return stop

    def _took_head(self, data: bytes) -> None:
        if not data.startswith(_START):
            raise NotHttp("not HTTP/1.1")
        head = parse_head(data)
        if head.status < 200:
            self._interim += 1
            # After 101 another protocol follows (RFC 9110, section 15.2.2); no Upgrade is ever sent.
            if self._interim > _INTERIM_CAP or head.status == 101:
                raise NotHttp(f"status {head.status} that nobody asked for")
            return
        self._interim = 0
        # Set before the sink is told, which may stop the reader.
        if head.chunked:
            self._state, self._chunks = _State.CHUNKS, ChunkReader(self._chunk_body)
        elif head.length is None:
            self._state = _State.UNTIL_CLOSE
        else:
            self._state = _State.LENGTH
            self._left = self._length = head.length
        expected = self._state
        bodiless = self._sink.answer_head(head) or head.status in _BODILESS or head.length == 0
        if bodiless and self._state is expected:
            self._end()

    def _chunk_body(self, start: int, stop: int) -> None:
        # The sink may have stopped the reader at an earlier chunk of the same read.
        if self._state is _State.CHUNKS:
            self._sink.answer_body(self._view[start:stop])

    def _end(self) -> None:
        if self._state is not _State.STOPPED:
            self._state = _State.HEAD
            self._sink.answer_end()
