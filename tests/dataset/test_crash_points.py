"""Killed before and after each step of the commit path, and again while recovering, a shard ends right."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from dataset.crashing import KILLED, Crashing, forked
from dataset.hauled import JOB, Hauled, digests, plan_small, write_region
from skyhaul.dataset.commits.record_files import read_commit, write_failure
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.commit import FailureRecord
from skyhaul_schemas.plan import Shard

SEED = 20260101


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_region(tmp_path_factory.mktemp("region") / "r", lines=40, texts=3)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, region: Path) -> Hauled:
    job = JOB.replace("row_group_size: 6kB", "row_group_size: 1MB").replace(
        "file_size: 16kB", "file_size: 1MB"
    )
    hauled = plan_small(tmp_path_factory.mktemp("planned"), region, job=job)
    write_failure(hauled.store, _failure(rejecting(hauled), hauled.recipe.plan))
    hauled.store.close()
    return hauled


def rejecting(hauled: Hauled) -> Shard:
    """A shard with rejects, so that every kind of file is on its way."""
    return hauled.shards()[0]


class Trial:
    """A copy of the planned dataset, and the one shard that is hauled into it."""

    def __init__(self, planned: Hauled, folder: Path) -> None:
        shutil.copytree(planned.root, folder)
        self.root = folder
        self._planned = planned
        self._shard = rejecting(planned)

    def attempt(self, at: int) -> int:
        """Haul in a child that dies at moment `at`: its exit code."""

        def work() -> None:
            store = open_store(str(self.root), writable=True, files=Crashing(at))
            self._planned.encode(self._shard, store)
            store.close()

        return forked(work)()

    def finish(self) -> int:
        """Haul to the end, in this process: how many moments that had."""
        files = Crashing()
        store = open_store(str(self.root), writable=True, files=files)
        self._planned.encode(self._shard, store)
        store.close()
        return len(files.moments)

    def sound_while_unfinished(self) -> None:
        """What a crash leaves is sound: a commit record never speaks of what is not there."""
        store = open_store(str(self.root), writable=False)
        assert verify_dataset(store, deep=False).findings == []
        if read_commit(store, self._shard.number) is None:
            assert store.exists(layout.failure_file(self._shard.number))

    def check(self, expected: dict[str, str]) -> None:
        """As if nothing had happened: same files, one record, no leftovers."""
        assert digests(self.root) == expected
        store = open_store(str(self.root), writable=True)
        assert read_commit(store, self._shard.number) is not None
        assert verify_dataset(store, deep=False).exit_code() in (0, 75)
        assert not store.exists(layout.failure_file(self._shard.number))
        assert [p.name for p in (self.root / layout.CONTROL).glob("tmp-*")] == []


def _failure(shard: Shard, plan: str) -> FailureRecord:
    return FailureRecord(
        shard=shard.number, plan=plan, source=shard.source, kind="DiskFull", reason="full",
        attempts=1, where="here", final=False, at="2026-01-01T00:00:00Z",
    )  # fmt: skip


def test_a_kill_at_any_step_ends_with_the_same_shard(planned: Hauled, ram_path: Path) -> None:
    clean = Trial(planned, ram_path / "clean")
    moments = clean.finish()
    expected = digests(clean.root)
    assert len([path for path in expected if path.startswith("data/")]) >= 2
    assert [path for path in expected if "rejects" in path]
    assert moments > 60
    for at in range(moments):
        trial = Trial(planned, ram_path / f"{at}")
        assert trial.attempt(at) == KILLED
        trial.sound_while_unfinished()
        trial.finish()
        trial.check(expected)
        shutil.rmtree(trial.root)


@pytest.mark.parametrize("share", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_while_recovering_from_a_kill_ends_with_the_same_shard(
    planned: Hauled, ram_path: Path, share: int
) -> None:
    clean = Trial(planned, ram_path / "clean")
    moments = clean.finish()
    expected = digests(clean.root)
    print(f"{moments} moments, every {share}., seed {SEED}")
    rng = random.Random(SEED)
    for at in range(0, moments, share):
        trial = Trial(planned, ram_path / f"{at}")
        assert trial.attempt(at) == KILLED
        again = trial.attempt(rng.randrange(moments))
        assert again in (KILLED, 0)
        trial.sound_while_unfinished()
        trial.finish()
        trial.check(expected)
        shutil.rmtree(trial.root)


def test_each_step_of_the_path_is_one_at_which_it_was_killed(planned: Hauled, ram_path: Path) -> None:
    trial = Trial(planned, ram_path / "steps")
    files = Crashing()
    store = open_store(str(trial.root), writable=True, files=files)
    planned.encode(rejecting(planned), store)
    store.close()
    order = [(step, path.name) for when, step, path in files.moments if when == "before"]
    kinds = {step for step, _ in order}
    assert kinds >= {"create", "write", "fsync", "link", "unlink", "make-folder", "fsync-folder"}
    links = [name for step, name in order if step == "link"]
    assert links[-1] == "0000000.json"
    assert links[-2] == "0000000.parquet"
    assert all(name.startswith(("train-", "validation-")) for name in links[:-2])
    # The record's link comes after every file's folder was synced.
    assert order.index(("link", links[-1])) > max(
        order.index(("fsync-folder", "0000")), order.index(("link", links[-2]))
    )
