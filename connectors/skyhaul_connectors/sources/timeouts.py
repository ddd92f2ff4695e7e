"""Deadlines of a channel, all in seconds on the loop's clock (monotonic; wall clock orders nothing)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """When a channel stops waiting.

    Attributes:
        connect: Name resolution, TCP and TLS together.
        idle: No byte at all while an answer is due.
        min_rate: Bytes per second that must come on average over any `rate_window` while an answer is due;
            far below what a share of a thin link gives, since it is there to catch a server that drips on
            purpose.
        rate_window: See `min_rate`.
        total: One range, from when it is first in line until its last byte.
    """

    connect: float = 20.0
    # Chosen, not measured: several SYN retries (1, 3, 7, 15 s) fit in, so a lossy link still connects.
    idle: float = 30.0
    # Chosen, not measured: nine of ten outages of `leo-mobile` are over within 5 s; after a longer one a new
    # connection gets through sooner than the old one (tests/links/test_emulated.py).
    min_rate: float = 128.0
    rate_window: float = 30.0
    # Chosen, not measured: 115 kB at `min_rate`.
    total: float = 900.0

    def __post_init__(self) -> None:
        for name in ("connect", "idle", "rate_window", "total"):
            if getattr(self, name) <= 0:
                raise ValueError(f"timeout {name} must be above zero seconds")
        if self.min_rate < 0:
            raise ValueError("timeout min_rate must not be negative")
