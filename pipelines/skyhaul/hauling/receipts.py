"""What a worker says of a shard: a hint; the commit records are the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["committed", "failed", "deferred"]

COUNTED = (
    "source_bytes", "read", "written", "filtered", "rejected", "passed_over", "payload", "wire", "resent",
)  # fmt: skip
"""What receipts count beside shards."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one shard. The counts are 0 where it was not committed."""

    shard: int
    source: str
    outcome: Outcome
    source_bytes: int = 0
    """Bytes of its source that it holds."""
    read: int = 0
    written: int = 0
    filtered: int = 0
    rejected: int = 0
    passed_over: int = 0
    payload: int = 0
    """Bytes of objects that its links carried; `wire` and `resent` are bytes over its links, too."""
    wire: int = 0
    resent: int = 0
    kind: str = ""
    """The error's class, where it failed or was put off."""
    reason: str = ""
    """The error's message."""
    fresh: bool = True
    """False: it was committed before this haul came to it."""
    unhauled: int = 0
    """Source bytes of a shard that was put off or failed."""
    links: tuple[str, ...] = ()
    """The links that carried it; those that could have, where it was not committed."""
    set_aside: tuple[str, ...] = ()
    """Where files are kept that lay under names of the shard, and were not committed."""


@dataclass(slots=True)
class Tally:
    """Receipts added up."""

    committed: int = 0
    failed: int = 0
    deferred: int = 0
    source_bytes: int = 0
    read: int = 0
    written: int = 0
    filtered: int = 0
    rejected: int = 0
    passed_over: int = 0
    payload: int = 0
    wire: int = 0
    resent: int = 0
    settled: dict[str, int] = field(default_factory=dict)
    """By source: its bytes that this haul has done with, committed or not."""
    kinds: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Of deferred shards: the first reason of each kind that says more than its name."""
    set_aside: list[str] = field(default_factory=list)

    def add(self, receipt: Receipt) -> None:
        match receipt.outcome:
            case "committed":
                self.committed += receipt.fresh
            case "failed":
                self.failed += 1
            case "deferred":
                self.deferred += 1
        if receipt.outcome == "deferred" and receipt.reason:
            self.reasons.setdefault(receipt.kind, receipt.reason)
        self.set_aside += receipt.set_aside
        done = receipt.source_bytes + receipt.unhauled
        if done:
            self.settled[receipt.source] = self.settled.get(receipt.source, 0) + done
        if receipt.kind:
            self.kinds[receipt.kind] = self.kinds.get(receipt.kind, 0) + 1
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(receipt, name))

    def merge(self, other: Tally) -> Tally:
        """Add another tally to this one, and return this one."""
        for name in ("committed", "failed", "deferred", *COUNTED):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for source, count in other.settled.items():
            self.settled[source] = self.settled.get(source, 0) + count
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        self.set_aside += other.set_aside
        for kind, reason in other.reasons.items():
            self.reasons.setdefault(kind, reason)
        return self
