"""The demo ends what it started, however it ends itself."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import demo
import fetch
import pytest
import yaml
from processes import Unavailable

from flink.rig import is_gone, until, write_corpus


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    todo = [pid]
    while todo:
        parent = todo.pop()
        children = {child for child, its in parents.items() if its == parent}
        found |= children
        todo += children
    return found


@pytest.fixture
def slow_job(tmp_path: Path) -> Path:
    job = {
        "version": 1,
        "name": "slow",
        "dataset": "out",
        "schema": "document",
        "sources": {
            "notes": {
                "url": f"{write_corpus(tmp_path / 'notes', objects=20)}/*.txt",
                "format": "text",
                "via": ["thin"],
            }
        },
        "links": {"thin": {"emulate": True, "down": "300kbit/s", "rtt": "20ms"}},
    }
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def by_script(*arguments: str) -> list[str]:
    return [sys.executable, demo.__file__, *arguments]


def by_make(*arguments: str) -> list[str]:
    """`make flink-demo`, with this environment for the one that it would set up."""
    root = Path(demo.__file__).resolve().parents[2]
    ready = f"{sys.prefix}/.ready-dev"
    given = [f"VENV={sys.prefix}", "-o", ready, f"ARGS={shlex.join(arguments)}"]
    return ["make", "-C", str(root), *given, "flink-demo"]


ENGINES = {"prism": ("prism",), "flink": ("versitygw", "java", "flink", "job-server")}


@pytest.mark.cluster
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("command", "engine", "number"),
    [
        (by_make, "prism", signal.SIGINT),
        pytest.param(by_script, "prism", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(by_script, "prism", signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(by_make, "flink", signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_demo_leaves_nothing_running_and_no_file(
    tmp_path: Path,
    slow_job: Path,
    offline: None,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., list[str]],
    engine: str,
    number: signal.Signals,
) -> None:
    """As the terminal does it: the signal goes to the whole foreground group."""
    try:
        for part in ("versitygw", *ENGINES[engine]):
            fetch.GETTERS[part]()
    except Unavailable as reason:
        pytest.skip(str(reason))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            command("--engine", engine, "--job", str(slow_job)),
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
    try:
        until(lambda: any(b"sdk_worker_main" in command_line(p) for p in descendants(running.pid)), 150)
        time.sleep(1)
        started = descendants(running.pid)
        assert len(started) >= 4  # the S3 server, the engine, the client, a worker
        os.killpg(running.pid, number)
        running.wait(40)
        print((tmp_path / "log").read_text())
        assert running.returncode in (-number, 128 + number)
        until(lambda: all(is_gone(pid) for pid in started), 10)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    assert [entry.name for entry in temporary.iterdir()] == []


def heed_interrupts() -> None:
    """As in a terminal: a shell has what it starts in the background ignore Ctrl-C, the tests perhaps."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
