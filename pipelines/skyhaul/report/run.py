"""`skyhaul run` and `replay`: what the haul did, what is left, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from skyhaul.dataset.commits.validation import Unfit
from skyhaul.dataset.delivery import Undelivered
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.report.link_use import LinkUse
from skyhaul.report.table import labelled, next_lines, nulled_row, plural, truncated_row
from skyhaul_schemas.commit import RunRecord
from skyhaul_schemas.errors import EXIT_DAMAGE, EXIT_FAILED, EXIT_INCOMPLETE, EXIT_OK, EXIT_USAGE
from skyhaul_schemas.units import format_duration, format_rate, format_size

# Of other codes there are 130 and 143, which are an interruption.
_HEADLINES = {
    EXIT_OK: "all is committed",
    EXIT_USAGE: "not all could be written",
    EXIT_FAILED: "finished, with failures or damage",
    EXIT_DAMAGE: "finished, with commit records that do not stand",
    EXIT_INCOMPLETE: "incomplete",
}


@dataclass(frozen=True, slots=True)
class RunReport:
    """One haul."""

    run: RunRecord
    """This haul's own counts; failed shards and damaged objects are those of the whole dataset."""
    target: str
    """What the user typed for the job."""
    dataset: str
    exit_code: int
    committed: int
    """Shards of the whole dataset by now."""
    uses: tuple[LinkUse, ...]
    messages: tuple[str, ...]
    undelivered: tuple[Undelivered, ...] = ()
    unfit: tuple[Unfit, ...] = ()

    @classmethod
    def of(cls, outcome: HaulOutcome, *, target: str, dataset: str, uses: tuple[LinkUse, ...]) -> RunReport:
        """The report of what a haul came to; `target` and `dataset` as they may be shown."""
        return cls(
            run=outcome.run,
            target=target,
            dataset=dataset,
            exit_code=outcome.exit_code,
            committed=outcome.survey.shards_committed,
            uses=uses,
            messages=outcome.messages,
            undelivered=outcome.survey.undelivered,
            unfit=outcome.survey.unfit,
        )

    @property
    def idle(self) -> bool:
        """Nothing was to do."""
        return self.exit_code == EXIT_OK and self.run.shards_committed == 0

    def headline(self) -> str:
        run = self.run
        if self.idle:
            return (
                f"all is committed: {run.shards_planned:,} of {run.shards_planned:,} shards; nothing to haul"
            )
        word = _HEADLINES.get(self.exit_code, "interrupted")
        shards = f"{self.committed:,} of {run.shards_planned:,} shards"
        return f"{word}: {shards}, after {format_duration(run.seconds)}"

    def lines(self) -> Iterator[str]:
        yield self.headline()
        yield from labelled(self.rows())
        yield from self.messages
        yield from next_lines(self.next_steps())

    def rows(self) -> list[tuple[str, str]]:
        """Label and value, for people. Empty where nothing was hauled."""
        if self.idle:
            return [("dataset", f"{self.dataset}, {format_size(self.run.dataset_bytes)}")]
        run = self.run
        records = run.records
        wire = sum(counts.wire_bytes for counts in run.transfer.values())
        resent = sum(counts.resent_bytes for counts in run.transfer.values())
        rows = [
            (
                "objects",
                f"{run.objects:,}" + (f", {run.damaged_objects:,} damaged" * bool(run.damaged_objects)),
            ),
            ("source bytes", format_size(run.source_bytes)),
        ]
        if run.transfer:
            rows += [("wire bytes", format_size(wire)), ("re-sent bytes", format_size(resent))]
        filtered = f"{records.filtered:,} filtered, " if records.filtered else ""
        passed_over = f", {records.passed_over:,} passed over" if records.passed_over else ""
        rows += [
            (
                "records",
                f"{records.read:,} read, {records.written:,} written, {filtered}"
                f"{records.rejected:,} rejected{passed_over}",
            ),
            *nulled_row(run.nulled_by),
            *truncated_row(run.truncated_by),
            ("shards", _shards(run)),
            ("time", format_duration(run.seconds)),
        ]
        rows += [(f"link {use.name}", _use(use)) for use in self.uses]
        rows.append(("dataset", f"{self.dataset}, {format_size(run.dataset_bytes)}"))
        return rows

    def next_steps(self) -> list[str]:
        """Commands, most useful first."""
        job = shlex.quote(self.target)
        if self.exit_code == EXIT_OK:
            return [
                f"skyhaul verify {job}",
                f"python examples/open_for_training.py {shlex.quote(self.dataset)}",
            ]
        if self.exit_code == EXIT_DAMAGE:
            return [f"skyhaul replay --damaged {job}", f"skyhaul verify {job}"]
        # After 2 as well: once what is wrong was changed, the same command goes on.
        if self.exit_code != EXIT_FAILED:
            return [f"skyhaul run {job}"]
        steps = [f"skyhaul verify {job}"]
        if self.run.shards_failed:
            steps = [f"skyhaul failures {job}", f"skyhaul replay {job}"]
        return steps

    def to_json(self) -> dict[str, Any]:
        return {
            # Keys of RunRecord are keys here: what a record gains, scripts see. Its digest is of the file.
            "exit_code": self.exit_code,
            **self.run.model_dump(mode="json", exclude={"digest"}),
            "undelivered": [source.to_json() for source in self.undelivered],
            "unfit": [asdict(unfit) for unfit in self.unfit],
            "dataset": self.dataset,
            "committed": self.committed,
            "links": [asdict(use) for use in self.uses],
            "messages": list(self.messages),
            "next": self.next_steps(),
        }


def _shards(run: RunRecord) -> str:
    parts: Sequence[tuple[int, str]] = (
        (run.shards_committed, "committed"),
        (run.shards_failed, "failed"),
        (run.shards_left, "left"),
    )
    return ", ".join(f"{count:,} {word}" for count, word in parts if count or word == "committed")


def _use(use: LinkUse) -> str:
    if use.rate is None:
        text = format_size(use.wire_bytes)
    elif use.capacity is None or use.utilisation is None:
        text = format_rate(use.rate)
    else:
        text = f"{use.utilisation:.0%} of {format_rate(use.capacity)} used while up"
    if use.outages:
        text += f", {plural(use.outages, 'outage')}"
    return text
