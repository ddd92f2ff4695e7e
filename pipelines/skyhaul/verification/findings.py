"""What verify found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from skyhaul.dataset.delivery import Undelivered
from skyhaul_schemas.errors import EXIT_DAMAGE, EXIT_FAILED, EXIT_INCOMPLETE, EXIT_OK
from skyhaul_schemas.printable import printable

FINDINGS_CAP = 1000
"""Findings kept; more are only counted, so that their memory is bounded. Chosen, not measured."""


def exit_code_of(damage: int, *, left: int, failed: int) -> int:
    """The exit code of a dataset that was looked at.

    It is 4 for `damage`, then 75 while shards are `left`, then 3 for what `failed`, else 0.
    """
    # The worst first: a dataset that is not what it says is not made good by being hauled on.
    if damage:
        return EXIT_DAMAGE
    if left:
        return EXIT_INCOMPLETE
    return EXIT_FAILED if failed else EXIT_OK


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault that was found."""

    code: str
    """Its kind, for scripts."""
    message: str
    path: str | None = None
    """In the dataset."""
    shard: int | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(slots=True)
class VerifyReport:
    """Counts of what was proved, and findings."""

    plan: str = ""
    pages_read: bool = False
    """Whether every page was read (`deep`)."""
    shards: int = 0
    shards_committed: int = 0
    shards_failed: int = 0
    damaged_objects: int = 0
    objects: int = 0
    files: int = 0
    bytes: int = 0
    """Of the files that were digested."""
    rows: int = 0
    rejects: int = 0
    passed_over: int = 0
    nulled: int = 0
    truncated: int = 0
    undelivered: list[Undelivered] = field(default_factory=list)
    """Sources with nothing left of whose records none was written or filtered."""
    without_digest: dict[str, int] = field(default_factory=dict)
    """By kind, records that an earlier version wrote without a digest of their own."""
    findings_total: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def shards_left(self) -> int:
        """Shards that are neither committed nor failed for good."""
        return max(0, self.shards - self.shards_committed - self.shards_failed)

    def add(self, code: str, message: str, *, path: str | None = None, shard: int | None = None) -> None:
        self.findings_total += 1
        if len(self.findings) < FINDINGS_CAP:
            self.findings.append(Finding(code, printable(message), path, shard))

    def no_digest(self, kind: str) -> None:
        """Count a record that has no digest of its own."""
        self.without_digest[kind] = self.without_digest.get(kind, 0) + 1

    def exit_code(self) -> int:
        """The exit code of `verify`.

        4 for damage; of a sound dataset 75 while shards are left, then 3 for failed shards or damaged
        objects, else 0."""
        return exit_code_of(
            self.findings_total, left=self.shards_left, failed=self.shards_failed + self.damaged_objects
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "exit_code": self.exit_code(),
            "plan": self.plan,
            "deep": self.pages_read,
            "shards": {
                "planned": self.shards,
                "committed": self.shards_committed,
                "failed": self.shards_failed,
                "left": self.shards_left,
            },
            "objects": {"planned": self.objects, "damaged": self.damaged_objects},
            "files": self.files,
            "bytes": self.bytes,
            "rows": self.rows,
            "rejects": self.rejects,
            "passed_over": self.passed_over,
            "nulled": self.nulled,
            "truncated": self.truncated,
            "undelivered": [source.to_json() for source in self.undelivered],
            "without_digest": self.without_digest,
            "findings_total": self.findings_total,
            "findings": [asdict(finding) for finding in self.findings],
        }
