"""A plan is there whole or not at all, wherever planning dies, and whoever plans beside it."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from planning.planned import Listing, job_for, pinned, plan_bytes, plan_into
from skyhaul.dataset.storage.files import LocalFiles, Step
from skyhaul.dataset.storage.opening import open_store
from skyhaul.planning.build import catalogue
from skyhaul.planning.build.catalogue import Catalogue, Cut
from skyhaul.planning.make_plan import plan_sources
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.publishing import keep_job
from skyhaul_schemas import layout
from skyhaul_schemas.errors import DiskFull, PlanMismatch, StorageError
from skyhaul_schemas.plan import PlanHeader


class Watched(LocalFiles):
    """Counts steps; at step `at` it calls `then`."""

    def __init__(self, at: int, then: object) -> None:
        self.count = 0
        self.at = at
        self.then = then

    def before(self, step: Step, path: Path) -> None:
        self._tick()

    def after(self, step: Step, path: Path) -> None:
        self._tick()

    def _tick(self) -> None:
        self.count += 1
        if self.count == self.at:
            assert callable(self.then)
            self.then()


def sources(version: int) -> dict[str, Listing]:
    return {"s": Listing("s", [pinned("s", f"{n}.jsonl", 100, f'etag:"{version}"') for n in range(20)])}


def plan_with(folder: Path, files: LocalFiles, version: int = 1) -> PlanHeader:
    store = open_store(str(folder / "dataset"), writable=True, files=files)
    try:
        return plan_sources(job_for(folder), {"s": ["*"]}, sources(version), store)
    finally:
        store.close()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(folder: Path, at: int) -> bool:
    """Plan in a child that is killed at step `at`; False where it came to its end before."""
    child = os.fork()
    if child == 0:
        try:
            plan_with(folder, Watched(at, die))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_planning_killed_at_any_step_leaves_no_plan_or_the_plan(tmp_path: Path) -> None:
    _, clean = plan_into(tmp_path / "clean", job_for(tmp_path / "clean"), sources(1))
    _, changed = plan_into(tmp_path / "changed", job_for(tmp_path / "changed"), sources(2))
    at, stood = 0, 0
    while killed_at(folder := tmp_path / f"at-{at}", at := at + 1):
        store = open_store(str(folder / "dataset"), writable=True)
        stands = Plan.exists(store)
        stood += stands
        # The source has changed when planning is tried again: what stands stays, what does not is made anew.
        if stands:
            assert plan_bytes(store) == plan_bytes(clean)
            Plan.open(store).close()
        else:
            plan_with(folder, LocalFiles(), version=2)
            assert plan_bytes(store) == plan_bytes(changed)
            assert len(list(Plan.open(store).objects())) == 20
        store.close()
        left = [path for path in (folder / "dataset" / "_skyhaul").iterdir() if path.name.startswith("tmp-")]
        assert left == []
        assert not (folder / "spool").exists() or list((folder / "spool").iterdir()) == []
    assert at > 30, "the steps of planning were not reached"
    assert stood > 0


def test_another_planner_that_was_first_with_an_equal_plan_is_fine(tmp_path: Path) -> None:
    def other() -> None:
        plan_with(tmp_path, LocalFiles())

    counting = Watched(0, None)
    plan_with(tmp_path / "counted", counting)
    for at in range(1, counting.count + 1, 5):
        folder = tmp_path / f"at-{at}"

        def first(folder: Path = folder) -> None:
            plan_with(folder, LocalFiles())

        header = plan_with(folder, Watched(at, first))
        store = open_store(str(folder / "dataset"), writable=False)
        plan = Plan.open(store)
        assert plan.header == header
        assert len(list(plan.objects())) == 20


def test_another_planner_that_was_first_with_another_plan_wins(tmp_path: Path) -> None:
    counting = Watched(0, None)
    plan_with(tmp_path / "counted", counting)
    lost: list[str] = []
    for at in range(1, counting.count + 1, 2):
        folder = tmp_path / f"at-{at}"
        theirs: list[PlanHeader] = []

        def first(folder: Path = folder, theirs: list[PlanHeader] = theirs) -> None:
            with suppress(PlanMismatch):
                theirs.append(plan_with(folder, LocalFiles(), version=2))

        try:
            ours = plan_with(folder, Watched(at, first))
        except PlanMismatch as error:
            lost.append(str(error))
            ours = None
        plan = Plan.open(open_store(str(folder / "dataset"), writable=False))
        assert [plan.header] == ([ours] if ours else theirs)
        assert len(list(plan.objects())) == 20, "objects and shards are of one plan"
    assert len(lost) > 3
    assert all("was given another plan at the same time" in message for message in lost)


def test_the_job_is_kept_as_it_was_last_run(tmp_path: Path) -> None:
    _, store = plan_into(tmp_path, job_for(tmp_path), sources(1))
    keep_job(store, "version: 1\n# links have changed\n")
    assert store.read_bytes(layout.JOB) == b"version: 1\n# links have changed\n"
    store.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_catalogue_lies_in_the_spool_and_has_no_name_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "CACHE_BYTES", 64 * 1024)
    spool = tmp_path / "it's a spool"
    held = Catalogue(["s"], spool)
    held.add_objects(pinned("s", f"{n:060d}", 1) for n in range(20_000))
    objects = held.objects()
    next(objects)
    opened = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_link(fd)]
    ours = [path for path in opened if path.startswith(str(spool))]
    assert len(ours) >= 2, "the database and a sorted run"
    assert list(spool.iterdir()) == []
    objects.close()  # type: ignore[attr-defined]  # a generator, typed as an iterator
    held.close()


def _is_link(descriptor: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{descriptor}")


def test_a_full_spool_is_a_full_disk(tmp_path: Path) -> None:
    held = Catalogue(["s"], tmp_path)
    held._database.execute("PRAGMA max_page_count = 20")
    with pytest.raises(DiskFull, match="the plan cannot be sorted: no space left; make room"):
        held.add_objects(pinned("s", f"{n:060d}", 1) for n in range(20_000))
    held.close()


def test_any_other_trouble_of_the_database_is_a_storage_error(tmp_path: Path) -> None:
    held = Catalogue(["s"], tmp_path)
    held.close()
    with pytest.raises(StorageError, match="the plan cannot be sorted") as caught:
        held.add_objects([pinned("s", "x", 1)])
    assert isinstance(caught.value.__cause__, sqlite3.Error)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE objects SET size = 2 WHERE path = '17'",
        "DELETE FROM objects WHERE path = '17'",
        "UPDATE objects SET version = NULL WHERE path = '17'",
        "UPDATE objects SET path = '018' WHERE path = '17'",
        "UPDATE objects SET source = 0 WHERE path = '17'",
        "INSERT INTO objects SELECT * FROM objects WHERE path = '17'",
    ],
)
def test_objects_that_the_disk_gives_back_otherwise_make_no_plan(tmp_path: Path, damage: str) -> None:
    held = Catalogue(["r", "s"], tmp_path)
    held.add_objects(pinned("s", f"{n}", 1) for n in range(30))
    assert len(list(held.objects())) == 30
    held._database.execute(damage)
    with pytest.raises(StorageError, match="the plan came back from its disk otherwise"):
        list(held.objects())
    held.close()


@pytest.mark.parametrize(
    "change",
    [
        "key = zeroblob(16)",
        "start = 1",
        "length = 99",
        "needed = zeroblob(32)",
        "checksum = 'sha256:'",
        "size = 101",
        "locator = ''",
    ],
)
def test_chunks_that_the_disk_gives_back_otherwise_make_no_plan(tmp_path: Path, change: str) -> None:
    held = Catalogue(["s"], tmp_path)
    cuts = [Cut(pinned("s", f"{n}", 100), 0, 100, ((0, 10), (20, 30))) for n in range(30)]
    held.add_chunks((bytes([n]) * 16, cut) for n, cut in enumerate(cuts))
    assert list(held.chunks()) == cuts
    held._database.execute(f"UPDATE chunks SET {change} WHERE path = '17'")
    found = held.chunks()
    with pytest.raises(StorageError, match="the plan came back from its disk otherwise"):
        list(found)
    held.close()
