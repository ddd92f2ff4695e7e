"""What `haul`, `plan` and `verify` return: what the command line prints with `--json`, with types.

Attributes are the keys of that JSON, and kept as long as they are (docs/versions.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from skyhaul.dataset.commits.validation import Unfit
from skyhaul.dataset.delivery import Undelivered
from skyhaul.planning.build.difference import ObjectChange
from skyhaul.report.link_use import LinkUse
from skyhaul.verification.findings import Finding
from skyhaul_schemas.commit import RecordCounts, TransferCounts
from skyhaul_schemas.errors import EXIT_OK


class _Result(BaseModel):
    # A key of the JSON that is no attribute here would be lost in silence.
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """The result that a report's JSON tells."""
        return cls.model_validate(found)

    def to_json(self) -> dict[str, Any]:
        """What the command line prints with `--json`."""
        return self.model_dump(mode="json")


class Hauled(_Result):
    """What a haul came to. One that left work undone is a result, too: `exit_code` says so.

    Attributes:
        exit_code: 0 all is committed; 3 finished, with failed shards or damaged objects, or a source that
            delivered nothing; 4 commit records stand in the way; 75 incomplete, haul again; 130 or 143
            interrupted.
        id: The haul's.
        plan: The plan's digest.
        runner: Beam's name of the runner.
        started: UTC, RFC 3339.
        finished: UTC, RFC 3339.
        seconds: How long it took.
        outcome: The same as `exit_code` in a word.
        shards_planned: Of the dataset.
        shards_committed: By this haul.
        shards_failed: Of the dataset, for good until they are replayed.
        shards_deferred: By this haul, to a later one.
        shards_left: Of the dataset, neither committed nor failed.
        objects: Of the shards that this haul committed.
        source_bytes: Likewise.
        dataset_bytes: Of the dataset's files.
        records: Of the shards that this haul committed.
        damaged_objects: Of the dataset.
        transfer: Link -> what it carried for the shards that this haul committed.
        deferred_because: Class of error -> shards.
        set_aside: Files that lay in the way, under the names that they are kept by.
        nulled_by: `field: reason` -> values that did not fit and are null.
        truncated_by: Format -> images that were cut off.
        undelivered: Sources with nothing left of whose records none was written or filtered.
        unfit: Files in the place of commit records that stand for nothing.
        dataset: Its path or URL, without secrets.
        committed: Shards of the dataset by now.
        links: What each link carried while this process watched.
        messages: Lines for people: what is left, and why.
        next: Commands that go on from here.
    """

    exit_code: int
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
    deferred_because: dict[str, int]
    set_aside: list[str]
    nulled_by: dict[str, int]
    truncated_by: dict[str, int]
    undelivered: list[Undelivered]
    unfit: list[Unfit]
    dataset: str
    committed: int
    links: list[LinkUse]
    messages: list[str]
    next: list[str]

    @property
    def complete(self) -> bool:
        """Whether all of the plan is committed, and nothing is wrong with it."""
        return self.exit_code == EXIT_OK


class SourceSummary(_Result):
    """One source of a plan, in counts.

    Attributes:
        objects: Its objects.
        bytes: Their size.
        needed_bytes: What of them is hauled.
        chunks: What they are cut into.
        shards: What those are dealt to.
    """

    objects: int
    bytes: int
    needed_bytes: int
    chunks: int
    shards: int


class PlannedSource(SourceSummary):
    """One source of a plan, with the way to it.

    Attributes:
        links: Its links, best first.
        seconds_at_least: What `needed_bytes` take over all of them; None where a rate is not known.
    """

    links: list[str]
    seconds_at_least: float | None


class PlanSummary(_Result):
    """A plan, in counts.

    Attributes:
        digest: Of all that reaches a shard; equal plans give equal datasets.
        name: The job's.
        dataset: Its path or URL, without secrets.
        objects: Those that are pinned.
        bytes: Their size.
        chunks: What they are cut into.
        shards: What those are dealt to.
        unpinned: Objects that state no version, so that their size alone pins them.
        empty: Objects without a byte.
        left_out: Reason -> names that a listing shows and the plan does not hold.
        left_out_names: Reason -> some of them.
        unchecked: Reason -> objects that no list of checksums names.
        unchecked_names: Reason -> some of them.
        fingerprint: What the bytes of shards depend on besides their sources -> its version.
        sources: The sources by name.
    """

    digest: str
    name: str
    dataset: str
    objects: int
    bytes: int
    chunks: int
    shards: int
    unpinned: int
    empty: int
    left_out: dict[str, int]
    left_out_names: dict[str, list[str]]
    unchecked: dict[str, int]
    unchecked_names: dict[str, list[str]]
    fingerprint: dict[str, str]
    sources: Mapping[str, SourceSummary]


class Planned(PlanSummary):
    """A plan, as `plan` returns it.

    Attributes:
        fresh: Whether it was made just now, or was there.
        sources: The sources by name.
    """

    fresh: bool
    sources: Mapping[str, PlannedSource]


class PlanUpdateShards(_Result):
    """Shards of a plan that was extended or amended.

    Attributes:
        planned: All by now.
        added: How many are new.
        amended: The numbers of earlier ones that changed.
    """

    planned: int
    added: int
    amended: list[int]


class PlanUpdated(_Result):
    """What an extension or an amendment did to a plan.

    Attributes:
        kind: `extend` or `amend`.
        generation: The number of the one that it added; None: there was nothing to do.
        digest: The plan's by now.
        shards: In counts.
        bytes_added: Source bytes.
        counts: What happened to objects, as words (`new planned`) -> how many.
        set_aside: A line for each commit record that an amendment outdated.
        changes: Objects that are otherwise than planned; the first 10,000.
        left_out: Reason -> names that the listing shows and the plan does not hold.
        left_out_names: Reason -> some of them.
        unchecked: Reason -> objects that no list of checksums names.
        unchecked_names: Reason -> some of them.
    """

    kind: str
    generation: int | None
    digest: str
    shards: PlanUpdateShards
    bytes_added: int
    counts: dict[str, int]
    set_aside: list[str]
    changes: list[ObjectChange]
    left_out: dict[str, int]
    left_out_names: dict[str, list[str]]
    unchecked: dict[str, int]
    unchecked_names: dict[str, list[str]]


class VerifiedShards(_Result):
    """Shards of a dataset that was verified.

    Attributes:
        planned: All.
        committed: Those with a commit record that stands.
        failed: For good, until they are replayed.
        left: The others.
    """

    planned: int
    committed: int
    failed: int
    left: int


class VerifiedObjects(_Result):
    """Objects of a dataset that was verified.

    Attributes:
        planned: All.
        damaged: Those with a rest that could not be read.
    """

    planned: int
    damaged: int


class Verified(_Result):
    """What a verification proved, and what it found. Damage is a result, too: `exit_code` says so.

    Attributes:
        exit_code: 0 sound and complete; 3 sound, with failed shards or damaged objects; 4 damaged; 75 sound
            so far, and not finished.
        plan: The plan's digest.
        deep: Whether every page was read.
        shards: In counts.
        objects: In counts.
        files: Those that were digested.
        bytes: Their size.
        rows: As the commit records count them.
        rejects: Likewise.
        passed_over: Likewise.
        nulled: Values that did not fit and are null.
        truncated: Images that were cut off.
        undelivered: Sources with nothing left of whose records none was written or filtered.
        without_digest: Kind of record -> those that an earlier version wrote without a digest of their own.
        findings_total: How many findings there are.
        findings: The first 1,000.
    """

    exit_code: int
    plan: str
    deep: bool
    shards: VerifiedShards
    objects: VerifiedObjects
    files: int
    bytes: int
    rows: int
    rejects: int
    passed_over: int
    nulled: int
    truncated: int
    undelivered: list[Undelivered]
    without_digest: dict[str, int]
    findings_total: int
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with what is there; shards may be left."""
        return self.findings_total == 0
