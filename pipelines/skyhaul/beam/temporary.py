"""Beam's client leaves folders in the temporary directory; a haul's driver leaves none.

Seen with Beam 2.77: each pipeline makes `beam-pipeline-temp*`, which a killed client leaves behind, and
each job sent to a job server makes a `tmp*` for the list of the client's packages, which nobody removes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def drop_pipeline_folder(pipeline: Any) -> None:
    """Remove the pipeline's own folder at once, so that no way of ending leaves it.

    Only cross-language transforms use it, and a haul has none."""
    shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)


def sweep_staging(runner: Any) -> Any:
    """Have the runner remove a job's staging folders once the job server has their files. Returns it."""
    submit = runner.run_portable_pipeline

    def submit_and_sweep(pipeline: Any, options: Any) -> Any:
        try:
            return submit(pipeline, options)
        finally:
            for folder in staging_folders(pipeline):
                shutil.rmtree(folder, ignore_errors=True)

    runner.run_portable_pipeline = submit_and_sweep
    return runner


def staging_folders(pipeline: Any) -> Iterator[Path]:
    """Folders that Beam made with `tempfile.mkdtemp` for the artifacts of a pipeline's environments."""
    from apache_beam.portability import common_urns
    from apache_beam.portability.api import beam_runner_api_pb2

    # Only what `mkdtemp` has made directly there: a path of the user's must never be removed.
    temporary = Path(tempfile.gettempdir())
    for environment in pipeline.components.environments.values():
        for artifact in environment.dependencies:
            if artifact.type_urn != common_urns.artifact_types.FILE.urn:
                continue
            file = Path(beam_runner_api_pb2.ArtifactFilePayload.FromString(artifact.type_payload).path)
            if file.parent.parent == temporary and file.parent.name.startswith(tempfile.gettempprefix()):
                yield file.parent
