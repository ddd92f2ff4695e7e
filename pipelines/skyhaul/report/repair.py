"""`skyhaul replay --damaged`: which broken files it found, and what became of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from skyhaul.dataset.intact import GONE
from skyhaul.report.table import columns, plural
from skyhaul.verification.damage import BrokenFile
from skyhaul_schemas import layout
from skyhaul_schemas.errors import EXIT_INCOMPLETE


@dataclass(frozen=True, slots=True)
class RepairReport:
    """One search for broken files, and what was done about them."""

    target: str
    """What the user typed for the job."""
    dataset: str
    mended: tuple[BrokenFile, ...]
    """Those that were put right or set aside."""
    left: tuple[BrokenFile, ...]
    """Those that are still broken."""
    exit_code: int

    def to_json(self) -> dict[str, Any]:
        return {
            "exit_code": self.exit_code,
            "dataset": self.dataset,
            "mended": [asdict(file) for file in self.mended],
            "left": [asdict(file) for file in self.left],
        }

    def lines(self) -> Iterator[str]:
        if not self.mended and not self.left:
            yield f"nothing is damaged: every committed file of {self.dataset} is as it was committed"
            return
        gone = tuple(file for file in self.mended if not file.haul)
        mended = tuple(file for file in self.mended if file.haul)
        if gone:
            yield f"set aside: {plural(len(gone), 'file')}"
            yield from _table(gone)
        if mended:
            shards = len({file.shard for file in mended})
            yield f"mended: {plural(len(mended), 'file')} of {plural(shards, 'shard')}"
            yield from _table(mended)
        # Of a file that was not there nothing was kept.
        if any(file.fault != GONE for file in self.mended):
            yield f"  what was there is kept under {layout.SET_ASIDE}"
        if self.left:
            yield f"still damaged: {plural(len(self.left), 'file')}"
            yield from _table(self.left)
        step = "run" if self.exit_code == EXIT_INCOMPLETE else "verify"
        yield f"next: skyhaul {step} {shlex.quote(self.target)}"


def _table(files: tuple[BrokenFile, ...]) -> Iterator[str]:
    rows = [("" if file.shard is None else str(file.shard), file.path, file.fault) for file in files]
    for line in columns(("shard", "file", "found"), rows, right="r--"):
        yield f"  {line}"
