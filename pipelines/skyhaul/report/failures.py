"""`skyhaul failures`: a line a failed shard."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from skyhaul.report.table import columns
from skyhaul_schemas.commit import FailureRecord


@dataclass(frozen=True, slots=True)
class FailuresReport:
    """The shards that failed, for good or until the next run."""

    records: Sequence[FailureRecord]
    target: str
    """What the user typed for the job."""

    def lines(self) -> Iterator[str]:
        if not self.records:
            yield "nothing has failed"
            return
        head = ("shard", "source", "class", "attempts", "next", "reason")
        rows = [
            (
                f"{record.shard}",
                record.source,
                record.kind,
                f"{record.attempts}",
                "replay" if record.final else "run",
                record.reason,
            )
            for record in self.records
        ]
        yield from columns(head, rows, right="r--r--")
        # `run` passes over failures that are final; it takes up the others anyway.
        step = "replay" if any(record.final for record in self.records) else "run"
        yield f"next: skyhaul {step} {shlex.quote(self.target)}"

    def to_json(self) -> list[dict[str, Any]]:
        # The digest is of the file, and proves nothing here.
        return [record.model_dump(mode="json", exclude={"digest"}) for record in self.records]
