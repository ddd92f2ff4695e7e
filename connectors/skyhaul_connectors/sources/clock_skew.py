"""Whether this machine's clock is the reason of a refusal.

Signatures and tokens hold for minutes around the time that they state, and a store that refuses one for its
time may say so in words that point elsewhere. What it answers has a Date (RFC 9110, section 6.6.1).
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

TOLERATED = 240.0
"""Seconds of difference that nobody minds: Azure and S3 take 15 minutes, Kerberos and tokens 5."""
CLOCK_CODES = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"})
"""What S3 and AWS call a time that is too far off."""


def ahead(date: str | None, age: str | None = None, *, now: float | None = None) -> float | None:
    """Seconds by which this machine's clock is ahead of an answer's Date, negative where it is behind.

    None where that is not known, or within TOLERATED.

    Args:
        date: The answer's Date.
        age: The answer's Age, for one out of a cache.
        now: Unix seconds; None: this machine's clock."""
    if date is None:
        return None
    try:
        stated = parsedate_to_datetime(date.strip()).timestamp()
    except (ValueError, OverflowError):
        return None
    if age is not None and age.strip().isdigit():
        stated += float(age.strip()[:10])
    off = (time.time() if now is None else now) - stated
    return off if abs(off) > TOLERATED else None


def words(off: float | None) -> str:
    """That the clock is off, and by how much."""
    if off is None:
        return "this machine's clock and the server's differ; set the clock"
    minutes = round(abs(off) / 60)
    span = f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"
    span = span if minutes < 48 * 60 else f"{round(minutes / 1440)} days"
    side = "ahead of" if off > 0 else "behind"
    return f"this machine's clock is {span} {side} the server's; set the clock"
