"""The Flex Template's entry: plan where there is no plan, build the pipeline, submit it, and end.

The template's launcher calls it with the template's parameters and Dataflow's own options, and takes any exit
code but 0 for a failed launch. Nothing here waits for the job: its last step writes card and run record, and
fails it unless the haul is whole.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator

import fsspec

from skyhaul.beam.submission import submit_haul
from skyhaul.hauling.config import HaulOptions
from skyhaul_schemas.errors import SkyhaulError, UsageError
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.job.link_terms import parse_deadline
from skyhaul_schemas.units import parse_duration

SPOOL = "/var/tmp/skyhaul/spool"
"""On a worker's boot disk, where the job names no absolute path."""

BESIDE_SPOOL = 40
"""GB of a worker's disk for all else: the system, the image and logs."""


def main(arguments: list[str] | None = None) -> int:
    ours, beam = _parser().parse_known_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        loaded = _read_job(ours.job)
        options = HaulOptions(
            workers=ours.workers,
            runner=ours.runner,
            max_duration=ours.max_duration,
            deadline=ours.deadline,
            wait=ours.wait == "true",
            spool=ours.spool or (None if os.path.isabs(loaded.job.spool) else SPOOL),
            beam_args=(*beam, *_defaults(beam, loaded, ours)),
        )
        run = submit_haul(loaded, options, parallelism=ours.parallelism)
    except SkyhaulError as error:
        print(f"launch: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"submitted haul {run} of {loaded.job.name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--job", required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--parallelism", type=int)
    parser.add_argument("--max_duration", type=parse_duration)
    parser.add_argument("--deadline", type=parse_deadline)
    parser.add_argument("--wait", choices=["true", "false"], default="false")
    parser.add_argument("--spool")
    parser.add_argument("--sdk_container_image", default=os.environ.get("SKYHAUL_IMAGE"))
    parser.add_argument("--runner", default="DataflowRunner")
    return parser


def _read_job(url: str) -> LoadedJob:
    try:
        with fsspec.open(url, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"{url}: the job file cannot be read: {error}") from None
    return parse_job(text, url, os.environ)


def _defaults(beam: list[str], loaded: LoadedJob, ours: argparse.Namespace) -> Iterator[str]:
    """Dataflow's options as a haul wants them, where nobody said otherwise (docs/dataflow.md)."""
    if not ours.sdk_container_image:
        raise UsageError(
            "--sdk_container_image: name the image that the template is made of, for the workers; or build it"
            " with --build-arg IMAGE=..., which the launcher then knows"
        )
    yield f"--sdk_container_image={ours.sdk_container_image}"
    said = {argument.partition("=")[0] for argument in beam}
    if not said & {"--autoscaling_algorithm"}:
        # A worker that is scaled away takes its spool along.
        yield "--autoscaling_algorithm=NONE"
    if not any("use_multiple_sdk_containers" in argument for argument in beam):
        # Else a process a core, each with a spool on the same disk.
        yield "--experiments=no_use_multiple_sdk_containers"
    if ours.parallelism and not said & {"--num_workers", "--max_num_workers"}:
        yield f"--num_workers={ours.parallelism}"
    if not said & {"--disk_size_gb", "--worker_disk_size_gb"}:
        yield f"--disk_size_gb={BESIDE_SPOOL + -(-loaded.job.spool_limit // 10**9)}"


if __name__ == "__main__":
    sys.exit(main())
