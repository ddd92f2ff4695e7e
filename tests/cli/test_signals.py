"""Ctrl-C, SIGTERM and SIGHUP end a haul in order: what has arrived stays, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.jobs import write_job, write_texts
from cli.program import call, start
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.signals import stop_on_signals


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_an_interrupted_haul_says_so_and_the_same_command_finishes_it(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    write_texts(tmp_path / "remote", {f"{n:02d}.txt": f"text {n}\n" * 2000 for n in range(20)})
    sources = {"texts": {"url": f"{tmp_path}/remote/*.txt", "format": "text", "via": ["slow"]}}
    slow = {"emulate": True, "down": "400kbit/s", "up": "400kbit/s", "rtt": "20ms"}
    shards = {"target_size": "32KiB"}
    job = write_job(tmp_path, sources=sources, links={"slow": slow}, shards=shards)
    with start("run", job) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "hauling: " in line:
                break
        deadline = time.monotonic() + 60
        while call("status", "-q", job).out.startswith("small: 0 of") and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        begun = time.monotonic()
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - begun < 10
    assert out.startswith("interrupted: ")
    assert f"next: skyhaul run {job}" in out
    assert "Traceback" not in err

    between = json.loads(call("status", "--json", job).out)["shards"]
    assert 0 < between["committed"] < between["planned"]
    faster = write_job(
        tmp_path, sources=sources, shards=shards, links={"slow": {**slow, "down": "100Mbit/s"}}
    )
    assert call("run", "-q", faster).code == 0
    assert call("verify", "--deep", job).code == 0


SIGNALLED = """
import os, signal, sys
{before}
from skyhaul.cli import main
from skyhaul.cli.group import leave_on_signals
leave_on_signals()
os.kill(os.getpid(), signal.SIGHUP)
sys.exit(5)
"""


@pytest.mark.parametrize(
    ("before", "code"),
    [("", 143), ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", 5)],
    ids=["plain", "nohup"],
)
def test_a_hangup_outside_a_haul_is_as_sigterm_and_nohup_outlives_it(before: str, code: int) -> None:
    program = SIGNALLED.format(before=before)
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == code


def test_a_haul_under_nohup_leaves_the_hangup_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(HaulControl()) as caught:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGHUP)
        assert caught.exit_code is None
    finally:
        signal.signal(signal.SIGHUP, before)
