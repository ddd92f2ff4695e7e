"""Measured links: traces of rate and delay, replayed.

Rate (mahimahi, and LeoCC `bw`): one integer a line, the millisecond at which one packet of 1,500 bytes
may pass; repeats are several packets in that millisecond; the trace wraps round at its last millisecond.
Delay (LeoCC `delay`): one integer of milliseconds a line, one line each 10 ms; one way.
"""

from __future__ import annotations

import bisect
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skyhaul_connectors.links.profile.profile_file import read_profile_file
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

PACKET_BYTES = 1500
"""Bytes at the IP layer that one line of a rate trace lets pass (mahimahi's mm-link(1))."""

DELAY_STEP = 0.010
"""Seconds that one line of a delay trace holds for (LeoCC)."""

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Bytes of a trace: at 8 bytes a line two hours of 56 Mbit/s, or a shorter trace of a faster link."""

MAX_MILLISECONDS = 2 * 3600 * 1000
"""Length of a rate trace: its counters take 8 bytes a millisecond, 58 MB for two hours, as long as it is
used."""


@dataclass(frozen=True, slots=True, eq=False)
class RateTrace:
    """Bytes that may have passed, by time; the trace repeats for ever.

    Attributes:
        passed: passed[k] is how many packets have passed by millisecond k; passed[0] = 0. Within a
            millisecond they pass evenly, so that the trace never runs ahead of its file by a packet.
        origin: The file that it was read from.
    """

    passed: array[int]
    origin: str = ""

    @property
    def period(self) -> float:
        """Seconds until the trace repeats."""
        return (len(self.passed) - 1) / 1000

    @property
    def packets(self) -> int:
        return self.passed[-1]

    @property
    def mean_rate(self) -> float:
        """bit/s."""
        return self.packets * PACKET_BYTES * 8 / self.period

    def bytes_by(self, at: float) -> float:
        """Bytes that pass in [0, at)."""
        last = len(self.passed) - 1
        rounds, within = divmod(at * 1000, last)
        # A time that rounding put below 0 has the divisor itself as its rest.
        index = min(int(within), last - 1)
        low = self.passed[index]
        packets = low + (self.passed[index + 1] - low) * (within - index)
        return (rounds * self.packets + packets) * PACKET_BYTES

    def when(self, start: float, count: float) -> float:
        """When the last of `count` bytes has passed, of which the first could pass at `start`.

        The inverse of `bytes_by`, by bisection of the counters."""
        last = len(self.passed) - 1
        target = self.bytes_by(start) / PACKET_BYTES + count / PACKET_BYTES
        rounds, within = divmod(target, self.packets)
        # The last byte of a round passes in that round: the next may begin with seconds of silence.
        if within == 0 and rounds > 0:
            rounds, within = rounds - 1, float(self.packets)
        index = max(1, bisect.bisect_left(self.passed, within))
        low, high = self.passed[index - 1], self.passed[index]
        part = (within - low) / (high - low) if high > low else 0.0
        return max(start, (rounds * last + index - 1 + part) / 1000)

    def rate_at(self, at: float, over: float = 1.0) -> float:
        """bit/s on average over [at, at + over); seconds.

        Over a single millisecond a trace has whole packets only, of 12 Mbit/s each."""
        return (self.bytes_by(at + over) - self.bytes_by(at)) * 8 / over


@dataclass(frozen=True, slots=True, eq=False)
class DelayTrace:
    """One-way delay by time, in steps of 10 ms; repeats for ever."""

    milliseconds: array[int]
    origin: str = ""

    def at(self, at: float) -> float:
        """Seconds, one way."""
        return self.milliseconds[int(at / DELAY_STEP) % len(self.milliseconds)] / 1000


def load_rate_trace(path: str) -> RateTrace:
    """Read a trace of packets by millisecond (mahimahi, LeoCC `bw`).

    Raises:
        UsageError: The file cannot be read or is no such trace; names file and line."""
    times = _integers(path)
    falls = np.flatnonzero(np.diff(times) < 0)
    if falls.size:
        raise UsageError(
            f"trace {printable(path)}, line {falls[0] + 2}: {times[falls[0] + 1]} after {times[falls[0]]}; "
            "milliseconds never fall"
        )
    last = int(times[-1])
    if last < 1:
        raise UsageError(f"trace {printable(path)} ends in millisecond 0; it must last at least 1 ms")
    if last > MAX_MILLISECONDS:
        raise UsageError(f"trace {printable(path)} is longer than {MAX_MILLISECONDS // 3600_000} hours")
    # A packet of millisecond 0 passes within the first: counters start at 0 packets.
    counts = np.bincount(np.maximum(times, 1), minlength=last + 1)
    return RateTrace(array("q", np.cumsum(counts).tolist()), path)


def load_delay_trace(path: str) -> DelayTrace:
    """Read a trace of one-way delays (LeoCC `delay`).

    Raises:
        UsageError: The file cannot be read or is no such trace; names file and line."""
    delays = _integers(path)
    # Far beyond any link: whoever has microseconds or sums in the file is told.
    high = np.flatnonzero(delays > 3_600_000)
    if high.size:
        raise UsageError(
            f"trace {printable(path)}, line {high[0] + 1}: {delays[high[0]]} ms is more than an hour"
        )
    return DelayTrace(array("q", delays.tolist()), path)


def _integers(path: str) -> NDArray[np.int64]:
    lines = read_profile_file("trace", path, MAX_FILE_BYTES).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise UsageError(f"trace {printable(path)} is empty; write one whole number of milliseconds a line")
    # All at once, millions of lines; which one is wrong is looked for only where one is.
    try:
        numbers = np.fromiter(map(int, lines), dtype=np.int64, count=len(lines))
    except (ValueError, OverflowError):
        raise UsageError(_first_bad(path, lines)) from None
    if numbers.min() < 0:
        raise UsageError(_first_bad(path, lines))
    return numbers


def _first_bad(path: str, lines: list[bytes]) -> str:
    for number, line in enumerate(lines, 1):
        if not line.strip().isdigit() or len(line.strip()) > 15:
            found = line[:40].decode("ascii", "backslashreplace")
            return f"trace {printable(path)}, line {number}: {found!r} is no whole number of milliseconds"
    raise AssertionError
