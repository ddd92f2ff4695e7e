"""What a commit record says against itself: files that are not its shard's, counts that are not theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord

_SPLIT = re.compile(r"data/\d{4,}/([a-z][a-z0-9_]*)-\d{7,}-\d{3,}\.parquet")


def own_faults(record: CommitRecord) -> Iterator[tuple[str, str]]:
    """(kind, what is wrong) of whatever no haul writes; the kinds are those of verify's findings. A record
    without a digest, written before there was one, may have rotted into it."""
    for message in _misnamed(record):
        yield "file-misnamed", message
    written = sum(file.rows for file in record.files)
    if record.records.written != written:
        yield "counts-differ", f"{record.records.written} rows written, its files hold {written}"
    rejected = record.rejects.rows if record.rejects else 0
    if record.records.rejected != rejected:
        yield "counts-differ", f"{record.records.rejected} records rejected, its rejects hold {rejected}"
    filtered = sum(record.filtered_by.values())
    if record.records.filtered != filtered:
        yield "counts-differ", f"{record.records.filtered} records filtered, its rules took {filtered}"
    passed_over = sum(record.passed_over_by.values())
    if record.records.passed_over != passed_over:
        said = f"{record.records.passed_over} records passed over, its reasons count {passed_over}"
        yield "counts-differ", said
    truncated = sum((record.truncated_by or {}).values())
    if truncated > written:
        yield "counts-differ", f"{truncated} truncated images written, its files hold {written} rows"


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
