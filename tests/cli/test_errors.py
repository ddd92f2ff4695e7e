"""Bad input: one line, the right code, nothing damaged."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.jobs import write_job, write_texts
from cli.program import PROGRAM, Answer, call, spawn

ALL = ("plan", "estimate", "run", "status", "failures", "replay", "verify")


def refused(answer: Answer, *parts: str, code: int = 2) -> None:
    """One line on stderr that has `parts`; nothing on stdout."""
    assert answer.code == code, answer
    assert answer.out == ""
    lines = answer.err.splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("skyhaul: error: ")
    assert lines[0].isprintable()
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize("command", ALL)
def test_a_missing_job_file_is_named(command: str, tmp_path: Path) -> None:
    refused(call(command, tmp_path / "nope.yaml"), "nope.yaml", "no such job file or dataset folder")


@pytest.mark.parametrize("command", ALL)
def test_a_folder_that_is_no_dataset_is_named_and_left_alone(command: str, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("x")
    refused(call(command, tmp_path), "no dataset", "_skyhaul/job.yaml")
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"shardz": {}}, ("shardz", "unknown key", "shards")),
        ({"seed": "seven"}, ("seed", "'seven'")),
        ({"shards": {"target_size": "4 parsecs"}}, ("target_size", "'4 parsecs'", "MiB")),
        ({"patience": 10}, ("patience", "10")),
        ({"sources": {}}, ("sources",)),
        ({"dataset": None}, ("dataset", "required")),
        ({"version": 2}, ("version", "2")),
    ],
)
def test_a_bad_job_file_is_told_key_found_and_allowed_with_line_and_column(
    changes: dict[str, object], parts: tuple[str, ...], tmp_path: Path
) -> None:
    job = write_job(tmp_path, **changes)
    answer = call("run", job)
    refused(answer, *parts, "allowed")
    assert re.search(r"job\.yaml:\d+:\d+: ", answer.err)
    assert not (tmp_path / "dataset").exists()


def test_several_mistakes_are_a_line_each(tmp_path: Path) -> None:
    answer = call("run", write_job(tmp_path, shardz={}, seed="seven"))
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 2
    assert all(line.startswith("skyhaul: error: ") for line in answer.err.splitlines())


def test_a_job_file_that_is_no_yaml(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("version: [1\n")
    refused(call("plan", job), "job.yaml:", "not YAML")


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    job = write_job(tmp_path, source="${SKYHAUL_NOT_SET}/*.txt")
    refused(call("run", job), "SKYHAUL_NOT_SET")


@pytest.mark.parametrize(
    "args",
    [
        ["run"],
        ["run", "a", "b"],
        ["run", "--workers", "0", "x"],
        ["run", "--max-duration", "10", "x"],
        ["run", "--max-duration", "0s", "x"],
        ["status", "x", "--", "--streaming"],
        ["replay", "--shard", "minus", "x"],
        ["verify", "--deeper", "x"],
        ["haul", "x"],
        ["completion", "tcsh"],
    ],
)
def test_bad_usage_is_one_line_that_points_to_help(args: list[str]) -> None:
    refused(call(*args), "--help")


def test_no_command_at_all_shows_the_help_and_is_bad_usage() -> None:
    answer = call()
    assert answer.code == 2
    assert "Commands:" in answer.err


def test_json_logs_carry_errors_too(tmp_path: Path) -> None:
    answer = call("run", "--log-format", "json", tmp_path / "nope.yaml")
    assert answer.code == 2
    assert '"level": "error"' in answer.err


def test_a_source_without_objects_is_refused(tmp_path: Path) -> None:
    answer = call("plan", write_job(tmp_path))
    assert answer.code in (2, 3)
    assert answer.err.splitlines()[-1].startswith("skyhaul: error: ")
    assert "remote" in answer.err


def test_an_unreadable_file_fails_and_is_named(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    (tmp_path / "remote" / "a.txt").chmod(0)
    job = write_job(tmp_path)
    # Root reads everything, unless it gives that up (capabilities(7)).
    bare = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*bare, *PROGRAM, "run", "-q", job], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (2, 3), done.stderr
    assert "a.txt" in done.stderr + call("failures", job).out
    assert "Traceback" not in done.stderr


class Forbidding(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(403)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        return None


def test_a_source_that_refuses_us_is_named_without_its_secrets(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://user:canary@127.0.0.1:{server.server_address[1]}/private/objects.jsonl?token=canary"
        job = write_job(
            tmp_path, sources={"web": {"url": {"list": "${SKYHAUL_TEST_URL}"}, "format": "jsonl"}}
        )
        answer = call("plan", job, env={"SKYHAUL_TEST_URL": url})
        server.shutdown()
    refused(answer, "/private/objects.jsonl", "403", code=3)
    assert "canary" not in answer.err


def test_a_dataset_that_cannot_be_written(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    (tmp_path / "file").write_text("here a folder would have to be")
    refused(call("run", write_job(tmp_path, dataset=str(tmp_path / "file" / "dataset"))), "file")
    assert (tmp_path / "file").read_text() == "here a folder would have to be"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc, a place where nobody makes folders")
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_dataset_where_no_folder_can_be_made(command: str, tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    refused(call(command, write_job(tmp_path, dataset="/proc/skyhaul")), "/proc/skyhaul", "choose another")


@pytest.mark.parametrize(
    ("link", "parts"),
    [
        ({"preset": "lao"}, ("west", "'lao'", "allowed: leo")),
        ({"preset": "leo", "contacts": "nowhere.csv"}, ("nowhere.csv", "cannot be read")),
        ({"preset": "leo", "trace": __file__}, ("test_errors.py, line 1",)),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_link_that_cannot_be_opened_is_refused_before_anything_is_listed(
    command: str, link: dict[str, object], parts: tuple[str, ...], tmp_path: Path
) -> None:
    write_texts(tmp_path / "remote")
    refused(call(command, write_job(tmp_path, links={"west": link})), *parts)
    assert not (tmp_path / "dataset").exists()


def test_a_wrong_link_is_refused_where_all_is_committed_too(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    assert call("run", "-q", write_job(tmp_path)).code == 0
    refused(call("run", write_job(tmp_path, links={"west": {"preset": "lao"}})), "west", "'lao'")


def test_an_option_that_beam_does_not_know_is_named(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    answer = call("run", "-q", write_job(tmp_path), "--", "--bogus", "--fo=1")
    refused(answer, "--bogus, --fo")


def test_a_source_that_is_not_reached_says_run_again(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        port = server.server_address[1]
    job = write_job(tmp_path, source=f"http://127.0.0.1:{port}/*.txt")
    refused(call("plan", job), "127.0.0.1", "Connection refused", code=75)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_the_dataset_of_another_job_is_refused_with_the_difference_and_untouched(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    assert call("run", "-q", write_job(tmp_path)).code == 0
    before = digests(tmp_path / "dataset")
    other = write_job(tmp_path, name="other.yaml", seed=8)
    for command in ("run", "plan"):
        refused(call(command, other), "seed", "dataset")
    assert digests(tmp_path / "dataset") == before


def test_another_spool_other_links_and_another_name_are_no_difference(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    assert call("run", "-q", write_job(tmp_path)).code == 0
    links = {"leo": {"preset": "leo"}}
    changed = write_job(tmp_path, spool=str(tmp_path / "spool2"), links=links)
    assert call("run", "-q", changed).code == 0


def test_control_characters_from_outside_are_escaped(tmp_path: Path) -> None:
    refused(call("run", str(tmp_path / "\x1b[2Jevil\nskyhaul: all is committed")), "\\x1b[2Jevil\\n")


CRASHING = (
    "import skyhaul_schemas.job.file as j\n"
    "def broken(*a): raise RuntimeError('it\\nbroke')\n"
    "j.json_schema = broken\n"
    "from skyhaul.cli.main import main\n"
    "main()\n"
)


def crash(tmp_path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CRASHING, "schema", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )


def test_a_bug_is_one_line_with_exit_1_and_its_traceback_in_a_file(tmp_path: Path) -> None:
    done = crash(tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "RuntimeError: it\\nbroke" in done.stderr
    (kept,) = tmp_path.iterdir()
    assert str(kept) in done.stderr
    assert "Traceback" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_bug_with_verbose_shows_the_traceback(tmp_path: Path) -> None:
    done = crash(tmp_path, "-v")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [(), ("-v",)])
@pytest.mark.parametrize("form", [("--log-format", "json"), ("--log-format=json",)])
def test_a_bug_is_told_as_json_where_log_lines_are_json(
    tmp_path: Path, form: tuple[str, ...], more: tuple[str, ...]
) -> None:
    done = crash(tmp_path, *more, *form)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(line["level"] == "error" for line in lines)
    assert lines[-1]["message"].startswith("this is a bug: RuntimeError: it\\nbroke")
    assert any("Traceback" in line["message"] for line in lines) == bool(more)


def test_a_stdout_that_is_full_is_told_as_json_where_log_lines_are_json() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, "schema", "--log-format", "json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0
    (line,) = map(json.loads, done.stderr.splitlines())
    assert line["message"].startswith("stdout: No space left on device")


def test_the_form_of_errors_is_that_of_the_call(tmp_path: Path) -> None:
    def told(*args: str) -> str:
        return call("status", *args, tmp_path / "nope.yaml").err

    assert json.loads(told("--log-format", "json"))["level"] == "error"
    assert told().startswith("skyhaul: error: ")
    assert json.loads(told("--log-format", "json", "--no-such"))["level"] == "error"


def test_a_reader_that_leaves_changes_neither_exit_code_nor_output_on_stderr() -> None:
    """`skyhaul schema | true`, with more output than a pipe holds."""
    program = "import skyhaul.cli.commands.schema, skyhaul.job_schema as j\n"
    program += "j.job_schema = lambda: {str(i): i for i in range(200_000)}\n"
    program += "from skyhaul.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert (process.wait(60), err) == (0, "")


def test_watching_ends_when_its_reader_leaves(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    job = write_job(tmp_path)
    assert call("plan", "-q", job).code == 0
    with subprocess.Popen(
        [*PROGRAM, "status", "--watch", "--every", "50ms", str(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "left" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert (process.wait(30), err) == (75, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_watching_ends_with_its_code(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    write_texts(tmp_path / "remote")
    job = write_job(tmp_path)
    assert call("plan", "-q", job).code == 0
    with subprocess.Popen(
        [*PROGRAM, "status", "--watch", "--every", "100ms", str(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "left" in process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err


def test_spawned_and_called_agree(tmp_path: Path) -> None:
    assert spawn("status", tmp_path / "nope") == call("status", tmp_path / "nope")
