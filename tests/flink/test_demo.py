"""The demo ends what it started, however it ends itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import demo
import pytest
import yaml
from fetch import OFFLINE, go_tool
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


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_demo_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv(OFFLINE, "" if os.environ.get("SKYHAUL_TEST_DOWNLOADS") else "1")
    try:
        go_tool("versitygw"), go_tool("prism")
    except Unavailable as reason:
        pytest.skip(str(reason))
    job = {
        "version": 1,
        "name": "slow",
        "dataset": "out",
        "schema": "document",
        "sources": {
            "notes": {
                "url": f"{write_corpus(tmp_path / 'notes')}/*.txt",
                "format": "text",
                "via": ["thin"],
            }
        },
        "links": {"thin": {"emulate": True, "down": "100kbit/s", "rtt": "20ms"}},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = [sys.executable, demo.__file__, "--engine", "prism", "--job", str(tmp_path / "job.yaml")]
    running = subprocess.Popen(script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: any(b"skyhaul" in command_line(pid) for pid in descendants(running.pid)), 40)
    started = descendants(running.pid)
    assert len(started) >= 3  # the S3 server, the engine, the client
    running.send_signal(number)
    assert running.wait(30) == 128 + number
    until(lambda: all(is_gone(pid) for pid in started), 10)
    assert not list(tmp_path.glob("skyhaul-demo-*"))


def command_line(pid: int) -> bytes:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
    return command if b"bin/skyhaul\0run" in command else b""
