"""Hauls on a Beam runner: the pipeline, its runner, how it is cancelled, and what its errors say.

Beam is imported when a pipeline is built, and not before: a haul with nothing to do needs none.
"""

from __future__ import annotations

import re
from typing import Any

from skyhaul.beam.worker_errors import lasting_error
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import IN_PROCESS, HaulConfig, HaulOptions
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.driver import DriverResult
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.hauling.progress import HaulObserver
from skyhaul.hauling.run import haul
from skyhaul_schemas.errors import SkyhaulError
from skyhaul_schemas.job.file import LoadedJob
from skyhaul_schemas.printable import printable

_BEAM_STAGE = re.compile(r" \[while running '[^']*'\]")
"""Beam adds its own stage names to the text of what a DoFn raises."""


def haul_on_beam(
    loaded: LoadedJob, store: DatasetStore, options: HaulOptions, observer: HaulObserver | None = None
) -> HaulOutcome:
    """`skyhaul.hauling.run.haul` on the Beam runner that the options name; raises what that raises."""
    if options.runner != IN_PROCESS or options.beam_args:
        # Before anything is planned.
        from skyhaul.beam.bad_options import check_spool
        from skyhaul.beam.runners import check_runner

        check_runner(options.runner, options.beam_args)
        if options.runner == "DataflowRunner":
            check_spool(options.spool or loaded.job.spool)
    return haul(loaded, store, options, BeamDriver(), observer)


class BeamDriver:
    """A `skyhaul.hauling.driver.Driver`."""

    def build(self, config: HaulConfig, options: HaulOptions) -> BeamPipeline:
        import apache_beam as beam

        from skyhaul.beam.runners import adapter_for, open_runner, options_for
        from skyhaul.beam.temporary import drop_pipeline_folder
        from skyhaul.beam.transforms import ConductLots, DealLots

        beam_options, parallelism = options_for(options.runner, options.beam_args)
        pipeline = beam.Pipeline(runner=open_runner(options.runner), options=beam_options)
        drop_pipeline_folder(pipeline)
        # The dataset is asked for what came of it, so that receipts of earlier hauls are not made.
        (
            pipeline
            | "Haul" >> beam.Create([config])
            | "Deal" >> DealLots(parallelism)
            | "Lots" >> ConductLots(adapter_for(options.runner), only_fresh=True)
        )
        return BeamPipeline(pipeline, options.runner, beam_options)


class BeamPipeline:
    """A `skyhaul.hauling.driver.Pipeline`.

    Args:
        pipeline: Beam's, with the haul in it.
        runner: The runner's name.
        options: Beam's options, of which Flink's address is read.
    """

    def __init__(self, pipeline: Any, runner: str, options: Any) -> None:
        self._pipeline = pipeline
        self._local = runner == IN_PROCESS
        self._options = options

    def run(self, control: HaulControl, observer: HaulObserver) -> DriverResult:
        try:
            result = self._pipeline.run()
            control.on_stop(lambda reason: self._cancel(result, observer))
            return DriverResult(str(result.wait_until_finish()))
        except Exception as error:
            ours = _ours(error)
            if ours is not None:
                ours.args = tuple(_BEAM_STAGE.sub("", a) if isinstance(a, str) else a for a in ours.args)
                raise ours from error
            # In this process only a bug comes out otherwise. Of another one the runner has but text.
            if self._local:
                raise
            text = str(error).strip() or type(error).__name__
            state = f"FAILED: {printable(text.splitlines()[-1])}"
            return DriverResult(state, failed=True, lasting=lasting_error(text))

    def _cancel(self, result: Any, observer: HaulObserver) -> None:
        """Cancel the runner's job. Workers of this process obey the haul's control by themselves."""
        if self._local:
            return
        from skyhaul.beam.flink_jobs import cancel_flink_jobs, flink_master, name_on_flink

        master = flink_master(self._options)
        if master is not None:
            try:
                cancel_flink_jobs(master, name_on_flink(result))
            except (OSError, ValueError, KeyError) as error:
                observer.event(f"the job could not be cancelled on Flink: {printable(str(error))}")
        result.cancel()


def _ours(error: BaseException | None) -> SkyhaulError | None:
    """The error of ours that a runner wrapped in its own, if any."""
    while error is not None:
        if isinstance(error, SkyhaulError):
            return error
        error = error.__cause__ or error.__context__
    return None
