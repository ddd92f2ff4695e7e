"""The commits held against the plan when a haul is over: what it did, what is left and why.

The dataset decides, not the state that a runner reports; receipts only tell why something is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from skyhaul.dataset.survey import Survey, unfit_lines
from skyhaul.hauling.receipts import Tally
from skyhaul_schemas import layout
from skyhaul_schemas.commit import RunRecord, TransferCounts
from skyhaul_schemas.errors import EXIT_DAMAGE, EXIT_FAILED, EXIT_INCOMPLETE, EXIT_OK
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.units import moment_text

SET_ASIDE_LISTED = 1_000
"""Files that a run record names one by one. Chosen, not measured: a record stays below some 100 kB."""

_OUTCOMES: dict[int, Literal["done", "failed", "incomplete"]] = {
    EXIT_OK: "done",
    EXIT_FAILED: "failed",
    EXIT_DAMAGE: "failed",
    EXIT_INCOMPLETE: "incomplete",
}
"""By exit code, as run records have it; any other is `interrupted`."""


@dataclass(frozen=True, slots=True)
class HaulSpan:
    """When a haul began and ended."""

    started: str
    """Wall clock, RFC 3339 in UTC, to the millisecond."""
    finished: str
    """Wall clock, like `started`."""
    seconds: float
    """Between the two, by the monotonic clock."""

    @classmethod
    def until_now(cls, started: datetime, begun: float) -> HaulSpan:
        """`started` and `begun` are the same moment, by the wall clock and by the monotonic clock."""
        return cls(moment_text(started), moment_text(datetime.now(UTC)), time.monotonic() - begun)

    @classmethod
    def of(cls, started: datetime, finished: datetime) -> HaulSpan:
        """For a haul that began in another process, whose monotonic clock says nothing here."""
        return cls(
            moment_text(started), moment_text(finished), max(0.0, (finished - started).total_seconds())
        )


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a haul came to."""

    before: Survey
    """The dataset as the haul found it."""
    after: Survey
    """The dataset as the haul left it."""
    tally: Tally
    """The receipts that were seen in this process."""
    state: str
    """The runner's last state."""
    signal_code: int | None
    """The exit code of the signal that stopped the haul, if one did."""

    @property
    def exit_code(self) -> int:
        code = self.after.exit_code()
        if self.signal_code is not None and code == EXIT_INCOMPLETE:
            return self.signal_code
        return code

    def messages(self) -> Iterator[str]:
        """Lines for people: what is left, and why."""
        after, tally = self.after, self.tally
        if tally.deferred:
            why = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.kinds.items()))
            yield f"{tally.deferred} shards put off ({why}); run the same command again"
            yield from (f"{kind}: {reason}" for kind, reason in sorted(tally.reasons.items()))
        elif after.exit_code() == EXIT_INCOMPLETE and self.signal_code is None:
            yield (
                f"{after.shards_to_haul} shards were not hauled (runner state {self.state});"
                " run the same command again"
            )
        if tally.set_aside:
            yield (
                f"{len(tally.set_aside)} files that lay under names of shards, and were of no commit, are"
                f" kept under {layout.SET_ASIDE}"
            )
        if after.shards_failed:
            yield (
                f"{after.shards_failed} shards failed; `skyhaul failures` lists them, `skyhaul replay`"
                " retries"
            )
        if after.damaged_objects:
            yield f"{after.damaged_objects} objects are damaged; see the rejects under _skyhaul/rejects"
        yield from map(str, after.undelivered)
        yield from unfit_lines(after)

    def record(self, run: str, *, runner: str, header: PlanHeader, span: HaulSpan) -> RunRecord:
        """The record that the dataset keeps of the haul.

        Args:
            run: The haul's id.
            runner: Beam's name of the runner.
            header: The plan that counts in the end.
        """
        before, after, tally = self.before, self.after, self.tally
        return RunRecord(
            id=run,
            plan=header.digest,
            runner=runner,
            started=span.started,
            finished=span.finished,
            seconds=round(span.seconds, 3),
            outcome=_OUTCOMES.get(self.exit_code, "interrupted"),
            shards_planned=header.shards,
            shards_committed=after.shards_committed - before.shards_committed,
            shards_failed=after.shards_failed,
            shards_deferred=tally.deferred,
            shards_left=after.shards_left,
            objects=after.objects_since(before),
            source_bytes=after.source_bytes_committed - before.source_bytes_committed,
            dataset_bytes=after.dataset_bytes,
            records=after.records.minus(before.records),
            damaged_objects=after.damaged_objects,
            transfer=_difference(after.transfer, before.transfer),
            deferred_because=dict(tally.kinds) if tally.deferred else {},
            set_aside=tally.set_aside[:SET_ASIDE_LISTED],
            nulled_by=_gained(after.nulled_by, before.nulled_by),
            truncated_by=_gained(after.truncated_by, before.truncated_by),
        )


def _gained(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in more.items() if count > 0}


def _difference(
    after: dict[str, TransferCounts], before: dict[str, TransferCounts]
) -> dict[str, TransferCounts]:
    zero = TransferCounts()
    return {
        link: TransferCounts(
            payload_bytes=counts.payload_bytes - before.get(link, zero).payload_bytes,
            wire_bytes=counts.wire_bytes - before.get(link, zero).wire_bytes,
            resent_bytes=counts.resent_bytes - before.get(link, zero).resent_bytes,
        )
        for link, counts in after.items()
    }
