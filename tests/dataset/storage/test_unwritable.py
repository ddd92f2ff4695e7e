"""A dataset that cannot be written is refused at the probe, in one line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset.crashing import forked
from dataset.hauled import Hauled, digests, plan_small
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset
from skyhaul_schemas.errors import DiskFull, UsageError

NOBODY = 65534


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 1 MB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "skyhaul-test", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small filesystem can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)

    def work() -> None:
        if os.getuid() == 0:
            os.setuid(NOBODY)
        with pytest.raises(UsageError, match="permission denied; choose another `dataset`"):
            open_store(str(closed / "set"), writable=True).probe()

    assert forked(work)() == 0


def test_a_read_only_filesystem_is_refused(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(UsageError, match="it is read-only; choose another `dataset`"):
        open_store(str(small_disk / "set"), writable=True).probe()


def test_a_full_disk_fails_the_shard_leaves_what_is_committed_and_the_next_run_goes_on(
    small_disk: Path, tmp_path: Path
) -> None:
    elsewhere = plan_small(tmp_path, name="elsewhere")
    elsewhere.haul()
    hauled = plan_small(tmp_path, elsewhere.region, name="disk/set")
    shards = hauled.shards()
    hauled.encode(shards[0])
    hauled.store.close()
    ballast = small_disk / "ballast"
    _fill(ballast)
    before = digests(hauled.root)
    with pytest.raises(DiskFull, match="no space left; make room and run the same command again"):
        hauled.haul(shards[1:])
    assert digests(hauled.root) == before
    assert verify_dataset(hauled.store, deep=True).exit_code() == 75
    ballast.unlink()
    hauled.haul(shards)
    assert digests(hauled.root) == digests(elsewhere.root)
    assert verify_dataset(hauled.store, deep=True).exit_code() == 0
    hauled.store.close()
    hauled.plan.close()


def test_a_disk_that_fills_up_anywhere_in_a_shard_never_leaves_half_a_file(
    small_disk: Path, tmp_path: Path
) -> None:
    elsewhere: Hauled = plan_small(tmp_path, name="elsewhere")
    elsewhere.haul()
    whole = digests(elsewhere.root)
    hauled = plan_small(tmp_path, elsewhere.region, name="disk/set")
    shard = hauled.shards()[0]
    ballast = small_disk / "ballast"
    failed = 0
    for room in range(0, 120_000, 12_000):
        _fill(ballast, leaving=room)
        try:
            hauled.encode(shard)
        except DiskFull:
            failed += 1
        found = digests(hauled.root)
        assert found.items() <= whole.items()
        assert verify_dataset(hauled.store, deep=True).findings == []
        ballast.unlink()
    assert failed > 2
    hauled.haul()
    assert digests(hauled.root) == whole
    hauled.store.close()
    hauled.plan.close()


def _fill(path: Path, *, leaving: int = 0) -> None:
    """A file that takes all the room there is but `leaving` bytes."""
    free = os.statvfs(path.parent)
    with path.open("wb", buffering=0) as file:
        rest = free.f_bavail * free.f_frsize - leaving
        try:
            while rest > 0:
                rest -= file.write(bytes(min(rest, 4096)))
        except OSError:
            assert leaving == 0
