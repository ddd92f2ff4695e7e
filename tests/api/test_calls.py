"""`haul`, `plan` and `verify` as library calls: what they take, give and raise, and what they leave alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import skyhaul
import skyhaul.beam
from cli.jobs import write_job, write_texts
from cli.program import call, spawn
from dataset.hauled import digests

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    write_texts(tmp_path / "remote")
    return write_job(tmp_path)


def in_thread(work: Callable[[], Any]) -> Any:
    """What `work` gives in another thread than the main one."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_each_call_can_be_made_twice_in_one_process_after_beam_and_in_a_thread(job: Path) -> None:
    handlers = [signal.getsignal(number) for number in SIGNALS]
    planned = skyhaul.plan(job)
    assert (planned.fresh, planned.shards, planned.objects) == (True, 2, 4)
    again = skyhaul.plan(job)
    assert again == planned.model_copy(update={"fresh": False})
    done = skyhaul.haul(job)
    assert (done.exit_code, done.complete, done.shards_committed, done.records.written) == (0, True, 2, 3)
    again_done = skyhaul.haul(job, workers=2)
    assert (again_done.complete, again_done.shards_committed, again_done.committed) == (True, 0, 2)
    proved = skyhaul.verify(job, deep=True)
    assert proved == skyhaul.verify(job, deep=True)
    assert (proved.exit_code, proved.sound, proved.rows, proved.shards.left) == (0, True, 3, 0)
    assert in_thread(lambda: skyhaul.plan(job)) == again
    assert in_thread(lambda: skyhaul.haul(job).complete) is True
    assert in_thread(lambda: skyhaul.verify(job, deep=True)) == proved
    assert [signal.getsignal(number) for number in SIGNALS] == handlers


def test_a_whole_haul_in_a_thread_touches_no_signal(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"signal.signal{arguments}")

    monkeypatch.setattr(signal, "signal", refuse)
    assert in_thread(lambda: skyhaul.haul(job).complete) is True


def test_no_thread_stays_behind(job: Path) -> None:
    skyhaul.haul(job)
    before = {thread.name for thread in threading.enumerate()}
    skyhaul.haul(job, replay=True)
    assert not {name for name in {t.name for t in threading.enumerate()} - before if "skyhaul" in name}


def test_results_say_what_the_command_line_prints_as_json(job: Path) -> None:
    planned = skyhaul.plan(job)
    assert planned.to_json() == {**json.loads(call("plan", "--json", job).out), "fresh": True}
    skyhaul.haul(job)
    printed = json.loads(call("run", "--json", job).out)
    mine = skyhaul.haul(job).to_json()
    changing = {"id", "started", "finished", "seconds"}
    assert {k: v for k, v in mine.items() if k not in changing} == {
        k: v for k, v in printed.items() if k not in changing
    }
    assert skyhaul.verify(job).to_json() == json.loads(call("verify", "--json", job).out)
    (job.parent / "remote" / "new.txt").write_text("one more")
    (job.parent / "remote" / "a.txt").write_text("another text, of another size")
    extended = skyhaul.plan(job, extend=True)
    assert (extended.generation, extended.shards.added, extended.counts["new planned"]) == (1, 1, 1)
    unchanged = skyhaul.plan(job, amend=True)
    assert unchanged.to_json() == json.loads(call("plan", "--amend", "--json", job).out)


def test_a_job_may_be_a_path_text_a_mapping_or_loaded_and_a_dataset_its_path(job: Path) -> None:
    keys = yaml.safe_load(job.read_text())
    expected: dict[str, str] | None = None
    forms: list[Any] = [job, str(job), keys, skyhaul.load_job(job), skyhaul.load_job(keys)]
    for number, form in enumerate(forms):
        assert skyhaul.haul(form).complete, form
        assert skyhaul.verify(form).sound
        assert skyhaul.plan(form).fresh is False
        expected = expected or digests(job.parent / "dataset")
        assert digests(job.parent / "dataset") == expected
        if number == 2:
            kept = (job.parent / "dataset" / "_skyhaul" / "job.yaml").read_text()
            assert json.loads(kept) == keys
    folder = job.parent / "dataset"
    job.unlink()
    assert skyhaul.haul(folder).complete
    assert skyhaul.verify(str(folder)).sound
    with skyhaul.Dataset(folder) as dataset:
        assert skyhaul.verify(dataset, deep=True).sound


def test_a_mapping_may_hold_paths_and_names_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = write_texts(tmp_path / "remote")
    monkeypatch.setenv("REMOTE_ROOT", str(remote))
    done = skyhaul.haul(
        {
            "version": 1,
            "name": "mapped",
            "dataset": tmp_path / "dataset",
            "spool": tmp_path / "spool",
            "sources": {"texts": {"url": "${REMOTE_ROOT}/**/*.txt"}},
        }
    )
    assert done.complete
    assert done.next[0] == f"skyhaul verify {tmp_path}/dataset"
    assert str(remote) not in (tmp_path / "dataset" / "_skyhaul" / "job.yaml").read_text()


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda job: skyhaul.haul("no-such.yaml"), "no-such.yaml: no such file"),
        (lambda job: skyhaul.plan(job.parent / "remote"), "this is no dataset"),
        (lambda job: skyhaul.verify(job), "holds no plan"),
        (lambda job: skyhaul.haul({"version": 1}), r"job:1:1: name: found nothing, allowed: \(required\)"),
        (lambda job: skyhaul.plan({"version": {1, 2}}), "job: found what no job file can hold: a set"),
        (lambda job: skyhaul.plan({"seed": float("nan")}), "job: found what no job file can hold"),
        (lambda job: skyhaul.haul(3), "a job is a path, a URL, a loaded job or a mapping, not a int"),
        (lambda job: skyhaul.haul(job, workers=0), "workers: found 0, allowed: a whole number"),
        (lambda job: skyhaul.haul(job, max_duration="soon"), "max_duration: found 'soon'"),
        (lambda job: skyhaul.haul(job, max_duration=float("nan")), "max_duration: found nan"),
        (lambda job: skyhaul.haul(job, deadline="soon"), "deadline: found 'soon'"),
        (
            lambda job: skyhaul.haul(job, runner="NoSuch"),
            "--runner NoSuch: not supported",
        ),
        (lambda job: skyhaul.haul(job, replay=[1]), r"replay: found \[1\], allowed: shards that have failed"),
        (lambda job: skyhaul.plan(job, extend=True, amend=True), "extend and amend are two steps"),
        (lambda job: skyhaul.plan(job, extend=True), "holds no plan"),
        (lambda job: skyhaul.Dataset(job.parent / "dataset"), "this is no dataset"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_ours_with_the_exit_code(
    job: Path, work: Callable[[Path], object], said: str
) -> None:
    with pytest.raises(skyhaul.SkyhaulError, match=said) as caught:
        work(job)
    assert caught.value.exit_code == 2


def test_a_haul_that_is_not_whole_is_a_value_and_failed_shards_are_replayed(job: Path) -> None:
    skyhaul.plan(job)
    text = job.parent / "remote" / "a.txt"
    kept, stat = text.read_bytes(), text.stat()
    text.unlink()
    done = skyhaul.haul(job)
    assert (done.exit_code, done.complete, done.shards_failed) == (3, False, 1)
    assert (proved := skyhaul.verify(job)).exit_code == 3
    assert proved.sound
    text.write_bytes(kept)
    os.utime(text, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert skyhaul.haul(job).shards_committed == 0, "what failed for good waits"
    assert skyhaul.haul(job, replay=True).complete


def test_a_budget_that_is_spent_is_a_value(job: Path) -> None:
    skyhaul.plan(job)
    done = skyhaul.haul(job, max_duration=1e-9)
    assert (done.exit_code, done.outcome, done.shards_left) == (75, "incomplete", 2)
    assert done.messages
    assert skyhaul.haul(job, max_duration="10m").complete


STOPPED = """
import os, signal, sys, threading
import skyhaul
from skyhaul.shards.transform_step import Transformed

def slow(batch):
    os.kill(os.getpid(), signal.{name})
    threading.Event().wait(1)
    return batch

def heard(number, frame):
    print("heard", number, flush=True)

{before}
try:
    done = skyhaul.haul(sys.argv[1], map_records=skyhaul.MapRecords(slow, "slow", 1))
except KeyboardInterrupt:
    print("KeyboardInterrupt")
else:
    print(done.exit_code, done.outcome)
print(signal.getsignal(signal.{name}) in (signal.default_int_handler, heard))
"""


@pytest.mark.parametrize(
    ("name", "before", "code", "out"),
    [
        ("SIGINT", "", 0, ["KeyboardInterrupt", "True"]),
        ("SIGTERM", "", -signal.SIGTERM, []),
        ("SIGTERM", "signal.signal(signal.SIGTERM, heard)", 0, ["heard 15", "143 interrupted", "True"]),
    ],
)
def test_a_signal_stops_the_haul_in_order_and_then_does_what_it_would_have_done(
    job: Path, name: str, before: str, code: int, out: list[str]
) -> None:
    program = STOPPED.format(name=name, before=before)
    done = subprocess.run(
        [sys.executable, "-c", program, str(job)], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout.split("\n")[:-1]) == (code, out), done.stderr
    # It was let go of in order: the run is recorded as what it was.
    (run,) = (job.parent / "dataset" / "_skyhaul" / "runs").iterdir()
    assert json.loads(run.read_text())["outcome"] == "interrupted"
    assert skyhaul.verify(job).sound


def test_names_of_files_that_are_no_utf8_here_are_refused(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    for work in (skyhaul.haul, skyhaul.plan):
        with pytest.raises(skyhaul.SkyhaulError, match="start it with -X utf8") as caught:
            work(job)
        assert caught.value.exit_code == 2


def test_a_full_disk_is_an_error_of_ours(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("skyhaul.api.plan.make_plan", full)
    with pytest.raises(skyhaul.SkyhaulError, match="no space left") as caught:
        skyhaul.plan(job)
    assert caught.value.exit_code == 75


def test_the_module_runs_as_the_program(job: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "skyhaul", "run", str(job), "--quiet"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("all is committed: 2 of 2 shards")
    version = subprocess.run(
        [sys.executable, "-m", "skyhaul", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout == f"skyhaul {skyhaul.__version__}\n" == spawn("--version").out
