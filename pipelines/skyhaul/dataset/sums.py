"""Sums over commit records: of single ones, and of groups that were added up when they were sealed."""

from __future__ import annotations

import re
from collections.abc import Mapping

import xxhash

from skyhaul_schemas.commit import (
    NO_RECORDS,
    CommitRecord,
    GroupSums,
    RecordCounts,
    SplitSums,
    TransferCounts,
)
from skyhaul_schemas.records import EMPTY_OBJECT

DATA_FILE = re.compile(r"data/(\d{4,})/([a-z][a-z0-9_]*)-(\d{7,})-(\d{3,})\.parquet")
"""Group, split, shard and part of a data file's path."""


class CommitSums:
    """Sums of the commit records added so far. A damaged object is remembered by a hash of its name."""

    def __init__(self) -> None:
        self.by_source: dict[str, RecordCounts] = {}
        self.empty_objects: dict[str, int] = {}
        self.committed: dict[str, int] = {}
        self.objects: dict[str, int] = {}
        self.source_bytes: dict[str, int] = {}
        self.filtered_by: dict[str, int] = {}
        self.passed_over_by: dict[str, int] = {}
        self.nulled_by: dict[str, int] = {}
        self.truncated_by: dict[str, int] = {}
        self.transfer: dict[str, TransferCounts] = {}
        self.splits: dict[str, SplitSums] = {}
        self.damaged: set[int] = set()
        self._plans: list[tuple[int, str]] = []

    @property
    def shards(self) -> int:
        return sum(self.committed.values())

    def add(self, record: CommitRecord) -> None:
        name = record.source
        self._count(name, record.records)
        empty = record.passed_over_by.get(EMPTY_OBJECT, 0)
        if empty:
            _gain(self.empty_objects, {name: empty})
        _gain(self.passed_over_by, record.passed_over_by)
        _gain(self.nulled_by, record.nulled_by)
        _gain(self.truncated_by, record.truncated_by or {})
        # As `Plan.digests` has it, a pair wherever the digest changes: records of one plan are one pair,
        # however many they are.
        if not self._plans or self._plans[-1][1] != record.plan:
            self._plans.append((record.shard, record.plan))
        _gain(self.committed, {name: 1})
        begun = sum(source.is_first for source in record.sources)
        _gain(self.objects, {name: begun})
        size = sum(source.length for source in record.sources)
        _gain(self.source_bytes, {name: size})
        _gain(self.filtered_by, record.filtered_by)
        # An object's chunks lie in many shards, so that damaged objects are a set of hashes; names of
        # millions would be too much to hold, and too much for a footer.
        self.damaged |= {_hashed(name, source.object) for source in record.sources if source.damaged}
        self._carried(record.transfer)
        for file in record.files:
            match = DATA_FILE.fullmatch(file.path)
            if match:
                own = SplitSums(files=1, rows=file.rows, bytes=file.bytes, raw_bytes=file.raw_bytes)
                self._split(match[2], own)

    def add_group(self, sums: GroupSums) -> None:
        """Add the sums of a sealed group. One that does not state its records by source has one source."""
        for name, counts in (sums.by_source or dict.fromkeys(sums.committed, sums.records)).items():
            self._count(name, counts)
        _gain(self.empty_objects, sums.empty_objects)
        _gain(self.passed_over_by, sums.passed_over_by)
        _gain(self.nulled_by, sums.nulled_by)
        _gain(self.truncated_by, sums.truncated_by)
        _gain(self.committed, sums.committed)
        _gain(self.objects, sums.objects)
        _gain(self.source_bytes, sums.source_bytes)
        _gain(self.filtered_by, sums.filtered_by)
        self.damaged |= set(sums.damaged)
        self._carried(sums.transfer)
        for name, split in sums.splits.items():
            self._split(name, split)

    def of_group(self, group: int) -> GroupSums:
        """The sums so far as those of a group. Its records must have been added in the order of shards."""
        return GroupSums(
            group=group,
            records=self.records(),
            committed=self.committed,
            objects=self.objects,
            source_bytes=self.source_bytes,
            filtered_by=self.filtered_by,
            transfer=self.transfer,
            splits=self.splits,
            damaged=sorted(self.damaged),
            passed_over_by=self.passed_over_by,
            nulled_by=self.nulled_by,
            truncated_by=self.truncated_by,
            by_source=self.by_source,
            empty_objects=self.empty_objects,
            plans=self._plans,
        )

    def records(self) -> RecordCounts:
        total = NO_RECORDS
        for counts in self.by_source.values():
            total = total.plus(counts)
        return total

    def _count(self, source: str, records: RecordCounts) -> None:
        self.by_source[source] = self.by_source.get(source, NO_RECORDS).plus(records)

    def _carried(self, transfer: Mapping[str, TransferCounts]) -> None:
        for link, counts in transfer.items():
            self.transfer[link] = self.transfer.get(link, TransferCounts()).plus(counts)

    def _split(self, name: str, more: SplitSums) -> None:
        split = self.splits.get(name, SplitSums())
        self.splits[name] = SplitSums(
            files=split.files + more.files,
            rows=split.rows + more.rows,
            bytes=split.bytes + more.bytes,
            raw_bytes=split.raw_bytes + more.raw_bytes,
        )


def _gain(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        sums[name] = sums.get(name, 0) + count


def _hashed(source: str, path: str) -> int:
    # Of a million names two have the same hash once in 37 million times; then one damaged object too few is
    # counted. A source's name holds no NUL, so that no two pairs run together.
    return xxhash.xxh3_64_intdigest(f"{source}\0{path}".encode("utf-8", "surrogatepass"))
