"""What an error costs a range's retry budget, and how long the range then waits.

A budget is for errors that say something of the range. An outage, a closed link or a connection that
ends after good answers says nothing of it and costs nothing; neither does 429 or 503, which is the
source's word about itself and has its own clock.
"""

from __future__ import annotations

import random

from skyhaul_schemas.errors import (
    CarriageError,
    ConnectionLost,
    Disposition,
    ReadFailed,
    ServerBusy,
    ServerError,
    StalledError,
)

BUDGET = 12
"""What a range may spend between two stretches of progress."""

PROGRESS = 16 * 1024
"""Bytes of an answer (or half of the range) that give the budget back."""

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0


def cost(error: CarriageError, *, first_of_channel: bool, source_alive: bool, link_up: bool) -> int:
    """Units of BUDGET. first_of_channel: the channel had opened and never answered anything.
    source_alive: bytes came from the source since the range was asked for. link_up: False where the
    link is known to be down or closed."""
    if error.disposition is not Disposition.TRANSIENT or not link_up:
        return 0
    if isinstance(error, ServerBusy):
        return 0
    if isinstance(error, ReadFailed):
        return BUDGET // 3  # no network is in between: it does not go better for waiting
    if isinstance(error, ServerError):
        return 1
    if isinstance(error, StalledError):
        return 3 if source_alive else 0
    if isinstance(error, ConnectionLost):
        return 1 if first_of_channel else 0
    return 0


def wait(tries: int, draw: random.Random) -> float:
    """Seconds before try number `tries` + 1: doubling from 0.25 s to 5 s, up to a fifth less by chance,
    so that ranges that failed together do not come back together. The first repeat is at once."""
    if tries <= 1:
        return 0.0
    full = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(16, tries - 2))
    return full * (1.0 - 0.2 * draw.random())


def made_progress(received: int, length: int) -> bool:
    """Whether an answer that broke off had come far enough to give the budget back."""
    return received >= min(PROGRESS, -(-length // 2)) and received > 0
