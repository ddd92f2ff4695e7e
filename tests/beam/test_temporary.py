"""A driver leaves nothing of Beam's in the temporary directory, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import apache_beam as beam
import grpc
import pytest
from tests.hauling.rig import job, write_job, write_region

from skyhaul.beam.runners import open_runner, options_for

SKYHAUL = Path(sys.executable).parent / "skyhaul"


def test_a_killed_local_haul_leaves_no_folder_of_beams(tmp_path: Path) -> None:
    write_region(tmp_path / "region", 3, jsonl_bytes=400_000, texts=5)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    content = job(tmp_path / "out", tmp_path / "spool", f"{tmp_path}/region/lines/*.jsonl", "")
    content["sources"] = dict(list(content["sources"].items())[:1])
    (source,) = content["sources"].values()
    source["via"] = ["thin"]
    content["links"] = {"thin": {"emulate": True, "down": "100kbit/s", "rtt": "20ms"}}
    path = write_job(tmp_path / "job.yaml", content)
    running = subprocess.Popen(
        [SKYHAUL, "run", path, "--quiet"], env={**os.environ, "TMPDIR": str(temporary)}
    )
    try:
        deadline = time.monotonic() + 30
        while not list((tmp_path / "spool").rglob("*journal*")):
            assert time.monotonic() < deadline, "the haul did not begin"
            assert running.poll() is None
            time.sleep(0.05)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert list(temporary.iterdir()) == []


def test_a_job_that_no_job_server_takes_leaves_no_staging_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    worker = json.dumps({"command": "never-started"})
    options, _ = options_for(
        "PortableRunner",
        [
            *("--job_endpoint=127.0.0.1:1", "--job_server_timeout=1"),
            *("--environment_type=PROCESS", f"--environment_config={worker}"),
        ],
    )
    made: list[list[Path]] = []
    runner = open_runner("PortableRunner")
    sweeping = runner.run_portable_pipeline

    def looked_at(*arguments: object) -> object:
        made.append(list(tmp_path.glob("tmp*/*dependencies.txt")))
        return sweeping(*arguments)

    runner.run_portable_pipeline = looked_at
    pipeline = beam.Pipeline(runner=runner, options=options)
    pipeline | beam.Create([1])
    with pytest.raises(grpc.FutureTimeoutError):
        pipeline.run()
    assert made
    assert made[0], "Beam made no staging folder: nothing was shown"
    assert list(tmp_path.iterdir()) == []
