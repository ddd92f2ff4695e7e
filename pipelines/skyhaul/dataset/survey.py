"""What a dataset holds of its plan.

Committed, failed, left; read from commit and failure records, each held against the plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from skyhaul.dataset.commits.valid_commits import failures, validated_groups
from skyhaul.dataset.commits.validation import Planned, Unfit
from skyhaul.dataset.delivery import Undelivered, delivered_nothing, first_reason
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import CommitSums
from skyhaul_schemas.commit import NO_RECORDS, RecordCounts, SplitSums, TransferCounts
from skyhaul_schemas.errors import EXIT_DAMAGE, EXIT_FAILED, EXIT_INCOMPLETE, EXIT_OK

UNFIT_CAP = 100
"""Unfit records kept; more are only counted: a folder of another dataset's records is one fault, not a
million. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class SourceSurvey:
    """One source's share.

    `left` counts shards neither committed nor failed for good."""

    shards: int = 0
    committed: int = 0
    failed: int = 0
    source_bytes: int = 0
    source_bytes_committed: int = 0
    source_bytes_failed: int = 0
    objects: int = 0
    objects_committed: int = 0
    records: RecordCounts = NO_RECORDS
    """Of what is committed."""

    @property
    def left(self) -> int:
        return self.shards - self.committed - self.failed


@dataclass(frozen=True, slots=True)
class Survey:
    """A dataset against its plan."""

    shards: int
    shards_committed: int
    shards_failed: int
    """Failed for good, waiting for `replay`."""
    shards_to_retry: int
    """The last try failed (a full disk, say), the next run takes them up; they are among shards_left."""
    shards_left: int
    objects: int
    objects_committed: int
    """An object counts with its first chunk."""
    source_bytes: int
    source_bytes_committed: int
    dataset_bytes: int
    """Of the committed data files."""
    damaged_objects: int
    records: RecordCounts
    filtered_by: dict[str, int]
    transfer: dict[str, TransferCounts]
    """By link, of what is committed."""
    by_source: dict[str, SourceSurvey]
    splits: dict[str, SplitSums]
    failed_by_kind: dict[str, int]
    passed_over_by: dict[str, int] = field(default_factory=dict)
    nulled_by: dict[str, int] = field(default_factory=dict)
    truncated_by: dict[str, int] = field(default_factory=dict)
    unfit: tuple[Unfit, ...] = ()
    """Files in the place of commit records that stand for no shard, UNFIT_CAP at most of `unfit_total`."""
    unfit_total: int = 0
    shards_blocked: int = 0
    """Those of shards_left that cannot be committed while such a file lies in their place."""
    records_present: int = 0
    """Files' worth of commit records, whatever they say."""
    undelivered: tuple[Undelivered, ...] = ()
    """Sources with nothing left of whose records none was written or filtered."""

    @property
    def shards_to_haul(self) -> int:
        """Shards that are left and that the next run can take up."""
        return max(0, self.shards_left - self.shards_blocked)

    def exit_code(self) -> int:
        """The exit code of `run` and `status`.

        75 while there are shards to haul, 4 for commit records that stand for none, 3 for failed shards,
        damaged objects or a source that delivered nothing, else 0."""
        if self.shards_to_haul:
            return EXIT_INCOMPLETE
        if self.unfit_total or self.shards_left:
            return EXIT_DAMAGE
        return EXIT_FAILED if self.shards_failed or self.damaged_objects or self.undelivered else EXIT_OK

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
                "blocked": self.shards_blocked,
            },
            "objects": {
                "planned": self.objects,
                "committed": self.objects_committed,
                "damaged": self.damaged_objects,
            },
            "source_bytes": {"planned": self.source_bytes, "committed": self.source_bytes_committed},
            "dataset_bytes": self.dataset_bytes,
            "records": {
                **self.records.model_dump(),
                "filtered_by": self.filtered_by,
                "passed_over_by": self.passed_over_by,
                "nulled_by": self.nulled_by,
                "truncated_by": self.truncated_by,
            },
            "unfit_total": self.unfit_total,
            "unfit": [asdict(unfit) for unfit in self.unfit],
            "undelivered": [source.to_json() for source in self.undelivered],
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
                    "records": part.records.model_dump(),
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


_SHOWN = 3
"""Unfit files that are named; `verify` names all. Chosen."""


def unfit_lines(seen: Survey) -> list[str]:
    """Lines for people about unfit files: one for each of the first, with the way out."""
    way_out = "`skyhaul replay --damaged` sets it aside"
    lines = [
        f"{unfit}; {way_out}" + (" and hauls what it stood in the way of" if unfit.planned else "")
        for unfit in seen.unfit[:_SHOWN]
    ]
    more = seen.unfit_total - len(lines)
    if more:
        lines.append(f"and {more:,} more such files; `skyhaul verify` names them")
    return lines


def survey(plan: Planned, store: DatasetStore) -> Survey:
    """Add up the commit records that stand; of sealed groups only the sums are read. Raises StorageError."""
    tally = CommitSums()
    unfit: list[Unfit] = []
    # Group by group: of a million shards no more than one batch of groups is held.
    total = present = 0
    blocked: set[int] = set()
    for group in validated_groups(plan, store):
        if group.sums is not None:
            tally.add_group(group.sums)
        for number in sorted(group.records):
            tally.add(group.records[number])
        unfit += group.unfit[: UNFIT_CAP - len(unfit)]
        total += len(group.unfit)
        blocked |= group.blocked
        present += group.present
    header = plan.header
    failed = to_retry = 0
    failed_by_kind: dict[str, int] = {}
    failed_by_source: dict[str, int] = {}
    bytes_failed: dict[str, int] = {}
    for failure in failures(plan, store):
        # Of the shard as it was before an amendment, or of one that cannot be committed whatever comes of it.
        if plan.outdates(failure) or failure.shard in blocked:
            continue
        failed_by_kind[failure.kind] = failed_by_kind.get(failure.kind, 0) + 1
        if not failure.final:
            to_retry += 1
            continue
        failed += 1
        shard = plan.shard(failure.shard)
        failed_by_source[shard.source] = failed_by_source.get(shard.source, 0) + 1
        bytes_failed[shard.source] = bytes_failed.get(shard.source, 0) + shard.length
    by_source = {
        name: SourceSurvey(
            shards=counts["shards"],
            committed=tally.committed.get(name, 0),
            failed=failed_by_source.get(name, 0),
            source_bytes=counts["bytes"],
            source_bytes_committed=tally.source_bytes.get(name, 0),
            source_bytes_failed=bytes_failed.get(name, 0),
            objects=counts["objects"],
            objects_committed=tally.objects.get(name, 0),
            records=tally.by_source.get(name, NO_RECORDS),
        )
        for name, counts in header.by_source.items()
    }
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
        by_source=by_source,
        splits=dict(sorted(tally.splits.items())),
        failed_by_kind=dict(sorted(failed_by_kind.items())),
        passed_over_by=dict(sorted(tally.passed_over_by.items())),
        nulled_by=dict(sorted(tally.nulled_by.items())),
        truncated_by=dict(sorted(tally.truncated_by.items())),
        unfit=tuple(unfit),
        unfit_total=total,
        shards_blocked=len(blocked),
        records_present=present,
        undelivered=tuple(
            first_reason(plan, store, name, part.records)
            for name, part in sorted(by_source.items())
            if not part.left and delivered_nothing(part.records, tally.empty_objects.get(name, 0))
        ),
    )
