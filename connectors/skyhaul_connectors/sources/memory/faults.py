"""Faults that a `MemorySource` shows on request: which, when, and how often. Seeded, so they repeat."""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from skyhaul_connectors.sources.protocol import RangeRequest


class FaultKind(enum.Enum):
    """What goes wrong with one request."""

    DROP = "drop"  # the connection ends cleanly before the answer is whole
    RESET = "reset"  # the connection is reset
    STALL = "stall"  # no more bytes come; the idle deadline closes the channel
    SHORT = "short"  # the body is short; the channel stays usable
    CORRUPT = "corrupt"  # one byte is wrong, and nothing says so
    CHANGE = "change"  # the object gets another version, from this request on
    DELETE = "delete"  # the object is gone, from this request on
    BUSY = "busy"  # 503 with Retry-After
    ERROR = "error"  # 500
    DENY = "deny"  # 403
    REFUSE = "refuse"  # the server ignores the range
    MALFORMED = "malformed"  # an answer that cannot be trusted; the channel closes


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one request.

    Attributes:
        kind: What goes wrong.
        after: Bytes of the range that still come (DROP, RESET, STALL, SHORT), or the index of the wrong byte
            (CORRUPT).
        seconds: The Retry-After of BUSY."""

    kind: FaultKind
    after: int = 0
    seconds: float = 1.0


FaultScript = Callable[[RangeRequest, int], Fault | None]
"""(request, how often this path and offset was asked before) -> what goes wrong, or None."""

CARRIAGE = (
    FaultKind.DROP,
    FaultKind.RESET,
    FaultKind.STALL,
    FaultKind.SHORT,
    FaultKind.BUSY,
    FaultKind.ERROR,
)
"""Faults that a haul gets over by asking again: a test that draws from these alone must end with every
byte."""


def in_turn(faults: Mapping[str, Sequence[Fault | None]]) -> FaultScript:
    """The n-th request of a path gets the n-th entry of its list; after the list all is well."""
    asked: Counter[str] = Counter()

    def script(request: RangeRequest, _attempt: int) -> Fault | None:
        path = request.object.path
        turn = asked[path]
        asked[path] += 1
        listed = faults.get(path, ())
        return listed[turn] if turn < len(listed) else None

    return script


def always(faults: Mapping[str, Fault]) -> FaultScript:
    """Every request of a path gets its fault."""
    return lambda request, _attempt: faults.get(request.object.path)


def seeded(
    seed: int, share: float, *, kinds: Sequence[FaultKind] = CARRIAGE, at_most: int = 3
) -> FaultScript:
    """A `share` (0..1) of requests goes wrong, at most the first `at_most` tries of any range.

    The draw depends on seed, path, offset and try alone, so that it does not matter in which order
    requests arrive.
    """

    def script(request: RangeRequest, attempt: int) -> Fault | None:
        draw = random.Random(f"{seed}/{request.object.path}/{request.offset}/{attempt}")
        if attempt >= at_most or draw.random() >= share:
            return None
        return Fault(draw.choice(kinds), after=draw.randrange(request.length), seconds=draw.uniform(0, 2))

    return script
