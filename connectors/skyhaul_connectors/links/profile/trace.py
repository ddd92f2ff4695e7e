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
DELAY_STEP = 0.010
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_MILLISECONDS = 2 * 3600 * 1000


@dataclass(frozen=True, slots=True, eq=False)
class RateTrace:
    """Bytes that may have passed, by time; the trace repeats for ever.

    passed[k] is how many packets have passed by millisecond k, passed[0] = 0. Within a millisecond they
    pass evenly, so that the trace never runs ahead of its file by a packet.
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
        index = min(int(within), last - 1)
        low = self.passed[index]
        packets = low + (self.passed[index + 1] - low) * (within - index)
        return (rounds * self.packets + packets) * PACKET_BYTES

    def when(self, start: float, count: float) -> float:
        """When `count` bytes have passed that began to at `start`; O(log n)."""
        last = len(self.passed) - 1
        target = self.bytes_by(start) / PACKET_BYTES + count / PACKET_BYTES
        rounds, within = divmod(target, self.packets)
        if within == 0 and rounds > 0:
            rounds, within = rounds - 1, float(self.packets)
        index = max(1, bisect.bisect_left(self.passed, within))
        low, high = self.passed[index - 1], self.passed[index]
        part = (within - low) / (high - low) if high > low else 0.0
        return max(start, (rounds * last + index - 1 + part) / 1000)

    def rate_at(self, at: float, over: float = 1.0) -> float:
        """bit/s on average over [at, at + over)."""
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
    """Raises UsageError that names file and line."""
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
    counts = np.bincount(np.maximum(times, 1), minlength=last + 1)
    return RateTrace(array("q", np.cumsum(counts).tolist()), path)


def load_delay_trace(path: str) -> DelayTrace:
    """Raises UsageError that names file and line."""
    delays = _integers(path)
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
