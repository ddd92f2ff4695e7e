"""Sizes, rates, durations and shares as people write them in a job file.

Sizes: `64MiB`, `1.5GB`, `4096` (bytes; binary and decimal suffixes as IEC 80000-13 defines them).
Rates: `130Mbit/s`, `2MB/s`, `9600bit/s` (returned in bit/s). Durations: `45ms`, `10m`, `1h30m`, `2d`
(returned in seconds). Shares: `0.4%` or `0.004`.
"""

from __future__ import annotations

import re

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgtp])(i?))?b?\s*", re.IGNORECASE)
_RATE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMmGgTt]?)(i?)(bit|b|B)(?:/s|ps)\s*")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|us|s|m|h|d)\s*")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str | int) -> int:
    """Bytes of `text`. Raises ValueError that names what is allowed."""
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise ValueError(f"size {text} is negative")
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no size; write bytes or a number with kB, MB, GB, KiB, MiB, GiB")
    base = 1024 if match[3] else 1000
    return round(float(match[1]) * float(base ** _POWERS[(match[2] or "").lower()]))


def parse_rate(text: str | int | float) -> float:
    """bit/s of `text`. Raises ValueError that names what is allowed."""
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no rate; write a number with bit/s, kbit/s, Mbit/s, Gbit/s or MB/s")
    base = 1024 if match[3] else 1000
    bits = 8 if match[4] == "B" else 1
    rate = float(match[1]) * float(base ** _POWERS[match[2].lower()]) * bits
    if rate <= 0:
        raise ValueError(f"rate {text!r} must be above zero")
    return rate


def parse_duration(text: str | int | float) -> float:
    """Seconds of `text`. Raises ValueError that names what is allowed."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        if text == 0:
            return 0.0
        raise ValueError(f"{text!r} is no duration; add a unit: ms, s, m, h or d")
    parts = list(_DURATION.finditer(text)) if isinstance(text, str) else []
    if not parts or not isinstance(text, str) or "".join(p[0] for p in parts) != text.lstrip():
        raise ValueError(f"{text!r} is no duration; write for example 45ms, 30s, 10m, 1h30m or 2d")
    return sum(float(p[1]) * _SECONDS[p[2]] for p in parts)


def parse_share(text: str | int | float) -> float:
    """A share within 0..1 of `0.4%` or `0.004`. Raises ValueError."""
    try:
        if isinstance(text, str) and text.strip().endswith("%"):
            share = float(text.strip()[:-1]) / 100
        else:
            share = float(text)
    except (TypeError, ValueError):
        raise ValueError(f"{text!r} is no share; write for example 0.4% or 0.004") from None
    if not 0 <= share <= 1:
        raise ValueError(f"share {text!r} is not within 0 and 100%")
    return share


def format_size(count: float) -> str:
    """Bytes as people read them: `1.4 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


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
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
