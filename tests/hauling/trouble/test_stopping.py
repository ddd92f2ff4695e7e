"""Stopping a haul in every way, and going on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.hostile_http import HostileServer
from tests.hauling.rig import command, data_digests, job, skyhaul, write_job, write_region

SEED = 41


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileServer]:
    print(f"region seed {SEED}")
    root = tmp_path_factory.mktemp("region")
    write_region(root, SEED, jsonl_bytes=6_000_000, texts=40)
    with HostileServer(root) as running:
        yield running


@pytest.fixture(scope="module")
def digests(server: HostileServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("clean")
    done = skyhaul("run", _job(folder, server, None), "--quiet", cwd=folder)
    assert done.returncode == 0, done.stderr
    return data_digests(folder / "out")


def _job(folder: Path, server: HostileServer, link: dict[str, object] | None, **more: object) -> Path:
    content = job(
        folder / "out",
        folder / "spool",
        f"{server.url}lines/*.jsonl",
        f"{server.url}texts/*.txt",
        link=link,
        **more,
    )
    return write_job(folder / "job.yaml", content)


SLOW: dict[str, object] = {"emulate": True, "down": "8Mbit/s", "rtt": "20ms"}


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_ends_it_within_ten_seconds_and_the_next_run_goes_on(
    signum: signal.Signals, code: int, server: HostileServer, digests: dict[str, str], tmp_path: Path
) -> None:
    path = _job(tmp_path, server, SLOW)
    process = subprocess.Popen(
        [command(), "run", str(path), "--quiet"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    _wait_for(lambda: any((tmp_path / "spool").rglob("*.sqlite*")) and _spooled(tmp_path) > 500_000, process)
    begun = time.monotonic()
    process.send_signal(signum)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code, errors
    assert time.monotonic() - begun < 10
    assert "Traceback" not in errors
    assert _children_of(process.pid) == []
    done = skyhaul("run", _job(tmp_path, server, None), "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert data_digests(tmp_path / "out") == digests


def test_a_time_budget_puts_the_rest_off(
    server: HostileServer, digests: dict[str, str], tmp_path: Path
) -> None:
    path = _job(tmp_path, server, SLOW)
    first = skyhaul("run", path, "--quiet", "--max-duration", "2s", cwd=tmp_path)
    assert first.returncode == 75, first.stderr
    status = json.loads(skyhaul("status", path, "--json", cwd=tmp_path).stdout)
    assert status["shards"]["left"] > 0
    assert status["shards"]["failed"] == 0
    assert skyhaul("verify", path, cwd=tmp_path).returncode == 75
    again = skyhaul("run", _job(tmp_path, server, None), "--quiet", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert data_digests(tmp_path / "out") == digests


def test_a_closing_contact_puts_the_rest_off_and_wait_sleeps_until_the_next(
    server: HostileServer, digests: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "passes.csv").write_text("start,end,rate\n0,5,8Mbit/s\n8,600,200Mbit/s\n")
    link: dict[str, object] = {"emulate": True, "down": "200Mbit/s", "rtt": "20ms", "contacts": "passes.csv"}
    path = _job(tmp_path, server, link)
    first = skyhaul("run", path, "--quiet", cwd=tmp_path)
    assert first.returncode == 75, first.stderr
    assert "LinkClosed" in first.stdout + first.stderr
    status = json.loads(skyhaul("status", path, "--json", cwd=tmp_path).stdout)
    assert status["shards"]["failed"] == 0, "a closed contact is no failure"
    again = skyhaul("run", path, "--quiet", "--wait", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert data_digests(tmp_path / "out") == digests


def test_a_source_that_is_gone_beyond_patience_is_put_off(
    server: HostileServer, digests: dict[str, str], tmp_path: Path
) -> None:
    plan = skyhaul("plan", _job(tmp_path, server, None), cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    with HostileServer({"x": b"x"}) as nearby:
        nobody = nearby.url
    content = job(
        tmp_path / "out",
        tmp_path / "spool",
        f"{nobody}lines/*.jsonl",
        f"{nobody}texts/*.txt",
        patience="3s",
    )
    begun = time.monotonic()
    silent = skyhaul("run", write_job(tmp_path / "nobody.yaml", content), "--quiet", cwd=tmp_path)
    assert silent.returncode == 75, silent.stderr
    assert "SourceSilent" in silent.stdout + silent.stderr
    assert time.monotonic() - begun < 30
    again = skyhaul("run", _job(tmp_path, server, None), "--quiet", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert data_digests(tmp_path / "out") == digests


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("full", ["out", "spool"])
def test_a_full_disk_fails_what_does_not_fit_and_the_next_run_finishes(
    full: str, server: HostileServer, digests: dict[str, str], tmp_path: Path
) -> None:
    path = _job(tmp_path, server, None)
    assert skyhaul("plan", path, cwd=tmp_path).returncode == 0
    disk = tmp_path / full
    kept = tmp_path / "kept"
    if disk.exists():
        disk.rename(kept)
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        if kept.exists():
            subprocess.run(["cp", "-a", f"{kept}/.", str(disk)], check=True)
        first = skyhaul("run", path, "--quiet", cwd=tmp_path)
        assert first.returncode == 75, first.stderr
        assert "DiskFull" in first.stderr + first.stdout
        assert "Traceback" not in first.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        again = skyhaul("run", path, "--quiet", cwd=tmp_path)
        assert again.returncode == 0, again.stderr + again.stdout
        assert data_digests(tmp_path / "out") == digests
        assert skyhaul("verify", path, "--deep", cwd=tmp_path).returncode == 0
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def _spooled(folder: Path) -> int:
    return sum(f.stat().st_blocks * 512 for f in (folder / "spool").rglob("*") if f.is_file())


def _wait_for(condition, process: subprocess.Popen[str]) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 40
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, "no bytes in the spool"
        time.sleep(0.02)


def _children_of(pid: int) -> list[str]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.split()
