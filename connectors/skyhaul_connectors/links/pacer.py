"""A token bucket whose rate can be changed while it runs."""

from __future__ import annotations

import math


class Pacer:
    """Lets `rate` bit/s through, after pauses at most `burst` seconds' worth (and one take) at once.

    A take may overdraw the bucket, so that a single large one is not stuck; the next waits until the
    debt is paid. Sans-I/O: `now` is an argument, in seconds since any fixed moment.

    Args:
        rate: bit/s, above 0; math.inf: no limit.
        burst: Seconds' worth that may pass at once after a pause. 0.05 was chosen, not measured.

    Raises:
        ValueError: The rate is not above 0.
    """

    def __init__(self, rate: float = math.inf, *, burst: float = 0.05) -> None:
        if not rate > 0:
            raise ValueError("rate must be above 0")
        self._rate = rate
        self._burst = burst
        # Bits that may pass at once; below 0 they are owed.
        self._level = 0.0
        self._at = 0.0

    @property
    def rate(self) -> float:
        """bit/s."""
        return self._rate

    def set_rate(self, now: float, rate: float) -> None:
        """From `now` on `rate` bit/s; what was overdrawn is paid at the new rate."""
        if not rate > 0:
            raise ValueError("rate must be above 0")
        # The time until now is paid at the old rate: the rate must not change before.
        self._fill(now)
        self._rate = rate
        self._level = min(self._level, self._rate * self._burst)

    def ready_at(self, now: float) -> float:
        """When the next take is allowed; `now` where it is at once."""
        self._fill(now)
        return now if self._level >= 0 else now - self._level / self._rate

    def take(self, now: float, nbytes: int) -> None:
        """Count `nbytes` against the rate. Asking `ready_at` before is the caller's part."""
        self._fill(now)
        # An infinite rate keeps no debt, else a rate that is set later would begin with all that went before.
        if self._rate != math.inf:
            self._level -= nbytes * 8

    def waiting(self, nbytes: int) -> None:
        """Do nothing; `SharedPace` asks others for a part of the link here."""

    def _fill(self, now: float) -> None:
        if self._rate == math.inf:
            self._level = 0.0
        elif now > self._at:
            self._level = min(self._level + (now - self._at) * self._rate, self._rate * self._burst)
        # Callers' clocks may be read a moment apart; time that goes back would be paid twice.
        self._at = max(self._at, now)
