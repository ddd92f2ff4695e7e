"""One commit record against the plan: is it this shard's, and did it take just the planned bytes?"""

from __future__ import annotations

from collections.abc import Iterator

from skyhaul.dataset.commits.validation import CommitValidator, own_faults
from skyhaul.verification.findings import VerifyReport
from skyhaul.verification.ranges import differences
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.plan import Shard

WAY_OUT = "`skyhaul replay --damaged` mends it"


def validated_commit(
    data: bytes, shard: int, validator: CommitValidator, report: VerifyReport
) -> CommitRecord | None:
    """The record, or None with a finding that says why it does not stand for the shard."""
    verdict = validator.parsed(shard, data)
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
        report.add(code, f"shard {shard.number}: {message}; {WAY_OUT}", path=path, shard=shard.number)

    for code, message in (*source_differences(record, shard), *own_faults(record)):
        add(code, message)


def source_differences(record: CommitRecord, shard: Shard) -> Iterator[tuple[str, str]]:
    """(kind, what is wrong) of the bytes that the record took, against those planned for the shard."""
    planned = [(c.object.path, interval) for c in shard.chunks for interval in c.ranges]
    taken = [(s.object, interval) for s in record.sources for interval in s.ranges]
    left_out = [(c.object.path, interval) for c in shard.chunks for interval in c.skipped]
    skipped = [(s.object, interval) for s in record.sources for interval in s.skipped]
    # As it is nearly always; what follows only finds words for a difference.
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
