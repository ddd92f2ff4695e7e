"""`skyhaul spool`: live owners keep what they hold; what killed ones left is taken over, or cleaned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.hauling.rig import skyhaul

from skyhaul_connectors.transfer.spool.disk import PosixDisk
from skyhaul_connectors.transfer.spool.folders import remove_spool, spools
from skyhaul_connectors.transfer.spool.lock import LOCK, SpoolLock
from skyhaul_connectors.transfer.spool.spool import Spool
from skyhaul_schemas.errors import SpoolInUse

OWNER = """
import sys
from pathlib import Path
from skyhaul_connectors.transfer.spool.disk import PosixDisk
from skyhaul_connectors.transfer.spool.spool import Spool
spool = Spool(Path(sys.argv[1]), sys.argv[2], PosixDisk())
(spool.folder / "0000003.bytes").write_bytes(b"x" * 50_000)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def owner(root: Path, plan: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the spool of `plan`, with a shard of 50 kB in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(root), plan],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "region").mkdir()
    (tmp_path / "region" / "a.txt").write_text("one\n")
    job = tmp_path / "job.yaml"
    job.write_text(
        f"version: 1\nname: spooled\ndataset: {tmp_path}/out\nspool: {tmp_path}/spool\n"
        f"sources:\n  texts: {{url: '{tmp_path}/region/*.txt', format: text}}\n"
    )
    return job


def listed(job: Path, *more: str) -> dict[str, str]:
    """State by folder below the spool."""
    done = skyhaul("spool", "--json", *more, job, cwd=job.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {str(Path(s["path"]).relative_to(found["spool"])): s["state"] for s in found["spools"]}


def test_a_killed_owner_leaves_a_stale_spool_and_a_live_one_keeps_its_own(job: Path) -> None:
    root = job.parent / "spool"
    dead, live, young = "a" * 64, "b" * 64, "c" * 64
    with owner(root, dead) as lost, owner(root / "worker-1", live) as busy, owner(root, young) as fresh:
        kill(lost)
        kill(fresh)
        age(root / dead[:32], 30 * 86_400)
        age(root / "worker-1" / live[:32], 30 * 86_400)
        names = {"dead": dead[:32], "live": f"worker-1/{live[:32]}", "young": young[:32]}
        expected = {names["dead"]: "stale", names["live"]: "in use", names["young"]: "kept"}
        assert listed(job) == expected
        assert listed(job, "--clean") == {**expected, names["dead"]: "removed"}
        assert not (root / dead[:32]).exists()
        assert (root / "worker-1" / live[:32] / "0000003.bytes").stat().st_size == 50_000
        assert busy.poll() is None
        assert listed(job, "--clean", "--older-than", "1ms") == {
            names["live"]: "in use",
            names["young"]: "removed",
        }
    assert listed(job, "--clean", "--older-than", "1ms") == {names["live"]: "removed"}
    done = skyhaul("spool", job, cwd=job.parent)
    assert done.stdout == f"no spools below {root}\n"


def test_what_a_haul_can_still_use_is_kept_until_all_is_committed(job: Path) -> None:
    assert skyhaul("plan", job, cwd=job.parent).returncode == 0
    plan = json.loads(skyhaul("status", "--json", job, cwd=job.parent).stdout)["plan"]
    root = job.parent / "spool"
    with owner(root, plan) as lost:
        kill(lost)
    age(root / plan[:32], 30 * 86_400)
    assert listed(job, "--clean") == {plan[:32]: "resumable"}
    assert listed(job, "--all") == {plan[:32]: "stale"}
    assert skyhaul("run", "--quiet", job, cwd=job.parent).returncode == 0
    assert listed(job, "--older-than", "1ms") == {plan[:32]: "stale"}


def test_a_lost_workers_spool_is_taken_over(tmp_path: Path) -> None:
    with owner(tmp_path, "a" * 64) as lost:
        with pytest.raises(SpoolInUse, match=f"process {lost.pid}"):
            Spool(tmp_path, "a" * 64, PosixDisk())
        assert [(s.in_use, s.holder) for s in spools(tmp_path)] == [(True, lost.pid)]
        kill(lost)
        assert [(s.in_use, s.holder) for s in spools(tmp_path)] == [(False, lost.pid)]
        Spool(tmp_path, "a" * 64, PosixDisk()).close()


def test_cleaning_loses_against_an_owner_that_comes_first_and_after(tmp_path: Path) -> None:
    Spool(tmp_path, "a" * 64, PosixDisk()).close()
    (found,) = spools(tmp_path)
    with owner(tmp_path, "a" * 64):
        assert remove_spool(found) is False
        assert (found.path / "0000003.bytes").is_file()
    assert remove_spool(found) is True
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_folder_that_was_removed_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remover unlinks the lock file between the newcomer's opening and its locking."""
    folder = tmp_path / "spool"
    folder.mkdir()
    real, calls = os.open, 0

    def opening(path: object, *arguments: int, **more: int) -> int:
        nonlocal calls
        descriptor = real(path, *arguments, **more)  # type: ignore[arg-type]  # handed on
        if str(path).endswith(LOCK) and not calls:
            calls += 1
            (folder / LOCK).unlink()
            folder.rmdir()
        return descriptor

    monkeypatch.setattr(os, "open", opening)
    lock = SpoolLock(folder)
    assert (folder / LOCK).read_text() == f"{os.getpid()}\n"
    with pytest.raises(SpoolInUse):
        SpoolLock(folder)
    lock.release()


def test_a_spool_that_was_used_since_it_was_looked_at_is_not_cleaned(tmp_path: Path) -> None:
    with owner(tmp_path, "a" * 64) as process:
        kill(process)
    [found] = spools(tmp_path)
    age(found.path, 9 * 24 * 3600)
    for used in (LOCK, "0000003.bytes"):
        [found] = spools(tmp_path)
        os.utime(found.path / used)
        assert not remove_spool(found, unless_used=True)
        age(found.path, 9 * 24 * 3600)
    [found] = spools(tmp_path)
    assert remove_spool(found, unless_used=True)
    assert spools(tmp_path) == []
