"""SIGKILL at random moments while bytes flow, over and over: the dataset ends the same, and hardly a byte
crosses twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.faults.hostile_http import HostileServer
from tests.hauling.rig import command, data_digests, job, skyhaul, write_job, write_region

SEED = 20261122
KILLS = 20
RATE = 24e6
"""bit/s of the emulated link: slow, so that each kill falls into a transfer."""
FLIGHT = 2 * 1024 * 1024
"""Bytes: what is open at once at most (8 connections, two ranges of 128 KiB each)."""


@pytest.mark.timeout(400)
def test_twenty_kills_change_no_byte_and_fetch_little_again(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    region = tmp_path / "region"
    write_region(region, SEED, jsonl_bytes=24_000_000, texts=100)
    with HostileServer(region, send_buffer=16384) as server:
        link = {"emulate": True, "down": "24Mbit/s", "rtt": "40ms", "loss": "0.5%", "seed": 4}
        lines, texts = f"{server.url}lines/*.jsonl", f"{server.url}texts/*.txt"
        clean = write_job(
            tmp_path / "clean.yaml",
            job(tmp_path / "clean", tmp_path / "s1", lines, texts, target_size="4MiB"),
        )
        assert skyhaul("run", clean, "--quiet", cwd=tmp_path).returncode == 0
        needed = _sent(server)
        killed = write_job(
            tmp_path / "killed.yaml",
            job(tmp_path / "killed", tmp_path / "s2", lines, texts, link=link, target_size="4MiB"),
        )
        planned = skyhaul("plan", killed, "--quiet", cwd=tmp_path)
        assert planned.returncode == 0, planned.stderr
        before = _sent(server)
        kills = 0
        while kills < KILLS:
            seen = _sent(server)
            process = subprocess.Popen([command(), "run", str(killed), "--quiet"], cwd=tmp_path)
            _wait_for_bytes(server, seen, process)
            time.sleep(rng.uniform(0.02, 0.45))
            assert process.poll() is None, f"the haul ended after {kills} kills: the region is too small"
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        done = skyhaul("run", killed, "--quiet", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        sent = _sent(server) - before
    assert data_digests(tmp_path / "killed") == data_digests(tmp_path / "clean")
    again = sent - needed
    allowed = (KILLS + 1) * (FLIGHT + RATE / 8 / 4)
    print(json.dumps({"needed": needed, "again": again, "a kill": again / KILLS, "allowed": allowed}))
    assert 0 <= again <= allowed
    verified = skyhaul("verify", killed, "--deep", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _sent(server: HostileServer) -> int:
    """Bytes of objects that have left the server."""
    return sum(served.sent for served in server.ranges() if served.status == 206)


def _wait_for_bytes(server: HostileServer, seen: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while _sent(server) <= seen:
        assert process.poll() is None, f"exited {process.returncode} before a byte flowed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
