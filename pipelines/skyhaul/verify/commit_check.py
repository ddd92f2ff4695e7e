"""One commit record against the plan: is it this shard's, and did it take just the planned bytes?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from skyhaul.dataset.judging import Judge
from skyhaul.verify.ranges import differences
from skyhaul.verify.report import VerifyReport
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.plan import Shard

_SPLIT = re.compile(r"data/\d{4,}/([a-z][a-z0-9_]*)-\d{7,}-\d{3,}\.parquet")


WAY_OUT = "`skyhaul replay --damaged` mends it"


def judge_commit(data: bytes, shard: int, judge: Judge, report: VerifyReport) -> CommitRecord | None:
    """The record, or None with a finding that says why it does not stand for the shard."""
    verdict = judge.parsed(shard, data)
    if verdict.fault is not None:
        path = layout.commit_file(shard)
        message = f"commit record of shard {shard}: {verdict.fault.why}; {WAY_OUT}"
        report.add(verdict.fault.code, message, path=path, shard=shard)
    elif verdict.record is not None and verdict.record.digest is None:
        report.no_digest("commit records")
    return verdict.record


def check_commit(record: CommitRecord, shard: Shard, report: VerifyReport) -> None:
    """Add findings for a record of the shard whose sources, names or counts are not right."""
    path = layout.commit_file(shard.number)

    def add(code: str, message: str) -> None:
        report.add(code, f"shard {shard.number}: {message}", path=path, shard=shard.number)

    for code, message in _source_differences(record, shard):
        add(code, message)
    for message in _misnamed(record):
        add("file-misnamed", message)
    written = sum(file.rows for file in record.files)
    if record.records.written != written:
        add("counts-differ", f"{record.records.written} rows written, its files hold {written}")
    rejected = record.rejects.rows if record.rejects else 0
    if record.records.rejected != rejected:
        add("counts-differ", f"{record.records.rejected} records rejected, its rejects hold {rejected}")
    filtered = sum(record.filtered_by.values())
    if record.records.filtered != filtered:
        add("counts-differ", f"{record.records.filtered} records filtered, its rules took {filtered}")
    passed_over = sum(record.passed_over_by.values())
    if record.records.passed_over != passed_over:
        said = f"{record.records.passed_over} records passed over, its reasons count {passed_over}"
        add("counts-differ", said)


def _source_differences(record: CommitRecord, shard: Shard) -> Iterator[tuple[str, str]]:
    planned = [(c.object.path, interval) for c in shard.chunks for interval in c.ranges]
    taken = [(s.object, interval) for s in record.sources for interval in s.ranges]
    left_out = [(c.object.path, interval) for c in shard.chunks for interval in c.skipped]
    skipped = [(s.object, interval) for s in record.sources for interval in s.skipped]
    if (planned, left_out) == (taken, skipped):
        return
    objects: dict[str, tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {}
    for which, pairs in enumerate((planned, taken)):
        for name, interval in pairs:
            objects.setdefault(name, ([], []))[which].append(interval)
    found = False
    for name, (wanted, got) in objects.items():
        for start, stop, expected, actual in differences(wanted, got):
            found = True
            where = f"bytes {start} to {stop} of {name}"
            if actual == 0:
                yield "range-missing", f"{where} are planned for it, but its commit record did not take them"
            elif expected == 0:
                yield "range-twice", f"{where} are in its commit record, but planned for another shard"
            else:
                yield "range-twice", f"{where} are {actual} times in its commit record"
    if left_out != skipped:
        yield "range-skipped", "its commit record skips other bytes than its plan leaves out"
    elif not found:
        yield "range-order", "its commit record has its chunks in another order or cut otherwise"


def _misnamed(record: CommitRecord) -> Iterator[str]:
    """A shard's files are named by its number, its splits, and parts counted from 0."""
    parts: dict[str, int] = {}
    for file in record.files:
        match = _SPLIT.fullmatch(file.path)
        split = match[1] if match else ""
        due = layout.data_file(record.shard, split, parts.get(split, 0)) if match else None
        parts[split] = parts.get(split, 0) + 1
        if file.path != due:
            yield f"its commit record names {file.path}" + (f" where {due} is due" if due else "")
        if file.rows < 1:
            yield f"its commit record names {file.path} with {file.rows} rows"
    if record.rejects and record.rejects.path != layout.rejects_file(record.shard):
        yield f"its commit record names {record.rejects.path} as its rejects"
