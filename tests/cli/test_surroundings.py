"""Environments of cron, containers and service managers: a command works in them, or says what to set."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.jobs import write_job, write_texts
from cli.program import PROGRAM, call
from faults.hostile_http import HostileServer
from skyhaul.hauling.links import opening as links
from skyhaul.report import stdio


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that is hauled."""
    folder = tmp_path_factory.mktemp("done")
    write_texts(folder / "remote")
    job = write_job(folder)
    assert call("run", "-q", job).code == 0
    return job


def program(
    *args: str | Path, before: Callable[[], None] | None = None, **streams: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, args)],
        preexec_fn=before,
        text=True,
        timeout=120,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **streams},  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("args", [("status",), ("status", "--json"), ("verify", "-q"), ("run", "-q")])
def test_a_full_stdout_costs_a_word_and_not_the_code(args: tuple[str, ...], done: Path) -> None:
    with open("/dev/full", "w") as full:
        answer = program(*args, done, stdout=full)
    assert answer.returncode == 0
    assert answer.stderr == (
        "skyhaul: error: stdout: No space left on device; the result is not shown, the exit code holds\n"
    )


def test_help_on_a_full_stdout_is_no_bug() -> None:
    with open("/dev/full", "w") as full:
        answer = program("--help", stdout=full)
    assert answer.returncode == 0
    assert answer.stderr.startswith("skyhaul: error: stdout: No space left")


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("run", "--help"), ("schema",)])
def test_a_reader_that_has_left_is_no_failure(args: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        answer = program(*args, stdout=pipe)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        ((0,), "small: ", ""),
        ((1,), "", "skyhaul: error: stdout: it is closed"),
        ((2,), "small: ", ""),
        ((0, 1, 2), "", ""),
    ],
)
def test_closed_streams_cost_what_they_would_show(
    closed: tuple[int, ...], out: str, err: str, done: Path
) -> None:
    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    answer = program("status", done, before=close)
    assert answer.returncode == 0
    assert answer.stdout.startswith(out)
    assert bool(answer.stdout) == bool(out)
    assert answer.stderr.startswith(err)


def test_nothing_that_is_printed_can_get_into_a_file_that_took_the_place_of_a_stream(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    job = write_job(tmp_path)

    def close() -> None:
        for descriptor in (1, 2):
            os.close(descriptor)

    assert program("run", job, before=close).returncode == 0
    assert call("verify", "--deep", "-q", job).code == 0


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONOPTIMIZE": "2"},
        {"TZ": ":/no/such/zone"},
        {"COLUMNS": "0", "TERM": "dumb"},
        {"PATH": ""},
        {"TMPDIR": "/no/such/folder"},
    ],
    ids=lambda env: ",".join(env),
)
def test_odd_environments_change_nothing(env: dict[str, str], done: Path) -> None:
    answer = program("verify", done, env={**os.environ, **env})
    assert answer.returncode == 0, answer.stderr
    assert "sound and complete" in answer.stdout


def test_a_working_directory_that_is_gone_is_no_bug(done: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD"; exec "$@"'
    for target in (str(done), "relative.yaml"):
        answer = subprocess.run(
            ["bash", "-c", script, "bash", *PROGRAM, "status", target],
            cwd=gone, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        gone.mkdir(exist_ok=True)
        assert answer.returncode == (0 if target == str(done) else 2), answer.stderr
        assert "bug" not in answer.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer({f"{n:03d}.txt": b"text " * 20_000 for n in range(60)}) as running:
        yield running


@pytest.mark.parametrize("limit", [64, 48])
def test_few_open_files_make_fewer_connections(limit: int, server: HostileServer, tmp_path: Path) -> None:
    source = {"url": f"{server.url}*.txt", "format": "text", "max_connections": 128}
    job = write_job(tmp_path, sources={"texts": source}, shards={"target_size": "200kB"})
    answer = program(
        "run", "-q", job, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert call("verify", "-q", job).code == 0


def test_too_few_open_files_are_named(server: HostileServer, tmp_path: Path) -> None:
    source = {"url": f"{server.url}*.txt", "format": "text"}
    job = write_job(tmp_path, sources={"texts": source})
    answer = program("plan", "-q", job, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (22, 22)))
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert "the limit on open files is 22 (ulimit -n)" in line
    assert "max_connections" in line


def test_a_limit_on_file_sizes_is_for_another_run(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote", {"a.txt": "x" * 1000})
    job = write_job(tmp_path)
    answer = program("run", "-q", job, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)))
    assert answer.returncode == 75, answer.stderr
    assert "ulimit -f" in answer.stderr
    assert "bug" not in answer.stderr


def test_a_pipe_as_a_list_of_objects_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "objects.jsonl")
    url = {"list": str(tmp_path / "objects.jsonl"), "root": str(tmp_path)}
    job = write_job(tmp_path, sources={"texts": {"url": url, "format": "text"}})
    answer = call("plan", "-q", job)
    assert answer.code == 2
    assert "it is a pipe or a device, not a file" in answer.err


def test_a_name_that_is_too_long_is_no_bug() -> None:
    answer = call("run", "x" * 300)
    assert answer.code == 2
    assert "File name too long" in answer.err


def metered(folder: Path) -> Path:
    write_texts(folder / "remote")
    source = {"url": f"{folder}/remote/**/*.txt", "format": "text", "via": ["leo"]}
    return write_job(
        folder, sources={"texts": source}, links={"leo": {"cap": "1GB/month", "down": "1Gbit/s"}}
    )


def test_a_ledger_without_a_place_is_told_with_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(links.Path, "home", staticmethod(nowhere))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    job = metered(tmp_path)
    for command in ("run", "links", "estimate"):
        answer = call(command, "-q", job)
        assert answer.code == 2, answer
        for word in ("XDG_STATE_HOME", "HOME", "passwd", "`ledger`"):
            assert word in answer.err
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert call("run", "-q", job).code == 0
    assert (tmp_path / "state" / "skyhaul" / "links.sqlite").exists()


def test_a_home_that_is_no_folder_is_a_matter_of_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    answer = call("run", "-q", metered(tmp_path))
    assert answer.code == 2, answer
    assert "the ledger" in answer.err
    assert "name another file with the job's `ledger`" in answer.err


@pytest.mark.parametrize("lost", ["emptied", "removed", "with its folder"])
def test_a_ledger_that_has_become_empty_is_told_and_counted_again(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    job = metered(tmp_path)
    assert call("run", "-q", job).code == 0
    ledger = state / "skyhaul" / "links.sqlite"
    for path in ledger.parent.iterdir():
        if path == ledger and lost == "emptied":
            path.write_bytes(b"")
        elif lost == "with its folder" or path.name.startswith("links.sqlite-") or path == ledger:
            path.unlink()
    shown = call("links", "-q", job)
    assert "no longer knows" in shown.err
    again = call("run", "-q", job)
    assert again.code == 0
    assert "emptied, cut or replaced" in again.err
    assert "counted again" in again.err
    assert str(ledger) in again.err
    last = call("run", "-q", job)
    assert last.err == "", "it is told once"
    assert call("links", "-q", job).err == ""


def test_a_stdout_that_fails_later_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    stdio._left.clear()
    try:
        stdio.give_up_stdout(OSError(5, "Input/output error"))
        stdio.give_up_stdout(OSError(5, "Input/output error"))
        assert stdio.reader_left()
    finally:
        stdio._left.clear()
    assert capsys.readouterr().err.count("stdout") == 1
