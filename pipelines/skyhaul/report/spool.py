"""`skyhaul spool`: the spools on this machine, and which of them were removed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul.report.table import columns, plural
from skyhaul_connectors.transfer.spool.folders import SpoolFolder
from skyhaul_schemas.units import format_duration, format_size


@dataclass(frozen=True, slots=True)
class SpoolState:
    """One spool."""

    folder: SpoolFolder
    state: str
    """`in use`, `resumable` (of this job's plan, with shards left), `kept` (too young, or somebody else's),
    `stale`, or `removed`."""


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """The spools below the job's `spool` folder."""

    target: str
    """What the user typed for the job."""
    root: str
    """The job's `spool` folder."""
    spools: tuple[SpoolState, ...]

    def lines(self) -> Iterator[str]:
        if not self.spools:
            yield f"no spools below {self.root}"
            return
        rows = [
            (
                spool.state,
                format_size(spool.folder.bytes),
                plural(spool.folder.shards, "shard"),
                format_duration(spool.folder.idle),
                "" if spool.folder.holder is None else str(spool.folder.holder),
                str(spool.folder.path),
            )
            for spool in self.spools
        ]
        yield from columns(("state", "bytes", "holds", "idle", "process", "spool"), rows, right="-r-rr")
        if any(spool.state == "stale" for spool in self.spools):
            yield f"next: skyhaul spool --clean {shlex.quote(self.target)}"

    def to_json(self) -> dict[str, Any]:
        return {
            "spool": self.root,
            "spools": [
                {
                    "path": str(spool.folder.path),
                    "plan": spool.folder.plan,
                    "state": spool.state,
                    "bytes": spool.folder.bytes,
                    "idle_seconds": round(spool.folder.idle, 1),
                    "shards": spool.folder.shards,
                    "holder": spool.folder.holder,
                }
                for spool in self.spools
            ],
        }
