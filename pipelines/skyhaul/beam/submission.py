"""A haul that is handed to a runner and left alone: the pipeline's last step records what came of it.

For launchers that must end once a job is submitted, such as that of a Dataflow Flex Template.
"""

from __future__ import annotations

from skyhaul.hauling.config import HaulOptions
from skyhaul_schemas.job.file import LoadedJob


def submit_haul(loaded: LoadedJob, options: HaulOptions, *, parallelism: int | None = None) -> str:
    """Plan the job where it has no plan, and submit a pipeline that hauls and records. Waits for neither.

    The pipeline fails, once all is recorded, unless the haul is whole.

    Args:
        loaded: The job.
        options: `beam_args` may hold options that Beam's Python does not know: a launcher has its own.
        parallelism: Lots for the sources without links; by default as many as the most workers.

    Returns:
        The haul's id.

    Raises:
        UsageError: A bad job, a plan of another one, a dataset that cannot be written, or options that the
            runner cannot do with.
        SkyhaulError: What planning raises.
    """
    import apache_beam as beam

    from skyhaul.beam.bad_options import check_spool
    from skyhaul.beam.finishing import FinishHaul
    from skyhaul.beam.runners import adapter_for, open_runner, options_for
    from skyhaul.beam.temporary import drop_pipeline_folder
    from skyhaul.beam.transforms import HaulShards
    from skyhaul.hauling.preparation import prepare_haul

    beam_options, asked = options_for(options.runner, options.beam_args, unknown=True)
    check_spool(options.spool or loaded.job.spool)
    config = prepare_haul(loaded, options)
    pipeline = beam.Pipeline(runner=open_runner(options.runner), options=beam_options)
    drop_pipeline_folder(pipeline)
    lots = parallelism or asked
    receipts = pipeline | HaulShards(config, parallelism=lots, adapter=adapter_for(options.runner))
    receipts | FinishHaul(config, runner=options.runner, require_complete=True)
    pipeline.run()
    return config.run
