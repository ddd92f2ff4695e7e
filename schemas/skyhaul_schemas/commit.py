"""Commit records, failure records and run records: the JSON of `_skyhaul/`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CommittedFile(_Record):
    """One Parquet file of a shard; `path` is relative to the dataset, `raw_bytes` is uncompressed."""

    path: str
    bytes: int
    sha256: str
    rows: int
    raw_bytes: int


class CommittedSource(_Record):
    """What a chunk took: `ranges` is a list of [offset, length]; `sha256` digests the bytes of the ranges in
    their order. `skipped` is what the plan leaves out: both together cover the chunk. `damaged` says that
    a rest of the object was unreadable."""

    object: str
    ranges: list[tuple[int, int]]
    sha256: str
    damaged: bool = False
    skipped: list[tuple[int, int]] = []

    @property
    def length(self) -> int:
        """Bytes of the chunk."""
        return sum(length for _, length in (*self.ranges, *self.skipped))

    @property
    def is_first(self) -> bool:
        """Whether the chunk is its object's first."""
        return any(offset == 0 for offset, _ in (*self.ranges[:1], *self.skipped[:1]))


class RecordCounts(_Record):
    read: int
    written: int
    filtered: int
    rejected: int

    @model_validator(mode="after")
    def _conserved(self) -> RecordCounts:
        if self.read != self.written + self.filtered + self.rejected:
            raise ValueError(
                f"records do not add up: read {self.read} is not written {self.written}"
                f" + filtered {self.filtered} + rejected {self.rejected}"
            )
        return self


class TransferCounts(_Record):
    """By link. payload: bytes that were kept. wire: all bytes read off the connection. resent: payload
    bytes that had to cross again (retries, hedges, after a crash)."""

    payload_bytes: int = 0
    wire_bytes: int = 0
    resent_bytes: int = 0

    def plus(self, other: TransferCounts) -> TransferCounts:
        return TransferCounts(
            payload_bytes=self.payload_bytes + other.payload_bytes,
            wire_bytes=self.wire_bytes + other.wire_bytes,
            resent_bytes=self.resent_bytes + other.resent_bytes,
        )


class CommitRecord(_Record):
    """`_skyhaul/commits/{group}/{shard}.json`; its presence is the commit."""

    shard: int
    plan: str
    source: str
    files: list[CommittedFile]
    rejects: CommittedFile | None = None
    sources: list[CommittedSource]
    records: RecordCounts
    filtered_by: dict[str, int] = {}
    transfer: dict[str, TransferCounts]
    started: str
    finished: str
    versions: dict[str, str]

    @property
    def damaged(self) -> int:
        """Objects of this shard with an unreadable rest."""
        return len({s.object for s in self.sources if s.damaged})


class SplitSums(_Record):
    """One split's committed files. `raw_bytes` is uncompressed."""

    files: int = 0
    rows: int = 0
    bytes: int = 0
    raw_bytes: int = 0


class GroupSums(_Record):
    """What the commit records of one sealed group add up to; JSON in the key-value metadata `skyhaul` of
    `_skyhaul/sealed/{group}.parquet`. By source: `committed` (shards), `objects` (counted with their first
    chunk) and `source_bytes`. damaged: xxh3 (64 bits) of source, NUL and path of each damaged object,
    rising, so that an object is counted once however many groups it lies in."""

    group: int
    records: RecordCounts
    committed: dict[str, int]
    objects: dict[str, int]
    source_bytes: dict[str, int]
    filtered_by: dict[str, int]
    transfer: dict[str, TransferCounts]
    splits: dict[str, SplitSums]
    damaged: list[int]


class FailureRecord(_Record):
    """`_skyhaul/failures/{group}/{shard}.json`: the last failure. `final` failures wait for `replay`;
    others (a full disk, say) are tried again by the next `run`."""

    shard: int
    plan: str
    source: str
    kind: str
    reason: str
    attempts: int
    where: str
    final: bool
    at: str


class RunRecord(_Record):
    """`_skyhaul/runs/{utc}-{id}.json`: what one haul did. Times are UTC, RFC 3339. set_aside: where files are
    kept that lay under names of shards and were of no commit (at most 1,000)."""

    id: str
    plan: str
    runner: str
    started: str
    finished: str
    seconds: float
    outcome: Literal["done", "failed", "incomplete", "interrupted"]
    shards_planned: int
    shards_committed: int
    shards_failed: int
    shards_deferred: int
    shards_left: int
    objects: int
    source_bytes: int
    dataset_bytes: int
    records: RecordCounts
    damaged_objects: int
    transfer: dict[str, TransferCounts]
    deferred_because: dict[str, int] = {}
    set_aside: list[str] = []
