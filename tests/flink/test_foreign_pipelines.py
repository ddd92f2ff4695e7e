"""A haul inside a pipeline of somebody else's, on a cluster that is hurt: the next step gets every shard."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flink.engine import CLIENT_ENDS, Engine
from flink.rig import Haul, NewHaul, kill_harnesses, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]

PIPELINE = Path(__file__).with_name("foreign_pipeline.py")


def start(haul: Haul, engine: Engine, result: Path) -> subprocess.Popen[bytes]:
    _, runner, _, *options = engine.options
    command = [sys.executable, str(PIPELINE), str(haul.job), str(result), f"--runner={runner}", *options]
    with (haul.folder / "client.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def rows(haul: Haul) -> list[list[int]]:
    return sorted([record["shard"], record["records"]["written"]] for record in haul.commits())


def test_the_step_behind_a_haul_gets_every_shard_though_a_harness_was_killed_midway(
    new_haul: NewHaul, flink: Engine, local: str, tmp_path: Path
) -> None:
    haul, result = new_haul("disk", rate="1Mbit/s"), tmp_path / "rows.json"
    client = start(haul, flink, result)
    until(lambda: haul.committed() >= 10, 120)
    assert kill_harnesses()
    assert client.wait(CLIENT_ENDS) == 0, (haul.folder / "client.log").read_text()
    assert json.loads(result.read_text()) == rows(haul)
    assert len(rows(haul)) == 20
    assert haul.digest() == local


@pytest.mark.slow
def test_a_haul_that_is_there_already_gives_the_step_behind_it_the_same(
    new_haul: NewHaul, flink: Engine, tmp_path: Path
) -> None:
    haul, result = new_haul("disk"), tmp_path / "rows.json"
    for _ in range(2):
        client = start(haul, flink, result)
        assert client.wait(CLIENT_ENDS) == 0, (haul.folder / "client.log").read_text()
        assert json.loads(result.read_text()) == rows(haul)
        result.unlink()
