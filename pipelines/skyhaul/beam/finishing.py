"""`FinishHaul`: the last step of a haul that no driver waits for; it seals, and writes card and run record.

    receipts = pipeline | HaulShards(config)
    receipts | FinishHaul(config)

Annotations are evaluated here (no `from __future__ import annotations`): Beam reads them as type hints.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import with_output_types

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import Survey, survey
from skyhaul.hauling.config import HaulConfig
from skyhaul.hauling.finish.conclusion import HaulOutcome, HaulStart, finish_haul
from skyhaul.hauling.progress import NullObserver
from skyhaul.hauling.receipts import Receipt, Tally
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.errors import EXIT_FAILED, EXIT_OK, HaulFailed, HaulIncomplete
from skyhaul_schemas.job.file import parse_job

_LOG = logging.getLogger("skyhaul.haul")


class FinishedHaul(NamedTuple):
    """What a haul came to, by the dataset."""

    dataset: str
    """Path or URL."""
    run: str
    """The haul's id; its record is under `_skyhaul/runs`."""
    exit_code: int
    """What `skyhaul run` would have ended with."""
    shards: int
    """Of the plan."""
    committed: int
    failed: int
    left: int
    messages: Sequence[str]
    """Lines for people: what is left, and why."""


beam.coders.registry.register_coder(FinishedHaul, beam.coders.RowCoder)


class _TallyFn(beam.CombineFn):
    """Receipts added up; of anything else nothing is asked but that it comes first."""

    def create_accumulator(self) -> Tally:
        return Tally()

    def add_input(self, tally: Tally, element: Any) -> Tally:
        if isinstance(element, Receipt):
            tally.add(element)
        return tally

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        whole = Tally()
        for tally in tallies:
            whole.merge(tally)
        return whole

    def extract_output(self, tally: Tally) -> Tally:
        return tally


class _FinishFn(beam.DoFn):
    """Done twice, by a bundle that is repeated or a worker that came back, it comes to the same.

    The run has one record, under its id."""

    def __init__(self, start: HaulStart, require_complete: bool) -> None:
        self._start = start
        self._require_complete = require_complete

    def process(self, config: HaulConfig, tally: Tally) -> Iterator[FinishedHaul]:
        loaded = parse_job(config.job_text, config.job_origin, os.environ)
        with closing(open_store(config.dataset, writable=True)) as store:
            outcome = finish_haul(loaded, store, self._start, tally, NullObserver())
        for line in outcome.messages:
            _LOG.warning("%s", line)
        if self._require_complete and outcome.exit_code != EXIT_OK:
            raise _error(outcome)
        seen = outcome.survey
        yield FinishedHaul(
            dataset=config.dataset,
            run=config.run,
            exit_code=outcome.exit_code,
            shards=seen.shards,
            committed=seen.shards_committed,
            failed=seen.shards_failed,
            left=seen.shards_left,
            messages=outcome.messages,
        )


def _error(outcome: HaulOutcome) -> HaulFailed | HaulIncomplete:
    seen = outcome.survey
    kind = HaulFailed if outcome.exit_code == EXIT_FAILED else HaulIncomplete
    error = kind(
        f"{seen.shards_committed} of {seen.shards} shards are committed; {'; '.join(outcome.messages)}"
    )
    error.exit_code = outcome.exit_code  # type: ignore[misc]  # one error's own exit code
    return error


@with_output_types(FinishedHaul)
class FinishHaul(beam.PTransform):
    """Do, once all of the input has come, what `skyhaul run` does when its pipeline is over.

    Full groups are sealed; README.md, croissant.json and the run record are written. Applied to the receipts
    of a haul, or to what was made of them, in batch; gives one `FinishedHaul`.

    Args:
        config: The haul. Its dataset is looked at here, where the pipeline is built: what stands in it before
            the haul is not counted as the haul's.
        runner: The runner's name, for the record; by default the pipeline's.
        require_complete: Fail the pipeline, once all is written, unless the haul is whole.

    Raises:
        StorageError: The dataset cannot be read.
    """

    def __init__(
        self, config: HaulConfig, *, runner: str | None = None, require_complete: bool = False
    ) -> None:
        super().__init__()
        self._config = config
        self._runner = runner
        self._require_complete = require_complete
        self._before = _standing(config)

    def expand(self, done: Any) -> Any:
        if not done.is_bounded:
            raise ValueError("FinishHaul wants a bounded PCollection: of a stream the end never comes")
        start = HaulStart(
            self._config.run,
            self._runner or type(done.pipeline.runner).__name__,
            datetime.fromtimestamp(self._config.epoch, UTC),
            self._before,
        )
        tally = (
            done
            | "One window" >> beam.WindowInto(GlobalWindows())
            | "Barrier" >> beam.CombineGlobally(_TallyFn())
        )
        return (
            done.pipeline
            | "Haul to finish" >> beam.Create([self._config])
            # A side input is whole before the step that takes it begins.
            | "Record"
            >> beam.ParDo(_FinishFn(start, self._require_complete), tally=beam.pvalue.AsSingleton(tally))
        )


def _standing(config: HaulConfig) -> Survey:
    with closing(open_store(config.dataset, writable=False)) as store, closing(Plan.open(store)) as plan:
        return survey(plan, store)
