"""What `skyhaul spool` tells: the spools on this machine, and which of them were removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skyhaul_connectors.transfer.spool.folders import SpoolFolder


@dataclass(frozen=True, slots=True)
class SpoolLine:
    """One spool. state: `in use`, `resumable` (of this job's plan, with shards left), `kept` (too young, or
    somebody else's), `stale`, or `removed`."""

    folder: SpoolFolder
    state: str


@dataclass(frozen=True, slots=True)
class SpoolReport:
    target: str
    root: str
    lines: tuple[SpoolLine, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "spool": self.root,
            "spools": [
                {
                    "path": str(line.folder.path),
                    "plan": line.folder.plan,
                    "state": line.state,
                    "bytes": line.folder.bytes,
                    "idle_seconds": round(line.folder.idle, 1),
                    "shards": line.folder.shards,
                    "holder": line.folder.holder,
                }
                for line in self.lines
            ],
        }
