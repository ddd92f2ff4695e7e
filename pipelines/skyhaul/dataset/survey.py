"""What a dataset holds of its plan: committed, failed, left; read from commit and failure records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from skyhaul.dataset.commits import failures, sums_of
from skyhaul.dataset.store import DatasetStore
from skyhaul_schemas.commit import FailureRecord, RecordCounts, SplitSums, TransferCounts
from skyhaul_schemas.errors import EXIT_FAILED, EXIT_INCOMPLETE, EXIT_OK
from skyhaul_schemas.plan import PlanHeader, Shard


class Planned(Protocol):
    """What a survey needs of a plan."""

    @property
    def header(self) -> PlanHeader: ...

    def shard(self, number: int) -> Shard: ...

    def outdates(self, failure: FailureRecord) -> bool: ...


@dataclass(frozen=True, slots=True)
class SourceSurvey:
    """One source's share. `left` counts shards neither committed nor failed for good."""

    shards: int = 0
    committed: int = 0
    failed: int = 0
    source_bytes: int = 0
    source_bytes_committed: int = 0
    source_bytes_failed: int = 0
    objects: int = 0
    objects_committed: int = 0

    @property
    def left(self) -> int:
        return self.shards - self.committed - self.failed


@dataclass(frozen=True, slots=True)
class Survey:
    """A dataset against its plan.

    shards_failed: failed for good, waiting for `replay`. shards_to_retry: the last try failed (a full disk,
    say), the next run takes them up; they are among shards_left. objects_committed counts an object with
    its first chunk. dataset_bytes: of the committed data files. transfer: by link, of what is committed.
    """

    shards: int
    shards_committed: int
    shards_failed: int
    shards_to_retry: int
    shards_left: int
    objects: int
    objects_committed: int
    source_bytes: int
    source_bytes_committed: int
    dataset_bytes: int
    damaged_objects: int
    records: RecordCounts
    filtered_by: dict[str, int]
    transfer: dict[str, TransferCounts]
    by_source: dict[str, SourceSurvey]
    splits: dict[str, SplitSums]
    failed_by_kind: dict[str, int]

    def exit_code(self) -> int:
        """75 while shards are left, then 3 for failed shards or damaged objects, else 0."""
        if self.shards_left:
            return EXIT_INCOMPLETE
        return EXIT_FAILED if self.shards_failed or self.damaged_objects else EXIT_OK

    def objects_since(self, earlier: Survey) -> int:
        """Objects committed since `earlier`."""
        return self.objects_committed - earlier.objects_committed

    def to_json(self) -> dict[str, Any]:
        return {
            "exit_code": self.exit_code(),
            "shards": {
                "planned": self.shards,
                "committed": self.shards_committed,
                "failed": self.shards_failed,
                "left": self.shards_left,
                "to_retry": self.shards_to_retry,
            },
            "objects": {
                "planned": self.objects,
                "committed": self.objects_committed,
                "damaged": self.damaged_objects,
            },
            "source_bytes": {"planned": self.source_bytes, "committed": self.source_bytes_committed},
            "dataset_bytes": self.dataset_bytes,
            "records": {**self.records.model_dump(), "filtered_by": self.filtered_by},
            "transfer": {link: counts.model_dump() for link, counts in sorted(self.transfer.items())},
            "failed_by_class": self.failed_by_kind,
            "sources": {
                name: {
                    "shards": part.shards,
                    "committed": part.committed,
                    "failed": part.failed,
                    "left": part.left,
                    "objects": part.objects,
                    "objects_committed": part.objects_committed,
                    "source_bytes": part.source_bytes,
                    "source_bytes_committed": part.source_bytes_committed,
                    "source_bytes_failed": part.source_bytes_failed,
                }
                for name, part in sorted(self.by_source.items())
            },
            "splits": {
                name: {
                    "files": part.files,
                    "rows": part.rows,
                    "bytes": part.bytes,
                    "raw_bytes": part.raw_bytes,
                }
                for name, part in sorted(self.splits.items())
            },
        }


def survey(plan: Planned, store: DatasetStore) -> Survey:
    """Add up the records of the dataset; of sealed groups only the sums are read. Raises StorageError."""
    tally = sums_of(store)
    header = plan.header
    failed = to_retry = 0
    failed_by_kind: dict[str, int] = {}
    failed_by_source: dict[str, int] = {}
    bytes_failed: dict[str, int] = {}
    for failure in failures(store):
        if failure.shard >= header.shards or plan.outdates(failure):
            continue
        failed_by_kind[failure.kind] = failed_by_kind.get(failure.kind, 0) + 1
        if not failure.final:
            to_retry += 1
            continue
        failed += 1
        shard = plan.shard(failure.shard)
        failed_by_source[shard.source] = failed_by_source.get(shard.source, 0) + 1
        bytes_failed[shard.source] = bytes_failed.get(shard.source, 0) + shard.length
    return Survey(
        shards=header.shards,
        shards_committed=tally.shards,
        shards_failed=failed,
        shards_to_retry=to_retry,
        shards_left=max(0, header.shards - tally.shards - failed),
        objects=header.objects,
        objects_committed=sum(tally.objects.values()),
        source_bytes=header.source_bytes,
        source_bytes_committed=sum(tally.source_bytes.values()),
        dataset_bytes=sum(split.bytes for split in tally.splits.values()),
        damaged_objects=len(tally.damaged),
        records=tally.records(),
        filtered_by=dict(sorted(tally.filtered_by.items())),
        transfer=dict(sorted(tally.transfer.items())),
        by_source={
            name: SourceSurvey(
                shards=counts["shards"],
                committed=tally.committed.get(name, 0),
                failed=failed_by_source.get(name, 0),
                source_bytes=counts["bytes"],
                source_bytes_committed=tally.source_bytes.get(name, 0),
                source_bytes_failed=bytes_failed.get(name, 0),
                objects=counts["objects"],
                objects_committed=tally.objects.get(name, 0),
            )
            for name, counts in header.by_source.items()
        },
        splits=dict(sorted(tally.splits.items())),
        failed_by_kind=dict(sorted(failed_by_kind.items())),
    )
