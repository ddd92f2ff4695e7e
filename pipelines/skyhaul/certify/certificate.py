"""What certifying found: checks, each held, missed or not made, and what each engine read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from skyhaul.certify.engine_reading import Reading
from skyhaul.verification.findings import exit_code_of

Result = Literal["held", "missed", "not made"]

FORMAT = 1
"""Form of certificate.json (docs/versions.md); people and scripts read it, skyhaul does not."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a certificate."""

    name: str
    """For scripts."""
    result: Result
    detail: str
    """One line with what was found."""


@dataclass(slots=True)
class Certificate:
    """What certifying found.

    `shards_failed` and `damaged_objects` are no misses: their bytes are accounted for, as failures and
    rejects."""

    plan: str = ""
    skyhaul: str = ""
    at: str = ""
    shards: int = 0
    shards_left: int = 0
    shards_failed: int = 0
    damaged_objects: int = 0
    rows: int = 0
    bytes: int = 0
    schema_fingerprint: str = ""
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    engines: dict[str, Reading] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """By engine."""

    def add(self, name: str, wrong: str | None, detail: str) -> None:
        """A check that held with `detail`, or that `wrong` says has missed."""
        # Names are read by scripts: one check has one name, held or missed.
        self.checks.append(Check(name, "held" if wrong is None else "missed", wrong or detail))

    def skip(self, name: str, reason: str) -> None:
        # Written down, too: a certificate must not seem to rest on an engine that was not there.
        self.checks.append(Check(name, "not made", reason))

    @property
    def missed(self) -> int:
        return sum(check.result == "missed" for check in self.checks)

    @property
    def certified(self) -> bool:
        return not self.missed and not self.shards_left

    def exit_code(self) -> int:
        """4 on any miss, then 75 while shards are left, then 3 for failed shards or damaged objects."""
        return exit_code_of(
            self.missed, left=self.shards_left, failed=self.shards_failed + self.damaged_objects
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "certified": self.certified,
            "exit_code": self.exit_code(),
            "plan": self.plan,
            "skyhaul": self.skyhaul,
            "at": self.at,
            "shards": {"planned": self.shards, "left": self.shards_left, "failed": self.shards_failed},
            "damaged_objects": self.damaged_objects,
            "rows": self.rows,
            "bytes": self.bytes,
            "schema_fingerprint": self.schema_fingerprint,
            "splits": self.splits,
            "checks": [asdict(check) for check in self.checks],
            "engines": {
                name: {**reading.to_json(), "seconds": self.seconds.get(name, 0.0)}
                for name, reading in self.engines.items()
            },
        }
