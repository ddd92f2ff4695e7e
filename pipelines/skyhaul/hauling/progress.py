"""What a running haul tells whoever watches it. An interface with a null, so nothing else asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LinkProgress:
    """One link now. Rates in bit/s (`rate`: payload over the last seconds; `capacity`: the link's own,
    None where nobody knows), counts in bytes since the haul's start."""

    name: str
    state: str
    rate: float
    capacity: float | None
    payload_bytes: int
    wire_bytes: int
    resent_bytes: int
    outages: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a haul. `elapsed` and `eta` in seconds; `source_bytes_done` counts what is committed
    or in the spool; record counts are of this haul's commits. `phase`: planning, hauling, finishing."""

    phase: str
    elapsed: float
    source_bytes: int
    source_bytes_done: int
    shards: int
    shards_committed: int
    shards_failed: int
    shards_deferred: int
    records_read: int
    records_written: int
    records_rejected: int
    links: tuple[LinkProgress, ...]
    eta: float | None


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
