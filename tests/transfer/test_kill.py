"""A real process hauls from a real server and is killed with SIGKILL at random moments."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.faults.hostile_process import hostile_process

from .rig import MIB, random_objects

PROJECT = Path(__file__).resolve().parents[2]
CONNECTIONS = 4
RATE = 250_000
"""Bytes per second of one connection."""
SEND_BUFFER = 16 * 1024


def start(url: str, spool: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.transfer.hauler", url, str(spool), str(CONNECTIONS)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_a_kill_costs_at_most_the_open_ranges_and_the_last_quarter_second(tmp_path: Path, kills: int) -> None:
    seed = 4
    print(f"seed {seed}")
    draw = random.Random(seed)
    root = tmp_path / "root"
    root.mkdir()
    objects = random_objects(seed, [MIB, 20_000, 20_000, 0, MIB, 500_000])
    for path, content in objects.items():
        (root / path).write_bytes(content)
    total = sum(map(len, objects.values()))
    log = tmp_path / "log"
    with hostile_process(root, log, "--rate", str(RATE), "--send-buffer", str(SEND_BUFFER)) as server:
        spool = tmp_path / "spool"
        for _ in range(kills):
            process = start(server.url, spool)
            time.sleep(draw.uniform(0.3, 2.5 / kills + 0.3))
            process.kill()
            process.wait()
        process = start(server.url, spool)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        time.sleep(0.2)
        ranges = [r for r in server.ranges() if r["method"] == "GET" and r["path"] in objects]
    result = json.loads(said)
    assert result["digests"] == {p: hashlib.sha256(c).hexdigest() for p, c in objects.items()}
    sent = sum(r["sent"] for r in ranges)
    widest = max(r["end"] - r["start"] for r in ranges)
    a_quarter_second = 0.25 * CONNECTIONS * RATE
    in_flight = CONNECTIONS * min(widest, RATE // 4 + 4 * SEND_BUFFER + 64 * 1024)
    resent = result["counts"]["net"]["resent_bytes"]
    assert sent - total <= kills * (a_quarter_second + in_flight)
    since_the_last_note = 0.1 * CONNECTIONS * RATE  # five times as long as it takes on an idle machine
    assert 0 < resent <= sent - total, "what the kills cost is counted"
    assert sent - total - resent <= kills * (since_the_last_note + in_flight)
    assert sent - total < total / 2 * kills, "a kill costs less than half of what there is"
