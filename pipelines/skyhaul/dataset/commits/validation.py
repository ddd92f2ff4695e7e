"""Whether a commit record is valid.

It is where the plan has the shard in whose place it lies, and the record says the same number, source and
digest of the generation that holds it; and where it does not speak against itself: its files are named as
its shard's, and its counts add up. docs/adr/0003 has why everything else counts for nothing.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from skyhaul.dataset.commits.record_files import what_is_wrong
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, FailureRecord, GroupSums
from skyhaul_schemas.plan import PlanHeader, Shard


class Planned(Protocol):
    """The part of a plan that validation needs."""

    @property
    def header(self) -> PlanHeader: ...

    def shard(self, number: int) -> Shard: ...

    def outdates(self, failure: FailureRecord) -> bool: ...

    def digest_of(self, number: int) -> str: ...

    def digests(self, first: int, stop: int) -> list[tuple[int, str]]: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a commit record or a sealed file does not stand."""

    code: str
    """Its kind, for scripts; verify's too."""
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A record that stands, or what is wrong with it."""

    record: CommitRecord | None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """A file that is where a commit record or a sealed group would be, and does not stand."""

    code: str
    path: str
    shard: int | None
    """The one that its name states."""
    why: str
    planned: bool
    """Whether a shard of the plan cannot be committed while it lies there."""

    def __str__(self) -> str:
        return f"{self.path} stands for no shard: {self.why}"


class CommitValidator:
    """Holds commit records against one plan, as the plan was when it was opened."""

    def __init__(self, plan: Planned) -> None:
        self.plan = plan
        self.shards = plan.header.shards
        stretches = plan.header.stretches()
        # Stretches of shards of one source, a few a generation: no row of the plan is read to judge a record.
        self._starts = [first for _, first, _ in stretches]
        self._sources = [name for name, _, _ in stretches]

    def fault(self, number: int, shard: int, plan: str, source: str) -> Fault | None:
        """What is wrong with a record of this shard, plan and source that lies in the place of `number`."""
        if number >= self.shards:
            return Fault("commit-unplanned", f"the plan ends with shard {self.shards - 1}")
        if shard != number:
            return Fault("commit-misplaced", f"it is the record of shard {shard}")
        due = self.plan.digest_of(number)
        if plan != due:
            return Fault("commit-of-another-plan", f"it is of plan {plan[:16]}, and the shard of {due[:16]}")
        planned = self.source_of(number)
        if source != planned:
            return Fault(
                "commit-of-another-source",
                f"it is of source {source}, and the shard is planned for {planned}",
            )
        return None

    def source_of(self, number: int) -> str:
        """The source of a shard of the plan."""
        return self._sources[bisect.bisect_right(self._starts, number) - 1]

    def parsed(self, number: int, data: bytes) -> Verdict:
        """The record in `data`, which lies in the place of `number`, if it is of that shard and plan."""
        # Before it is parsed: beyond the plan nothing can stand, whatever it says.
        if number >= self.shards:
            return Verdict(None, self.fault(number, number, "", ""))
        try:
            record = CommitRecord.model_validate_json(data)
        except ValidationError as error:
            wrong = what_is_wrong(error)
            # By its message (`skyhaul_schemas.commit.RecordCounts`): pydantic gives a validator's error no
            # code.
            code = "counts-differ" if "do not add up" in wrong else "commit-unreadable"
            return Verdict(None, Fault(code, f"it is no commit record ({wrong if data else 'it is empty'})"))
        fault = self.fault(number, record.shard, record.plan, record.source)
        return Verdict(None, fault) if fault is not None else Verdict(record)

    def validated(self, number: int, data: bytes) -> Verdict:
        """As `parsed`; a record that speaks against itself does not stand either."""
        verdict = self.parsed(number, data)
        if verdict.record is None:
            return verdict
        fault = next((Fault(code, why) for code, why in own_faults(verdict.record)), None)
        return verdict if fault is None else Verdict(None, fault)

    def fault_of_sealed(self, group: int, sums: GroupSums) -> Fault | None:
        """What is wrong with a sealed group, by its footer, which must state `plans`."""
        span = layout.shards_of(group)
        if span.stop > self.shards:
            return Fault("commit-unplanned", f"the plan ends with shard {self.shards - 1}")
        # The digests alone, which are equal for equal plans: no record is read for that.
        if sums.plans != self.plan.digests(span.start, span.stop):
            return Fault("commit-of-another-plan", "it holds commit records of another plan")
        # A plan's digest says of which source a shard is; that the sums count them so is for `status`, which
        # adds them up unread.
        counts: dict[str, int] = {}
        first = span.start
        while first < span.stop:
            index = bisect.bisect_right(self._starts, first) - 1
            stop = min([span.stop, *self._starts[index + 1 : index + 2]])
            counts[self._sources[index]] = counts.get(self._sources[index], 0) + stop - first
            first = stop
        if sums.committed != counts:
            return Fault("commit-of-another-source", "its sources are not those of its shards")
        return None


_SPLIT = re.compile(r"data/\d{4,}/([a-z][a-z0-9_]*)-\d{7,}-\d{3,}\.parquet")
"""The split of a data file's path; the path is made anew from it and the shard's number, and compared."""


def own_faults(record: CommitRecord) -> Iterator[tuple[str, str]]:
    """(kind, what is wrong) of whatever no haul writes; the kinds are those of verify's findings.

    A record without a digest, written before there was one, may have rotted into it."""
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
    """Messages for files not named by the shard's number, their split, and a part counted from 0."""
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
