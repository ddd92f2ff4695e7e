"""`skyhaul reshard`: what the new dataset holds."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul.dataset.survey import Survey
from skyhaul.derived.derivation import Derivation
from skyhaul.report.table import labelled, next_lines, plural
from skyhaul_schemas.units import format_size


@dataclass(frozen=True, slots=True)
class ReshardReport:
    """A derived dataset as it is now."""

    derivation: Derivation
    seen: Survey
    plan: str
    """Its digest."""
    place: str
    """As it may be shown."""
    target: str
    """What the user typed for it."""

    def lines(self) -> Iterator[str]:
        """What was done, then the figures, then what comes next."""
        derivation, seen = self.derivation, self.seen
        how = (
            f"shuffled by seed {derivation.seed}" if derivation.kind == "reshard" else "put together in order"
        )
        yield f"{plural(seen.records.written, 'row')} {how}: {self.place}"
        missing = sum(each.missing for each in derivation.inputs)
        files = sum(split.files for split in seen.splits.values())
        yield from labelled(
            [
                ("shards", f"{seen.shards_committed:,}, from {derivation.inputs[0].shards:,}"),
                ("files", f"{files:,}, from {derivation.files:,}; {format_size(seen.dataset_bytes)}"),
                ("rows", f"{derivation.rows:,} in, {seen.records.written:,} out"),
                *([("without", plural(missing, "failed shard") + " of the inputs")] if missing else []),
            ]
        )
        yield from next_lines([f"skyhaul verify --deep {shlex.quote(self.target)}"])

    def to_json(self) -> dict[str, Any]:
        seen = self.seen
        return {
            "exit_code": seen.exit_code(),
            "dataset": self.place,
            "plan": self.plan,
            "shards": seen.shards_committed,
            "files": sum(split.files for split in seen.splits.values()),
            "bytes": seen.dataset_bytes,
            "rows": {
                "in": self.derivation.rows,
                "out": seen.records.written,
                "dropped": self.derivation.dropped,
            },
            "derived": self.derivation.to_json(),
        }
