"""Sources that delivered nothing: all is hauled, records were read, and none of them is in the dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from skyhaul.dataset.commits.sealed import SealedGroup, is_sealed
from skyhaul.dataset.commits.valid_commits import validated_group
from skyhaul.dataset.commits.validation import CommitValidator, Planned
from skyhaul.dataset.parquet_errors import PARQUET_ERRORS
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, Place, RecordCounts
from skyhaul_schemas.errors import StorageError
from skyhaul_schemas.printable import printable

_GROUPS_LOOKED_AT = 4
"""Groups of shards in which the first reason is looked for: it only helps the reader. Chunks are
dealt to shards by a hash, so that each shard is a sample of its source. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A source of which records were read and none was written or filtered."""

    source: str
    read: int
    rejected: int
    passed_over: int
    first: Place | None = None
    """Of what was not taken, and why; None where nothing tells it."""

    def to_json(self) -> dict[str, Any]:
        first = None if self.first is None else self.first.model_dump()
        return {
            "source": self.source,
            "read": self.read,
            "rejected": self.rejected,
            "passed_over": self.passed_over,
            "first": first,
        }

    def __str__(self) -> str:
        counts = [
            f"{count:,} {word}"
            for count, word in ((self.rejected, "rejected"), (self.passed_over, "passed over"))
            if count
        ]
        told = (
            f"source {self.source} delivered nothing: of {self.read:,} records read, {' and '.join(counts)}"
        )
        if self.first is None:
            return told
        where = f"{printable(self.first.object)} at byte {self.first.offset}"
        return f"{told}; the first: {where}: {printable(self.first.reason)}"


def delivered_nothing(records: RecordCounts, empty_objects: int) -> bool:
    """Whether a source with these records has delivered nothing.

    Args:
        records: Its counts of records.
        empty_objects: Those of `passed_over` that are objects of no bytes; a source that holds nothing else
            has nothing to deliver."""
    # Records that are held at a station are delivered later: they join this sum.
    return records.read > empty_objects and records.written + records.filtered == 0


def first_reason(plan: Planned, store: DatasetStore, source: str, records: RecordCounts) -> Undelivered:
    """The source with the first reject of its shards, or else the first that was passed over.

    Looks into the beginning of the source only.

    Raises:
        StorageError: The storage fails otherwise."""
    told = Undelivered(source, records.read, records.rejected, records.passed_over)
    validator = CommitValidator(plan)
    found: Place | None = None
    looked_at = 0
    for name, first, stop in plan.header.stretches():
        if name != source:
            continue
        for group in range(layout.group_of(first), layout.group_of(stop - 1) + 1):
            looked_at += 1
            if looked_at > _GROUPS_LOOKED_AT:
                break
            for record in _records(validator, store, group):
                if record.source != source:
                    continue
                place = _first_reject(store, record) if record.rejects is not None else None
                if place is not None:
                    return Undelivered(source, told.read, told.rejected, told.passed_over, place)
                found = found or record.passed_over_first
    return Undelivered(source, told.read, told.rejected, told.passed_over, found)


def _records(validator: CommitValidator, store: DatasetStore, group: int) -> list[CommitRecord]:
    validated = validated_group(validator, store, group, sealed=is_sealed(store, group))
    if validated.sums is None:
        return [validated.records[shard] for shard in sorted(validated.records)]
    with SealedGroup(store, group) as sealed:
        rows = sealed.records()
    verdicts = (validator.parsed(shard, data) for shard, data in rows.items())
    return [verdict.record for verdict in verdicts if verdict.record is not None]


def _first_reject(store: DatasetStore, record: CommitRecord) -> Place | None:
    assert record.rejects is not None
    try:
        with store.open_input(record.rejects.path) as file:
            batches = pq.ParquetFile(file, page_checksum_verification=True).iter_batches(
                batch_size=1, columns=["object", "offset", "reason"]
            )
            for batch in batches:
                row = batch.slice(0, 1).to_pylist()[0]
                return Place(object=row["object"], offset=row["offset"], reason=row["reason"])
    except (*PARQUET_ERRORS, StorageError):
        # That the file is damaged is for `verify` to say.
        return None
    return None
