"""Commit records, failure records and run records: the JSON of `_skyhaul/`.

Each of the three holds its own `digest`, so that rot in it shows whatever it concerns. Those written before
there was one have none, and are read all the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from skyhaul_schemas.self_digest import check_digest, digested_line

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""64 hex digits."""


class _Record(BaseModel):
    # A key that is not known makes a record damaged: records have no number of their form, so an older reader
    # must not pass over what a newer one said. A new field needs a default that means "was not said".
    model_config = ConfigDict(frozen=True, extra="forbid")


class _ProvedRecord(_Record):
    """A record that is a file of its own."""

    digest: Sha256 | None = None
    """sha256 over its canonical JSON without this field; None in a record that was written before there were
    digests, and in one that was not written yet."""

    @model_validator(mode="before")
    @classmethod
    def _proves_itself(cls, data: Any) -> Any:
        # Before the fields are read: the digest is over what the file says, not over what the model fills in.
        if isinstance(data, dict):
            check_digest(data)
        return data

    def to_line(self, *, indent: int | None = None) -> bytes:
        """The record as it is kept: JSON with its digest, and a line end."""
        return digested_line(self.model_dump(mode="json", exclude={"digest"}), indent=indent)

    def kept(self) -> Self:
        """The record as it is read back from what `to_line` gives."""
        # Whoever wrote a record goes on with this one, so that it equals what any other process reads.
        return type(self).model_validate_json(self.to_line())


class CommittedFile(_Record):
    """One Parquet file of a shard."""

    path: str
    """Relative to the dataset."""
    bytes: NonNegativeInt
    sha256: Sha256
    rows: NonNegativeInt
    raw_bytes: NonNegativeInt
    """Uncompressed."""


class CommittedSource(_Record):
    """What a chunk took of its object."""

    object: str
    ranges: list[tuple[NonNegativeInt, NonNegativeInt]]
    """(offset, length) of what was taken."""
    sha256: Sha256
    """Over the bytes of the ranges in their order."""
    damaged: bool = False
    """Whether a rest of the object was unreadable."""
    skipped: list[tuple[NonNegativeInt, NonNegativeInt]] = []
    """(offset, length) of what the plan leaves out; with `ranges` it covers the chunk."""

    @property
    def length(self) -> int:
        """Bytes of the chunk."""
        return sum(length for _, length in (*self.ranges, *self.skipped))

    @property
    def is_first(self) -> bool:
        """Whether the chunk is its object's first."""
        return any(offset == 0 for offset, _ in (*self.ranges[:1], *self.skipped[:1]))


class RecordCounts(_Record):
    """Counts of records: each that was read is in one of the other four."""

    read: int
    written: int
    filtered: int
    rejected: int
    passed_over: int = 0
    """What was read and by its kind is no record (a redirect in a web archive); 0 in what was written before
    it was counted."""

    @model_validator(mode="after")
    def _conserved(self) -> RecordCounts:
        # Held wherever counts are made, sums among them: a record that is lost shows where it is lost.
        if self.read != self.written + self.filtered + self.rejected + self.passed_over:
            raise ValueError(
                f"records do not add up: read {self.read} is not written {self.written}"
                f" + filtered {self.filtered} + rejected {self.rejected} + passed over {self.passed_over}"
            )
        return self

    def plus(self, other: RecordCounts) -> RecordCounts:
        return RecordCounts(**{name: value + getattr(other, name) for name, value in self})

    def minus(self, other: RecordCounts) -> RecordCounts:
        return RecordCounts(**{name: value - getattr(other, name) for name, value in self})


NO_RECORDS = RecordCounts(read=0, written=0, filtered=0, rejected=0)


class TransferCounts(_Record):
    """What one link carried."""

    payload_bytes: int = 0
    """Those that were kept."""
    wire_bytes: int = 0
    """All that were read off the connections."""
    resent_bytes: int = 0
    """Payload that had to cross again (retries, hedges, after a crash)."""

    def plus(self, other: TransferCounts) -> TransferCounts:
        return TransferCounts(
            payload_bytes=self.payload_bytes + other.payload_bytes,
            wire_bytes=self.wire_bytes + other.wire_bytes,
            resent_bytes=self.resent_bytes + other.resent_bytes,
        )


class Place(_Record):
    """Where the first of something lies, and why it was not taken."""

    object: str
    offset: NonNegativeInt
    """Bytes, in the object."""
    reason: str


class CommitRecord(_ProvedRecord):
    """`_skyhaul/commits/{group}/{shard}.json`; its presence is the commit, where it is of the plan."""

    # Stays the first field: records in a broken sealed file are found by how their JSON begins
    # (`skyhaul.dataset.commits.sealed`).
    shard: NonNegativeInt
    plan: str
    source: str
    files: list[CommittedFile]
    rejects: CommittedFile | None = None
    sources: list[CommittedSource]
    """One a chunk, in the plan's order."""
    records: RecordCounts
    filtered_by: dict[str, int] = {}
    """By rule."""
    passed_over_by: dict[str, int] = {}
    """By reason."""
    passed_over_first: Place | None = None
    """The first of them: what is told of a source that delivers nothing."""
    nulled_by: dict[str, NonNegativeInt] = {}
    """Under `on_drift: null`, how many fields of records that were kept are null since their value does not
    fit, by `field: reason`; such records are counted among the others."""
    truncated_by: dict[str, NonNegativeInt] | None = None
    """Of schema `image`, how many of the rows written are images that were cut off, by format (`png`); those
    rejected or filtered for it are counted there. None of other schemas, and in what was written before it
    was counted."""
    transfer: dict[str, TransferCounts]
    started: str
    finished: str
    versions: dict[str, str]

    @property
    def damaged(self) -> int:
        """Objects of this shard with an unreadable rest."""
        return len({s.object for s in self.sources if s.damaged})


class SplitSums(_Record):
    """One split's committed files."""

    files: int = 0
    rows: int = 0
    bytes: int = 0
    raw_bytes: int = 0
    """Uncompressed."""


class GroupSums(_Record):
    """What the commit records of one sealed group add up to.

    JSON in the key-value metadata `skyhaul` of `_skyhaul/sealed/{group}.parquet`. `status` reads this of a
    group and none of its records. Fields that are None were not written yet when the group was sealed.
    """

    group: int
    records: RecordCounts
    committed: dict[str, int]
    """Source -> shards."""
    objects: dict[str, int]
    """Source -> objects. One is counted with its first chunk, so that none counts twice however many groups
    it lies in."""
    source_bytes: dict[str, int]
    """By source."""
    filtered_by: dict[str, int]
    transfer: dict[str, TransferCounts]
    splits: dict[str, SplitSums]
    damaged: list[int]
    """xxh3 (64 bits) of source, NUL and path of each damaged object, rising: sets that can be joined over
    groups, because any chunk of an object may be the damaged one."""
    passed_over_by: dict[str, int] = {}
    nulled_by: dict[str, int] = {}
    truncated_by: dict[str, int] = {}
    by_source: dict[str, RecordCounts] | None = None
    """Source -> its records."""
    empty_objects: dict[str, int] = {}
    """By source."""
    plans: list[tuple[int, str]] | None = None
    """(shard, digest of its plan) of each shard whose record has another plan than the one before it."""
    pages: tuple[NonNegativeInt, Sha256] | None = None
    """How many bytes lie before the file's footer, and their sha256."""


class FailureRecord(_ProvedRecord):
    """`_skyhaul/failures/{group}/{shard}.json`: the shard's last failure."""

    shard: int
    plan: str
    source: str
    kind: str
    reason: str
    attempts: int
    where: str
    final: bool
    """Whether it waits for `replay`; others (a full disk, say) are tried again by the next `run`."""
    at: str


class RunRecord(_ProvedRecord):
    """`_skyhaul/runs/{utc}-{id}.json`: what one haul did. Times are UTC, RFC 3339."""

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
    """Where files are kept that lay under names of shards and were of no commit (at most 1,000)."""
    nulled_by: dict[str, int] = {}
    truncated_by: dict[str, int] = {}
