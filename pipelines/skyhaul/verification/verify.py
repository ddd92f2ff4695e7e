"""Verify a dataset: one pass over the plan, its commit records and their files, group by group."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing

from skyhaul.dataset.commits.record_files import read_failure
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.delivery import delivered_nothing, first_reason
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import DATA_FILE
from skyhaul.derived.derivation import derivation_of
from skyhaul.planning.store.plan import Plan
from skyhaul.shards.splits import SplitRule
from skyhaul.verification.commit_check import WAY_OUT, check_commit, validated_commit
from skyhaul.verification.derived_check import DerivedRowsCheck, check_inputs
from skyhaul.verification.file_check import check_file
from skyhaul.verification.findings import VerifyReport
from skyhaul.verification.orphans import OrphanCheck
from skyhaul.verification.other_records import check_other_records
from skyhaul.verification.partition import Partition
from skyhaul.verification.plan_check import check_plan_rows
from skyhaul.verification.rows_check import RowsCheck, recount_of, truncated_difference
from skyhaul.verification.sealed_check import GroupRecords
from skyhaul_schemas import layout
from skyhaul_schemas.commit import NO_RECORDS, CommitRecord, RecordCounts
from skyhaul_schemas.errors import PlanDamaged
from skyhaul_schemas.plan import Shard
from skyhaul_schemas.records import EMPTY_OBJECT, REJECTS_SCHEMA, planned_schema, shard_schema

Progress = Callable[[VerifyReport], None]
"""Called with the report as it grows."""


def verify_dataset(store: DatasetStore, *, deep: bool, progress: Progress | None = None) -> VerifyReport:
    """Prove the dataset in `store`, reading only it.

    Memory holds one shard's chunks, and a group's commit records and file names.

    Args:
        store: The dataset.
        deep: Read every page and check every row.
        progress: Called now and then.

    Raises:
        UsageError: Where there is no plan.
        StorageError: The storage fails otherwise."""
    report = VerifyReport(pages_read=deep)
    try:
        with closing(Plan.open(store)) as plan:
            _Verification(store, plan, report, progress or (lambda grown: None)).run()
    except PlanDamaged as error:
        report.add("plan-damaged", str(error), path=layout.SHARDS)
    return report


class _Verification:
    def __init__(self, store: DatasetStore, plan: Plan, report: VerifyReport, progress: Progress) -> None:
        self._store = store
        self._plan = plan
        self._report = report
        self._progress = progress
        self._partition = Partition()
        header = plan.header
        self._derivation = derivation_of(header)
        self._schema = shard_schema(planned_schema(header.job["schema"]))
        self._rule = SplitRule(header.job["shards"]["splits"])
        self._seed = int(header.job["seed"])
        self._orphans = OrphanCheck(store, header.shards, self._orphan)
        self._validator = CommitValidator(plan)
        self._records = GroupRecords(store, self._validator, report)
        self._counts: dict[str, RecordCounts] = {}
        self._empty: dict[str, int] = {}
        self._open_sources: set[str] = set()
        self._damaged: set[int] = set()
        report.plan = header.digest
        report.shards = header.shards
        report.objects = header.objects

    def run(self) -> None:
        # The plan first: what commit records are held against is proved before.
        check_plan_rows(self._plan, self._partition, self._report)
        for group, shards in itertools.groupby(
            self._plan.shards(), key=lambda shard: layout.group_of(shard.number)
        ):
            for shard in shards:
                self._check_shard(shard)
                self._progress(self._report)
            self._orphans.check_group(group)
        # Now that all chunks of all shards are in; where they partition the objects, there is no second pass.
        suspects = self._partition.suspects()
        for code, message in self._partition.explain(self._plan, suspects) if suspects else ():
            self._report.add(code, message, path=layout.SHARDS)
        self._orphans.check_folders()
        check_inputs(self._store, self._plan.header, self._report)
        check_other_records(self._store, self._validator, self._report)
        self._report.damaged_objects = len(self._damaged)
        self._report.undelivered = [
            first_reason(self._plan, self._store, name, counts)
            for name, counts in sorted(self._counts.items())
            if name not in self._open_sources and delivered_nothing(counts, self._empty.get(name, 0))
        ]

    def _check_shard(self, shard: Shard) -> None:
        for chunk in shard.chunks:
            self._partition.add_chunk(chunk)
        committed, data = self._records.find(shard.number)
        if not committed:
            failure = read_failure(self._store, shard.number)
            failed = failure is not None and failure.final and not self._plan.outdates(failure)
            self._report.shards_failed += failed
            if not failed:
                self._open_sources.add(shard.source)
            if failure is not None and failure.digest is None:
                self._report.no_digest("failure records")
            return
        record = None if data is None else validated_commit(data, shard.number, self._validator, self._report)
        self._orphans.committed(shard.number, record)
        # What a record says that does not stand is not known, nor then what its source delivered.
        if record is None:
            self._open_sources.add(shard.source)
            return
        self._report.shards_committed += 1
        check_commit(record, shard, self._report)
        self._report.rows += record.records.written
        self._report.rejects += record.records.rejected
        self._report.passed_over += record.records.passed_over
        self._report.nulled += sum(record.nulled_by.values())
        self._report.truncated += sum((record.truncated_by or {}).values())
        self._counts[shard.source] = self._counts.get(shard.source, NO_RECORDS).plus(record.records)
        empty = self._empty.get(shard.source, 0) + record.passed_over_by.get(EMPTY_OBJECT, 0)
        self._empty[shard.source] = empty
        # By hash: names of all objects of a dataset would be too much to hold.
        self._damaged |= {hash((shard.source, s.object)) for s in record.sources if s.damaged}
        self._check_files(record, shard)

    def _check_files(self, record: CommitRecord, shard: Shard) -> None:
        report = self._report
        rows: RowsCheck | DerivedRowsCheck | None = None
        recount = None
        if report.pages_read and self._derivation is not None:
            rows = DerivedRowsCheck(self._store, shard, self._derivation, report)
        elif report.pages_read:
            decode = self._plan.header.job["sources"].get(shard.source, {}).get("decode", {})
            # A row of a wide table becomes a reading for each melted column, each a byte behind the last.
            slack = len(decode.get("melt") or ())
            recount = recount_of(record)
            rows = RowsCheck(self._store, shard, self._rule, self._seed, report, slack, recount)
        right = True
        for file in record.files:
            sound = check_file(self._store, file, self._schema, shard.number, report, self._read)
            match = DATA_FILE.fullmatch(file.path)
            if sound and rows and match and match[2] in self._rule.names:
                right &= rows.check(file.path, match[2])
            else:
                right = False
        if isinstance(rows, DerivedRowsCheck):
            rows.finish()
        if record.rejects:
            sound = check_file(self._store, record.rejects, REJECTS_SCHEMA, shard.number, report, self._read)
            if sound and rows:
                rows.check(record.rejects.path, None)
        wrong = truncated_difference(record, recount) if recount is not None and right else None
        if wrong is not None:
            path = layout.commit_file(shard.number)
            report.add("counts-differ", f"shard {shard.number}: {wrong}", path=path, shard=shard.number)

    def _orphan(self, path: str, shard: int | None, why: str) -> None:
        self._report.add("stray-file", f"{path}: {why}; {WAY_OUT}", path=path, shard=shard)

    def _read(self, count: int) -> None:
        self._report.bytes += count
        self._progress(self._report)
