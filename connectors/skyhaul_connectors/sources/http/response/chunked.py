"""Chunked bodies (RFC 9112, section 7.1), read strictly; a sans-I/O state machine."""

from __future__ import annotations

import enum
from collections.abc import Callable

from skyhaul_connectors.sources.http.response.head import NotHttp

_LINE_CAP = 256
"""Bytes of a line: a size, perhaps with an extension, which is passed over; RFC 9112, section 7.1.1, advises
a limit. Chosen, not measured."""
_TRAILERS_CAP = 8 * 1024
"""Bytes of all trailers, which are passed over (RFC 9112, section 7.1.2). Chosen, not measured."""
_HEX = frozenset(b"0123456789abcdefABCDEF")
"""`int` alone would take `+5`, `0x5`, `1_0` and spaces for numbers, where a proxy on the way does not."""


class _State(enum.Enum):
    SIZE = enum.auto()  # a line: hex digits, maybe an extension
    DATA = enum.auto()  # `left` bytes
    BREAK = enum.auto()  # CR LF after the data
    TRAILERS = enum.auto()  # lines up to an empty one
    DONE = enum.auto()


class ChunkReader:
    """`feed` until `done`."""

    def __init__(self, body: Callable[[int, int], None]) -> None:
        """`body`: told the stretches of the buffer that are data, as (start, end)."""
        self._body = body
        self._state = _State.SIZE
        self._line = bytearray()
        self._left = 0
        self._trailers = 0

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def feed(self, buffer: bytearray, at: int, stop: int) -> int:
        """Read one step from `buffer[at:stop]`; returns where the next step starts. Raises NotHttp.

        One step a call, since `body` may stop the reader, which looks at that between steps.
        """
        if self._state is _State.DATA:
            take = min(self._left, stop - at)
            self._left -= take
            if self._left == 0:
                self._state = _State.BREAK
            self._body(at, at + take)
            return at + take
        end = buffer.find(b"\n", at, stop)
        upto = stop if end < 0 else end + 1
        self._line += buffer[at:upto]
        if len(self._line) > _LINE_CAP:
            raise NotHttp("a chunk line that is too long")
        if end >= 0:
            line = bytes(self._line)
            self._line.clear()
            self._took_line(line)
        return upto

    def _took_line(self, line: bytes) -> None:
        # A bare LF may end other lines (RFC 9112, section 2.2). In chunks readers differ about it, and with
        # them about where the body ends.
        if not line.endswith(b"\r\n"):
            raise NotHttp("a chunk line that does not end with CR LF")
        content = line[:-2]
        if self._state is _State.BREAK:
            if content:
                raise NotHttp("a chunk longer than it says")
            self._state = _State.SIZE
        elif self._state is _State.SIZE:
            # White space before an extension is bad form that has to be borne (RFC 9112, section 7.1.1).
            digits = content.split(b";", 1)[0].rstrip(b" \t")
            if not 0 < len(digits) <= 15 or not _HEX.issuperset(digits):
                raise NotHttp("a chunk size that is no number")
            self._left = int(digits, 16)
            self._state = _State.DATA if self._left else _State.TRAILERS
        else:
            self._trailers += len(line)
            if self._trailers > _TRAILERS_CAP:
                raise NotHttp("trailers that are too long")
            if not content:
                self._state = _State.DONE
