"""Sizes, rates, durations and shares as people write them in a job file.

Sizes: `64MiB`, `1.5GB`, `4096` (bytes; binary and decimal suffixes as IEC 80000-13 defines them).
Rates: `130Mbit/s`, `2MB/s`, `9600bit/s` (returned in bit/s). Durations: `45ms`, `10m`, `1h30m`, `2d`
(returned in seconds). Shares: `0.4%` or `0.004`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction

from skyhaul_schemas.printable import describe

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
# Read as a Fraction, so that no size is rounded: 64-bit sizes have more digits than a float keeps. The cost
# of a Fraction grows with its digits, so these are limited.
_NUMBER = r"([0-9]{1,24}(?:\.[0-9]{1,24})?)"
# A size is never in bits, so that case says nothing; of a rate `b` and `B` are eight apart.
_SIZE = re.compile(rf"\s*{_NUMBER}\s*(?:([kmgtp])(i?))?b?\s*", re.IGNORECASE)
_RATE = re.compile(rf"\s*{_NUMBER}\s*([kMmGgTt]?)(i?)(bit|b|B)(?:/s|ps)\s*")
_DURATION = re.compile(rf"{_NUMBER}\s*(ms|us|s|m|h|d)\s*")
_SHARE = re.compile(rf"\s*{_NUMBER}\s*(%?)\s*")
_SECONDS = {
    "us": Fraction("0.000001"),
    "ms": Fraction("0.001"),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}

SIZE_LIMIT = 1 << 60
"""Bytes; keeps every size and sum of sizes within the plan's 64-bit columns."""
DURATION_LIMIT = 100 * 365 * 86400.0
"""Seconds; longer is a slip of the pen, and would overflow timers."""

SIZES = "bytes, or a number with kB, MB, GB, KiB, MiB or GiB, below 1 EiB"
RATES = "a number above zero with bit/s, kbit/s, Mbit/s, Gbit/s, kB/s or MB/s"
DURATIONS = "a number with ms, s, m, h or d, such as 45ms, 30s, 10m, 1h30m or 2d"
SHARES = "a share from 0 to 1, or from 0% to 100%, such as 0.004 or 0.4%"


class NotAllowed(ValueError):
    """A value that is none of the allowed ones.

    Args:
        found: The value.
        allowed: What is. It holds nothing of `found`, so that it can be printed where the value is secret.
    """

    def __init__(self, found: object, allowed: str) -> None:
        # Whoever reads values of the environment must not print this text, but `allowed` alone (`job.file`).
        super().__init__(f"found {describe(found)}, allowed: {allowed}")
        self.found = found
        self.allowed = allowed


def parse_size(text: str | int) -> int:
    """Bytes of `text`. Raises NotAllowed."""
    if isinstance(text, int) and not isinstance(text, bool):
        size = text
    else:
        match = _SIZE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise NotAllowed(text, SIZES)
        base = 1024 if match[3] else 1000
        exact = Fraction(match[1]) * base ** _POWERS[(match[2] or "").lower()]
        size = round(exact)
        if exact and not size:
            raise NotAllowed(text, f"{SIZES}; 0, or at least one byte")
    if not 0 <= size < SIZE_LIMIT:
        raise NotAllowed(text, SIZES)
    return size


def parse_rate(text: str | int | float) -> float:
    """bit/s of `text`. Raises NotAllowed, also for a number without a unit: bits and bytes are both usual."""
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise NotAllowed(text, RATES)
    base = 1024 if match[3] else 1000
    bits = 8 if match[4] == "B" else 1
    rate = float(Fraction(match[1]) * base ** _POWERS[match[2].lower()] * bits)
    if rate <= 0:
        raise NotAllowed(text, RATES)
    return rate


def parse_duration(text: str | int | float) -> float:
    """Seconds of `text`; only 0 goes without a unit. Raises NotAllowed."""
    if isinstance(text, int | float) and not isinstance(text, bool) and text == 0:
        return 0.0
    # finditer steps over what it cannot read: `10m?` is refused below because the parts are not all of it.
    parts = list(_DURATION.finditer(text)) if isinstance(text, str) else []
    if isinstance(text, str) and text.strip() == "0":
        return 0.0
    if not parts or not isinstance(text, str) or "".join(p[0] for p in parts) != text.lstrip():
        raise NotAllowed(text, DURATIONS)
    seconds = float(sum((Fraction(p[1]) * _SECONDS[p[2]] for p in parts), Fraction(0)))
    if seconds > DURATION_LIMIT:
        raise NotAllowed(text, f"{DURATIONS}; at most 100 years")
    return seconds


def parse_share(text: str | int | float) -> float:
    """A share within 0..1 of `0.4%` or `0.004`. Raises NotAllowed."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise NotAllowed(text, SHARES)
    if isinstance(text, str):
        match = _SHARE.fullmatch(text)
        if match is None:
            raise NotAllowed(text, SHARES)
        # By fractions, so that 1% and 0.01 are the same float, and thus the same plan.
        share = float(Fraction(match[1]) / 100 if match[2] else Fraction(match[1]))
    else:
        share = float(text)
    if not 0 <= share <= 1:
        raise NotAllowed(text, SHARES)
    return share


def format_size(count: float) -> str:
    """Bytes as people read them: `1.4 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def exact_size(count: int) -> str:
    """Bytes as the job file would say them, without loss: `64 MiB`, `500 MB`, `4097 B`."""
    best = f"{count} B"
    for base, infix in ((1000, ""), (1024, "i")):
        for power, letter in enumerate(("k", "M", "G", "T"), start=1):
            unit = base**power
            if count and count % unit == 0:
                # The shorter text wins, the binary one of two equally short.
                shown = f"{count // unit} {letter.upper() if infix else letter}{infix}B"
                best = shown if len(shown) <= len(best) else best
    return best


def format_rate(bits_per_second: float) -> str:
    """bit/s as people read them: `118.2 Mbit/s`."""
    value = bits_per_second
    for unit in ("bit/s", "kbit/s", "Mbit/s", "Gbit/s"):
        if abs(value) < 1000 or unit == "Gbit/s":
            return f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def format_duration(seconds: float) -> str:
    """Seconds as people read them: `4.2s`, `3m12s`, `2h05m`."""
    # Rounded before it is compared: 59.96 would be shown as `60.0s`.
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def moment_text(moment: datetime, timespec: str = "milliseconds") -> str:
    """A moment in UTC as RFC 3339, as records have it: `2026-12-01T00:00:00.000Z`."""
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def instant(at: float) -> str:
    """A Unix time as RFC 3339 in UTC, to the second: `2026-12-01T00:00:00Z`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
