"""When a connection has waited long enough: idle, minimum rate, total. Sans-I/O; seconds and bytes."""

from __future__ import annotations

from skyhaul_connectors.sources.timeouts import Timeouts


class Deadlines:
    """Told of bytes and of the request that is first in line; asked a few times in the shortest limit,
    which is cheaper than a timer a read."""

    def __init__(self, limits: Timeouts) -> None:
        self._limits = limits
        self._last_byte = 0.0
        self._window_start = 0.0
        self._window_bytes = 0
        self.interval = min(limits.idle, limits.rate_window, limits.total, 8.0) / 8

    def begin(self, now: float) -> None:
        """Something is asked after nothing was."""
        self._last_byte = self._window_start = now
        self._window_bytes = 0

    def got(self, count: int, now: float) -> None:
        self._last_byte = now
        self._window_bytes += count

    def passed(self, now: float, first_in_line: float) -> str | None:
        """Which limit is passed, in words, while an answer is due; None if none is. `first_in_line`: since
        when the answer that is due is the next one."""
        limits = self._limits
        if now - self._last_byte >= limits.idle:
            return f"no byte for {limits.idle:g}s"
        if now - first_in_line >= limits.total:
            return f"not whole after {limits.total:g}s"
        if now - self._window_start >= limits.rate_window:
            rate = self._window_bytes / (now - self._window_start)
            self._window_start, self._window_bytes = now, 0
            if rate < limits.min_rate:
                return f"{rate:.0f} bytes/s, less than {limits.min_rate:g}"
        return None
