"""The Flex Template's entry: `skyhaul run` with a job file from a bucket.

The template's launcher calls it with `--job`, `--workers` and Dataflow's own options, `--runner` among them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

import fsspec


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--job", required=True)
    parser.add_argument("--workers", default="1")
    parser.add_argument("--runner", default="DataflowRunner")
    ours, beam = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        job = ours.job
        if job.endswith((".yaml", ".yml")):
            job = os.path.join(folder, "job.yaml")
            fsspec.filesystem("gs").get_file(ours.job, job)
        command = ["skyhaul", "run", job, "--workers", ours.workers, "--runner", ours.runner, "--", *beam]
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
