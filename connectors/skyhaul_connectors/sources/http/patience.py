"""How long a connection waits: for an answer before it is given up, and for more bytes before it is read.

Sans-I/O but for `gather`; seconds and bytes.

A hundred connections over one link bring a packet or two each time they are looked at, and a look costs
more than its packets' bytes do. SO_RCVLOWAT (socket(7)) has the kernel wait for more. It never waits for
what may not come: only inside a body of known length, and never for more than is left of it.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from skyhaul_connectors.sources.timeouts import Timeouts


class Deadlines:
    """When a connection has waited long enough: idle, minimum rate, total.

    Told of bytes and of the request that is first in line; asked a few times in the shortest limit, which is
    cheaper than a timer a read.
    """

    def __init__(self, limits: Timeouts) -> None:
        self._limits = limits
        self._last_byte = 0.0
        self._window_start = 0.0
        self._window_bytes = 0
        # So a limit is noticed an eighth late at most. With limits of 8 s and more, as by default, a
        # connection costs one timer a second.
        self.interval = min(limits.idle, limits.rate_window, limits.total, 8.0) / 8

    def begin(self, now: float) -> None:
        """Something is asked at `now` (the loop's time) after nothing was."""
        self._last_byte = self._window_start = now
        self._window_bytes = 0

    def got(self, count: int, now: float) -> None:
        self._last_byte = now
        self._window_bytes += count

    def passed(self, now: float, first_in_line: float) -> str | None:
        """Which limit is passed, in words, while an answer is due; None if none is.

        Args:
            now: The loop's time, in seconds.
            first_in_line: Since when the answer that is due is the next one.
        """
        limits = self._limits
        if now - self._last_byte >= limits.idle:
            return f"no byte for {limits.idle:g}s"
        if now - first_in_line >= limits.total:
            return f"not whole after {limits.total:g}s"
        # A window that begins where the last one ended, and not a sliding one, needs no history; a drip is
        # noticed about two windows after it began.
        if now - self._window_start >= limits.rate_window:
            rate = self._window_bytes / (now - self._window_start)
            self._window_start, self._window_bytes = now, 0
            if rate < limits.min_rate:
                return f"{rate:.0f} bytes/s, less than {limits.min_rate:g}"
        return None


SMALLEST, LARGEST = 4 * 1024, 16 * 1024
"""Bytes. Below the first waiting is not worth its system call; above the second a wake-up costs little
beside its bytes, and a SIGKILL would lose what lies in the kernel. Chosen; the
haul of which they are a part is measured by `benchmarks/links` (docs/transfer.md)."""

PARTS = 8
"""An answer is looked at so many times at least: what has come of it decides when more is asked for."""

SOON, LATE = 0.008, 0.03
"""Seconds that gathering took: after less more is waited for, after more less, so that a slow connection
is read packet by packet and its silence is told from its slowness. Chosen, not measured."""

TLS_MARGIN = 17 * 1024
"""Bytes of a TLS record and its frame (RFC 8446, section 5.1): so much of what is left of a body may have
been read already and be waiting for the end of its record."""


_OPTION: int = getattr(socket, "SO_RCVLOWAT", 0)
"""Heeded by poll and epoll since Linux 2.6.28 (socket(7))."""


def gather(connection: socket.socket | None, mark: int) -> None:
    """Have the kernel wake us for `mark` bytes or the end of the connection."""
    if connection is not None and _OPTION:
        with suppress(OSError):  # a system that has no such mark wakes us for every byte
            connection.setsockopt(socket.SOL_SOCKET, _OPTION, mark)


class LowWater:
    """One connection's mark. Sans-I/O; `gather` sets it."""

    def __init__(self, margin: int = 0) -> None:
        """`margin`: bytes of the body that may have been read off the socket before they are counted."""
        self._margin = margin
        self._gather = SMALLEST
        self._mark = 1
        self._read_at = float("-inf")  # the first read counts as a slow one

    @property
    def mark(self) -> int:
        """Bytes that must be there for the connection to be read."""
        return self._mark

    def read(self, now: float, left: int, length: int) -> bool:
        """The connection was read.

        Args:
            now: When, in seconds.
            left: Bytes of the body under way that are to come; 0 between bodies.
            length: Bytes of that body.

        Returns:
            Whether `mark` is another one now, and has to be set.
        """
        took = now - self._read_at
        self._read_at = now
        # With a mark `took` is how long gathering took, without one how long a packet did.
        if self._mark > 1:
            if took > LATE:
                self._gather //= 2
            elif took < SOON:
                self._gather = min(LARGEST, 2 * self._gather)
        elif self._gather < SMALLEST and left and took < SOON:
            self._gather = SMALLEST
        # A mark beyond the last byte of the answer would wait for the next one, which may not be asked for
        # yet.
        mark = min(self._gather, left - self._margin, length // PARTS)
        if mark < SMALLEST:
            mark = 1
        changed = mark != self._mark
        self._mark = mark
        return changed

    def look(self, now: float) -> bool:
        """Take the mark back where the connection slowed down, or died; to be called from time to time.

        What has come of it is then not left in the kernel. Returns whether `mark` is another one now.
        """
        if self._mark == 1 or now - self._read_at <= LATE:
            return False
        self._gather, self._mark = 0, 1  # 0: it has to be quick once more before anything is gathered
        return True
