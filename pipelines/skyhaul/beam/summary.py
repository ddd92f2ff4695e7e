"""What hauls came to, one row a haul, and the demand that it is whole.

Annotations are evaluated here (no `from __future__ import annotations`), as in `skyhaul.hauling.config`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.typehints import with_input_types, with_output_types

from skyhaul.hauling.config import Lot, restored
from skyhaul.hauling.receipts import COMMITTED, DEFERRED, FAILED, Receipt
from skyhaul_schemas.errors import HaulFailed, HaulIncomplete


@dataclass(frozen=True, slots=True)
class HaulSummary:
    """What one haul came to, by its receipts: what stood before it is in all counts but `fresh`."""

    dataset: str
    """Path or URL."""
    run: str
    shards: int = 0
    """Those that the haul was to take up or find settled: all of the plan, or those of a replay."""
    committed: int = 0
    fresh: int = 0
    """Of those committed: by this haul."""
    failed: int = 0
    deferred: int = 0
    files: int = 0
    bytes: int = 0
    """Of the files."""
    source_bytes: int = 0
    read: int = 0
    written: int = 0
    filtered: int = 0
    rejected: int = 0
    passed_over: int = 0

    @property
    def complete(self) -> bool:
        """Whether each shard is committed, and its receipt came."""
        return self.committed == self.shards


_SUMS = tuple(name for name in HaulSummary.__dataclass_fields__ if name not in ("dataset", "run"))

_Key = tuple[str, str]
"""Dataset and run."""


def _due(lot: Lot) -> tuple[_Key, HaulSummary]:
    lot = restored(Lot, lot)
    empty = HaulSummary(lot.haul.dataset, lot.haul.run, shards=lot.shards)
    return (empty.dataset, empty.run), empty


def _came(receipt: Receipt) -> tuple[_Key, HaulSummary]:
    outcome = receipt.outcome
    one = HaulSummary(
        receipt.dataset,
        receipt.run,
        committed=int(outcome == COMMITTED),
        fresh=int(outcome == COMMITTED and receipt.fresh),
        failed=int(outcome == FAILED),
        deferred=int(outcome == DEFERRED),
        files=len(receipt.files),
        bytes=receipt.bytes,
        source_bytes=receipt.source_bytes,
        read=receipt.read,
        written=receipt.written,
        filtered=receipt.filtered,
        rejected=receipt.rejected,
        passed_over=receipt.passed_over,
    )
    return (one.dataset, one.run), one


@with_input_types(HaulSummary)
@with_output_types(HaulSummary)
class _AddUp(beam.CombineFn):
    def create_accumulator(self) -> HaulSummary:
        return HaulSummary("", "")

    def add_input(self, accumulator: HaulSummary, summary: HaulSummary) -> HaulSummary:
        sums = {name: getattr(accumulator, name) + getattr(summary, name) for name in _SUMS}
        names = summary if summary.run else accumulator
        return HaulSummary(names.dataset, names.run, **sums)

    def merge_accumulators(self, accumulators: Iterable[HaulSummary]) -> HaulSummary:
        whole = self.create_accumulator()
        for accumulator in accumulators:
            whole = self.add_input(whole, accumulator)
        return whole

    def extract_output(self, accumulator: HaulSummary) -> HaulSummary:
        return accumulator

    def get_accumulator_coder(self) -> Any:
        return coders.registry.get_coder(HaulSummary)


@with_output_types(HaulSummary)
class SummarizeHauls(beam.PTransform):
    """Lots, and the receipts of all of them, to one row a haul (and window)."""

    def expand(self, lots_and_receipts: Any) -> Any:
        lots, receipts = lots_and_receipts
        return (
            (lots | "Due" >> beam.Map(_due), receipts | "Came" >> beam.Map(_came))
            | "Both" >> beam.Flatten()
            | "Add up" >> beam.CombinePerKey(_AddUp())
            | "Rows" >> beam.Values()
        )


def _demand(summary: HaulSummary) -> HaulSummary:
    summary = restored(HaulSummary, summary)
    if summary.complete:
        return summary
    lost = summary.shards - summary.committed - summary.failed - summary.deferred
    parts = ((summary.failed, "failed"), (summary.deferred, "put off"), (lost, "without a receipt"))
    why = ", ".join(f"{count} {what}" for count, what in parts if count)
    message = (
        f"dataset {summary.dataset}: {summary.committed} of {summary.shards} shards are committed ({why})"
    )
    if summary.deferred or lost:
        raise HaulIncomplete(f"{message}; run the pipeline again")
    raise HaulFailed(f"{message}; `skyhaul failures` lists them, `skyhaul replay` retries")


@with_input_types(HaulSummary)
@with_output_types(HaulSummary)
class RequireComplete(beam.PTransform):
    """Summaries as they are; a haul that is not whole fails the pipeline."""

    def expand(self, summaries: Any) -> Any:
        return summaries | "Demand" >> beam.Map(_demand)
