"""Pipelines over datasets on a runner, for the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from skyhaul.beam.driver import BeamPipeline
from skyhaul.hauling.config import IN_PROCESS
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.progress import NullObserver
from skyhaul_schemas.errors import StorageError


def run_on(runner: str, beam_args: Sequence[str], build: Callable[[Any], object]) -> None:
    """Run what `build` applies to a pipeline, to its end.

    Args:
        runner: Its name.
        beam_args: Beam's options.
        build: Gets the pipeline.

    Raises:
        UsageError: There is no such runner, or it cannot do with its options.
        SkyhaulError: What a step raised.
        StorageError: The runner gave up."""
    import apache_beam as beam

    from skyhaul.beam.runners import open_runner, options_for
    from skyhaul.beam.temporary import drop_pipeline_folder

    options, _ = options_for(runner, beam_args)
    pipeline = beam.Pipeline(runner=open_runner(runner), options=options)
    drop_pipeline_folder(pipeline)
    build(pipeline)
    ended = BeamPipeline(pipeline, runner, options).run(HaulControl(), NullObserver())
    if ended.lasting is not None:
        raise ended.lasting
    if ended.failed or (runner == IN_PROCESS and ended.state != "DONE"):
        raise StorageError(f"runner {runner}: {ended.state}; run the same command again")
