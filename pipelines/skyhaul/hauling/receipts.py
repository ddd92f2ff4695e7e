"""What a worker says of a shard: a hint; the commit records are the truth.

Annotations are evaluated here (no `from __future__ import annotations`), as in `skyhaul.hauling.config`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from skyhaul.hauling.config import HaulConfig
from skyhaul_schemas.commit import CommitRecord, FailureRecord, TransferCounts

COMMITTED, FAILED, DEFERRED = "committed", "failed", "deferred"

COUNTED = (
    "source_bytes", "read", "written", "filtered", "rejected", "passed_over", "payload", "wire", "resent",
)  # fmt: skip
"""What receipts count beside shards."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one shard. The counts are 0 and there are no files where it was not committed."""

    dataset: str
    """Path or URL."""
    run: str
    """The haul's id."""
    plan: str
    """Digest of the generation that the shard is of, as in its commit record."""
    shard: int
    source: str
    outcome: str
    """COMMITTED, FAILED or DEFERRED."""
    fresh: bool = True
    """False: it was so before this haul came to it."""
    files: tuple[str, ...] = ()
    """Its Parquet files, relative to the dataset, in the order of their rows. None where it has no rows."""
    bytes: int = 0
    """Of its files."""
    source_bytes: int = 0
    """Bytes of its source that it holds."""
    read: int = 0
    written: int = 0
    """Records in its files."""
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
    attempts: int = 0
    """Hauls that it has failed in."""
    unhauled: int = 0
    """Source bytes of a shard that was put off or failed."""
    links: tuple[str, ...] = ()
    """The links that carried it; those that could have, where it was not committed."""
    set_aside: tuple[str, ...] = ()
    """Where files are kept that lay under names of the shard, and were not committed."""

    def __post_init__(self) -> None:
        # A row is read back with lists.
        for name in ("files", "links", "set_aside"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


def receipt_of(config: HaulConfig, record: CommitRecord) -> Receipt:
    """Of a shard that is committed by `record`, by this haul or an earlier one."""
    total = TransferCounts()
    for counts in record.transfer.values():
        total = total.plus(counts)
    return Receipt(
        config.dataset,
        config.run,
        record.plan,
        record.shard,
        record.source,
        COMMITTED,
        fresh=is_fresh(config, record.finished),
        files=tuple(file.path for file in record.files),
        bytes=sum(file.bytes for file in record.files),
        source_bytes=sum(source.length for source in record.sources),
        read=record.records.read,
        written=record.records.written,
        filtered=record.records.filtered,
        rejected=record.records.rejected,
        passed_over=record.records.passed_over,
        payload=total.payload_bytes,
        wire=total.wire_bytes,
        resent=total.resent_bytes,
        links=tuple(sorted(record.transfer)),
    )


def receipt_of_failure(config: HaulConfig, failure: FailureRecord) -> Receipt:
    """Of a shard that has failed for good, in this haul or an earlier one."""
    return Receipt(
        config.dataset,
        config.run,
        failure.plan,
        failure.shard,
        failure.source,
        FAILED,
        fresh=is_fresh(config, failure.at),
        kind=failure.kind,
        reason=failure.reason,
        attempts=failure.attempts,
    )


def is_fresh(config: HaulConfig, at: str) -> bool:
    """Whether the haul had begun then.

    Told from records, so that it comes out the same for a bundle that is done again."""
    # Records have their times to the millisecond, cut.
    return bool(config.epoch) and datetime.fromisoformat(at).timestamp() >= int(config.epoch * 1000) / 1000


@dataclass(slots=True)
class Tally:
    """Receipts added up, as far as they are fresh."""

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
        self.set_aside += receipt.set_aside
        if not receipt.fresh:
            return
        setattr(self, receipt.outcome, getattr(self, receipt.outcome) + 1)
        if receipt.outcome == DEFERRED and receipt.reason:
            self.reasons.setdefault(receipt.kind, receipt.reason)
        done = receipt.source_bytes + receipt.unhauled
        if done:
            self.settled[receipt.source] = self.settled.get(receipt.source, 0) + done
        if receipt.kind:
            self.kinds[receipt.kind] = self.kinds.get(receipt.kind, 0) + 1
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(receipt, name))

    def merge(self, other: Self) -> Self:
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
