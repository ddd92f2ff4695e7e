"""The commands end to end on a small job: what they print, and with which code they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli.jobs import write_job, write_texts
from cli.program import call, spawn


@pytest.fixture
def job(tmp_path: Path) -> Path:
    write_texts(tmp_path / "remote")
    return write_job(tmp_path)


def test_plan_run_status_verify_and_run_again(job: Path) -> None:
    planned = call("plan", job)
    assert planned.code == 0
    assert "4 objects" in planned.out

    left = call("status", "--json", job)
    assert left.code == 75
    assert json.loads(left.out)["shards"]["committed"] == 0

    assert call("verify", job).code == 75

    hauled = call("run", job)
    assert hauled.code == 0, hauled.err
    assert "all is committed" in hauled.out
    assert "next: skyhaul verify" in hauled.out

    seen = json.loads(call("status", "--json", job).out)
    assert seen["exit_code"] == 0
    assert seen["objects"] == {"planned": 4, "committed": 4, "damaged": 0}
    counts = seen["records"]
    assert counts["read"] == counts["written"] + counts["rejected"] + counts["passed_over"]
    assert counts["passed_over_by"] == {"an empty object": 1}

    assert call("verify", job).code == 0
    assert call("verify", "--deep", job).code == 0
    assert call("failures", job).out == "nothing has failed\n"

    again = call("run", job)
    assert again.code == 0
    assert "nothing to haul" in again.out


def test_a_dataset_folder_stands_for_its_job_also_after_it_was_moved(job: Path, tmp_path: Path) -> None:
    assert call("plan", "-q", job).code == 0
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "dataset", moved)
    job.unlink()
    assert call("status", moved).code == 75
    assert call("run", "-q", moved).code == 0
    assert call("verify", moved).code == 0
    assert call("failures", moved).code == 0
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize("command", ["plan", "run", "status", "failures", "verify", "replay"])
def test_json_parses_and_is_all_there_is_on_stdout(command: str, job: Path) -> None:
    assert call("run", "-q", job).code == 0
    answer = call(command, "--json", job)
    assert answer.code == 0
    json.loads(answer.out)


def test_a_failed_shard_is_listed_left_alone_and_replayed(job: Path, tmp_path: Path) -> None:
    assert call("plan", "-q", job).code == 0
    gone = tmp_path / "remote" / "d.txt"
    text = gone.read_bytes()
    kept = gone.stat()
    gone.rename(tmp_path / "away.txt")
    ran = call("run", "-q", job)
    assert ran.code == 3, ran
    assert "next: skyhaul failures" in ran.out

    listed = call("failures", "--json", job)
    assert listed.code == 3
    (failure,) = json.loads(listed.out)
    assert failure["kind"] == "ObjectMissing"
    assert "d.txt" in failure["reason"]
    assert "digest" not in failure, "it is of the record's file"
    assert "ObjectMissing" in call("failures", job).out
    assert call("status", job).code == 3
    assert call("verify", job).code == 3

    (tmp_path / "away.txt").rename(gone)
    assert (gone.read_bytes(), gone.stat().st_mtime_ns) == (text, kept.st_mtime_ns)
    assert call("run", "-q", job).code == 3, "a shard that failed for good waits for replay"
    assert call("replay", "-q", "--class", "SourceChanged", job).code == 2
    assert call("replay", "-q", "--shard", "999", job).code == 2
    assert call("replay", "-q", "--shard", failure["shard"], "--class", "ObjectMissing", job).code == 0
    assert call("verify", job).code == 0
    assert call("failures", job).code == 0


def test_verify_prints_each_finding_on_a_line_and_exits_4(job: Path, tmp_path: Path) -> None:
    assert call("run", "-q", job).code == 0
    shards = sorted((tmp_path / "dataset" / "data").rglob("*.parquet"))
    shards[0].unlink()
    answer = call("verify", job)
    assert answer.code == 4
    assert shards[0].name in answer.out
    found = json.loads(call("verify", "--json", job).out)
    assert found["exit_code"] == 4
    assert any(shards[0].name in json.dumps(finding) for finding in found["findings"])


def test_quiet_leaves_only_the_result(job: Path) -> None:
    answer = spawn("run", "--quiet", job)
    assert answer.code == 0
    assert answer.err == ""
    assert "all is committed" in answer.out


def test_off_a_terminal_progress_is_lines_without_escapes(job: Path) -> None:
    answer = spawn("run", job, env={"TERM": "xterm-256color"})
    assert answer.code == 0
    assert "\x1b" not in answer.err + answer.out
    assert "\r" not in answer.err
    assert answer.err.splitlines()


def test_json_logs_are_json_on_every_line(job: Path) -> None:
    answer = call("run", "--log-format", "json", "--json", job)
    assert answer.code == 0
    assert all(json.loads(line)["level"] for line in answer.err.splitlines())
    assert json.loads(answer.out)["exit_code"] == 0


def test_options_after_the_dashes_go_to_beam(job: Path) -> None:
    assert call("run", "-q", job, "--", "--runner=FlinkRunner").code == 2
    assert call("run", "-q", job, "--", "--direct_num_workers=1").code == 0
