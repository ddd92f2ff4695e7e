"""What a running command tells whoever watches it: a snapshot, of a type for each phase.

Watching is an interface with a null, so that nothing else asks whether anybody watches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class LinkProgress:
    """One link now."""

    name: str
    state: str
    """`up`, `down`, `closed` or `standby`."""
    rate: float
    """Payload over the last seconds, bit/s."""
    capacity: float | None
    """What the link itself can carry, bit/s; None where nobody knows."""
    payload_bytes: int
    """Since the haul's start, as are the counts below."""
    wire_bytes: int
    resent_bytes: int
    outages: int


@dataclass(frozen=True, slots=True)
class Planning:
    """Sources are being listed."""

    phase: ClassVar[str] = "planning"
    elapsed: float
    """Seconds since the command began."""
    objects: int
    """Listed so far."""
    source_bytes: int
    """Their bytes."""


@dataclass(frozen=True, slots=True)
class Hauling:
    """Bytes cross the links and become shards. Counts of records are of this haul's commits."""

    elapsed: float
    """Seconds since the command began."""
    source_bytes: int
    """Of the whole plan."""
    source_bytes_done: int
    """Those that are committed or in the spool."""
    shards: int
    """Of the whole plan."""
    shards_committed: int
    """Of the whole plan, those of earlier hauls included."""
    shards_failed: int
    shards_deferred: int
    records_read: int
    records_written: int
    records_rejected: int
    links: tuple[LinkProgress, ...]
    eta: float | None
    """Seconds until the end; None where it cannot be told."""
    finishing: bool = False
    """The last snapshot: nothing is hauled any more."""

    @property
    def phase(self) -> str:
        return "finishing" if self.finishing else "hauling"


@dataclass(frozen=True, slots=True)
class Verifying:
    """Files of the dataset are being read back."""

    phase: ClassVar[str] = "verifying"
    elapsed: float
    """Seconds since the command began."""
    bytes_read: int
    shards: int
    """Of the whole plan."""
    shards_read: int = 0
    """Those that were read already; 0 throughout where only bytes are counted."""


Progress = Planning | Hauling | Verifying


class HaulObserver(Protocol):
    """Called from a thread of the haul's; must return quickly and not raise."""

    def progress(self, progress: Progress) -> None: ...

    def event(self, message: str) -> None:
        """One line worth a log entry: a shard failed, a link closed, a source is silent."""


class NullObserver:
    """Watches nothing."""

    def progress(self, progress: Progress) -> None:
        return None

    def event(self, message: str) -> None:
        return None
