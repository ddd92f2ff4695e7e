"""An amendment of the plan and a haul elsewhere at the same time: whichever comes first, a later run ends
with the dataset of the plan, `verify` has nothing to say, and what was overtaken is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.hauling.living import Living

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.commits.record_files import read_commit
from skyhaul.dataset.storage.local import LocalStore
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.planning import amend_plan as amending
from skyhaul.planning.store.plan import Plan
from skyhaul.shards import commit_shard as committing
from skyhaul.shards.commit_shard import CommitGuard
from skyhaul.shards.parquet import FinishedFile
from skyhaul_connectors.transfer.spool.spool import folder_name
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import PlanMismatch, SpoolInUse
from skyhaul_schemas.job.file import parse_job


@pytest.fixture
def living(tmp_path: Path) -> Living:
    made = Living(tmp_path)
    made.write(range(6))
    return made


def shard_of(living: Living, number: int) -> int:
    with closing(Plan.open(living.store())) as plan:
        return next(s.number for s in plan.shards() for c in s.chunks if c.object.path == f"{number}.txt")


def elsewhere(living: Living, salt: str = "", **options: Any) -> HaulOutcome:
    """A haul with another spool, as on another machine, which sees object 2 with `salt`."""
    job = yaml.safe_load(living.job.read_text())
    job["spool"] += "-elsewhere"
    kept = (living.region / "2.txt").read_bytes(), (living.region / "2.txt").stat()
    living.write([2], salt)
    loaded = parse_job(yaml.safe_dump(job), str(living.job), {})
    try:
        with closing(living.store()) as store:
            return haul_on_beam(loaded, store, HaulOptions(**options))
    finally:
        (living.region / "2.txt").write_bytes(kept[0])
        os.utime(living.region / "2.txt", ns=(kept[1].st_atime_ns, kept[1].st_mtime_ns))


def words_of(living: Living, number: int) -> list[str]:
    """The rows that object `number` has."""
    import pyarrow.dataset as ds

    rows = ds.dataset(living.dataset / "data").to_table(columns=["text", "provenance"]).to_pylist()
    return [row["text"][:7] for row in rows if row["provenance"]["object"] == f"{number}.txt"]


def aside(living: Living) -> set[str]:
    root = living.dataset / layout.SET_ASIDE
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def is_sound(living: Living, number: int = 2, begins: str = "changed") -> None:
    """The next run ends the haul, and the dataset is that of the plan as it is now."""
    assert living.run().exit_code == 0
    report = living.verify()
    assert report.findings == []
    assert report.exit_code() == 0
    assert words_of(living, number) == [begins]
    assert living.texts() == {f"{n}.txt" for n in range(6)}


@pytest.fixture
def before_the_shards_file(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[], object]], None]:
    """Does something once, after the last look of an amendment, right before its generation is there."""
    publish = LocalStore.publish

    def do(work: Callable[[], object]) -> None:
        def slow(self: LocalStore, local: Path, path: str, sha256: str, *, keep: bool = False) -> bool:
            if path == layout.shards_file(1):
                monkeypatch.setattr(LocalStore, "publish", publish)
                work()
            return publish(self, local, path, sha256, keep=keep)

        monkeypatch.setattr(LocalStore, "publish", slow)

    return do


def test_a_shard_that_is_committed_while_it_is_being_amended_stays_and_the_plan_too(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    living.plan()
    living.write([2], "changed")
    publish = amending.publish_generation

    def slow(*arguments: Any, **more: Any) -> None:
        assert elsewhere(living).exit_code == 0
        publish(*arguments, **more)

    monkeypatch.setattr(amending, "publish_generation", slow)
    with pytest.raises(
        PlanMismatch, match=r"came to be committed while the plan was being amended.*run the same"
    ):
        living.amend()
    with closing(Plan.open(living.store())) as plan:
        assert len(plan.generations) == 1
    monkeypatch.undo()
    assert living.amend().counts == {"changed kept": 1}
    is_sound(living, begins=words_of(living, 2)[0])
    assert words_of(living, 2) != ["changed"]


def test_a_commit_between_the_last_look_and_the_generation_is_set_aside_and_hauled_anew(
    living: Living, before_the_shards_file: Callable[[Callable[[], object]], None]
) -> None:
    living.plan()
    living.write([2], "changed")
    number = shard_of(living, 2)
    before_the_shards_file(lambda: elsewhere(living))
    update = living.amend()
    assert update.amended == [number]
    assert [line.partition(" was committed")[0] for line in update.set_aside] == [f"shard {number}"]
    assert update.to_json()["set_aside"] == update.set_aside
    seen = living.status()
    assert (seen.shards_left, seen.exit_code()) == (1, 75)
    outcome = living.run()
    assert len(outcome.run.set_aside) == 1
    assert any("are kept under _skyhaul/set-aside" in message for message in outcome.messages)
    is_sound(living)
    record = f"{layout.commit_file(number)}.0"
    kept = aside(living)
    assert record in kept
    assert len(kept) == 2, "the record, and the file as it was"


def test_a_haul_that_finds_the_plan_amended_after_its_commit_takes_it_back(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    living.plan()
    number = shard_of(living, 2)
    write = committing.write_commit
    done: list[bool] = []

    def late(store: DatasetStore, record: CommitRecord) -> CommitRecord:
        if record.shard == number and not done:
            done.append(True)
            living.write([2], "changed")
            assert living.amend().amended == [number]
            living.write([2])
        return write(store, record)

    monkeypatch.setattr(committing, "write_commit", late)
    outcome = elsewhere(living)
    assert outcome.exit_code == 75, "the plan that counts is the one at the end"
    assert outcome.run.deferred_because == {"PlanAmended": 1}
    assert read_commit(living.store(), number) is None
    living.write([2], "changed")
    is_sound(living)


def test_a_haul_that_was_overtaken_by_the_next_one_leaves_that_ones_commit_alone(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    living.plan()
    number = shard_of(living, 2)
    publish = committing._publish
    done: list[bool] = []

    def late(store: DatasetStore, shard: int, finished: FinishedFile, guard: CommitGuard) -> None:
        if shard == number and not done:
            done.append(True)
            living.write([2], "changed")
            living.amend()
            assert living.run().exit_code == 0
        publish(store, shard, finished, guard)

    monkeypatch.setattr(committing, "_publish", late)
    outcome = elsewhere(living)
    assert outcome.exit_code == 0, "all of the plan is committed, if not by this haul"
    living.write([2], "changed")
    is_sound(living)
    assert aside(living) == set()


@pytest.fixture
def overtaken(living: Living) -> Living:
    """Amended, and with the commit of a haul that died before it could look again."""
    living.plan()
    other = living.copy("other")
    assert other.run().exit_code == 0
    number = shard_of(living, 2)
    living.write([2], "changed")
    assert living.amend().amended == [number]
    shutil.copytree(other.dataset / "data", living.dataset / "data")
    shutil.copytree(other.dataset / layout.COMMITS, living.dataset / layout.COMMITS)
    return living


def test_verify_tells_of_an_overtaken_commit_and_run_mends_it(overtaken: Living) -> None:
    assert overtaken.verify().exit_code() == 4
    is_sound(overtaken)


def test_amending_again_mends_an_overtaken_commit(overtaken: Living) -> None:
    update = overtaken.amend()
    assert (update.generation, len(update.set_aside)) == (None, 1)
    assert overtaken.status().shards_left == 1
    is_sound(overtaken)


def test_the_program_tells_what_it_sets_aside(overtaken: Living) -> None:
    done = overtaken.program("plan", "--amend")
    assert done.returncode == 0, done.stderr
    assert "was committed as it was before the plan was amended" in done.stdout
    assert "next: skyhaul run" in done.stdout
    ran = overtaken.program("run", "-q")
    assert ran.returncode == 0, ran.stderr
    assert "was left by an earlier haul and is not committed" in ran.stderr
    assert overtaken.program("verify", "-q").returncode == 0


def test_a_file_that_came_after_the_new_commit_is_told_by_verify_and_set_aside_by_run(living: Living) -> None:
    living.plan()
    living.write([2], "changed")
    number = shard_of(living, 2)
    living.amend()
    assert living.run().exit_code == 0
    paths = [layout.data_file(number, "train", 1), layout.rejects_file(number)]
    other = layout.data_file(number + 1, "train", 1)
    for path in (*paths, other):
        (living.dataset / path).parent.mkdir(parents=True, exist_ok=True)
        (living.dataset / path).write_bytes(b"late")
    found = living.verify().findings
    assert {finding.path for finding in found} == {*paths, other}
    assert all("`skyhaul run` sets aside" in str(finding) for finding in found)
    assert living.run().exit_code == 0
    assert {finding.path for finding in living.verify().findings} == {other}, "that shard was never amended"
    assert aside(living) == {f"{path}.0" for path in paths}


def test_files_of_an_overtaken_commit_go_where_the_shard_has_none_now(living: Living) -> None:
    living.plan()
    number = shard_of(living, 2)
    other = living.copy("other")
    other.run()
    with closing(Plan.open(living.store())) as plan:
        gone = [chunk.object.path for chunk in plan.shard(number).chunks]
    for path in gone:
        living.remove(int(path.split(".")[0]))
    assert living.amend().amended == [number]
    shutil.copytree(other.dataset / "data", living.dataset / "data")
    shutil.copytree(other.dataset / layout.COMMITS, living.dataset / layout.COMMITS)
    rejects = living.dataset / layout.rejects_file(number)
    rejects.parent.mkdir(parents=True)
    rejects.write_bytes(b"rejects as they were")
    assert living.run().exit_code == 0
    assert living.verify().findings == []
    assert len(aside(living)) == 3, "the record, the data and the rejects"
    assert not rejects.exists()


def test_a_stray_file_of_a_shard_that_is_not_committed_is_set_aside_and_does_not_stop_the_run(
    living: Living,
) -> None:
    living.plan()
    number = shard_of(living, 2)
    stray = layout.data_file(number, "train", 0)
    (living.dataset / stray).parent.mkdir(parents=True)
    (living.dataset / stray).write_bytes(b"as a disk gave it back")
    done = living.program("run", "--json", "-q")
    assert done.returncode == 0, done.stderr
    assert stray in done.stderr
    assert (living.dataset / layout.SET_ASIDE / f"{stray}.0").read_bytes() == b"as a disk gave it back"
    [run] = (living.dataset / layout.RUNS).iterdir()
    assert f"{layout.SET_ASIDE}/{stray}.0" in run.read_text()
    assert living.verify().findings == []


def test_the_spool_is_held_while_the_plan_is_amended_and_no_longer(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyhaul_connectors.transfer.spool.lock import SpoolLock

    header = living.plan()
    living.write([2], "changed")
    root = Path(living.loaded().job.spool)
    folders = [root / folder_name(header.digest), root / "worker-3" / folder_name(header.digest)]
    folders[1].mkdir(parents=True)
    seen: list[str] = []

    def at(name: str, module: Any) -> None:
        real = getattr(module, name)

        def watched(*arguments: Any, **more: Any) -> Any:
            for folder in folders:
                with pytest.raises(SpoolInUse, match="hauls or amends the same plan"):
                    SpoolLock(folder)
            seen.append(name)
            return real(*arguments, **more)

        monkeypatch.setattr(module, name, watched)

    at("committed_shards", amending)
    at("publish_generation", amending)
    at("clear_outdated", amending)
    living.amend()
    assert seen == ["committed_shards", "publish_generation", "clear_outdated"]
    assert not folders[0].exists(), "it was made for the lock alone"
    for folder in folders:
        SpoolLock(folder).release()


def test_a_plan_that_is_extended_while_a_haul_runs_is_not_all_committed(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    living.plan()
    write = committing.write_commit
    done: list[bool] = []

    def late(store: DatasetStore, record: CommitRecord) -> CommitRecord:
        if not done:
            done.append(True)
            living.write([6, 7])
            assert living.extend().counts == {"new planned": 2}
        return write(store, record)

    monkeypatch.setattr(committing, "write_commit", late)
    outcome = elsewhere(living)
    assert (outcome.exit_code, outcome.run.outcome) == (75, "incomplete")
    monkeypatch.undo()
    assert living.run().exit_code == 0
    assert living.verify().findings == []
    assert living.texts() == {f"{n}.txt" for n in range(8)}


def test_two_amendments_and_an_extension_at_once_leave_one_whole_generation(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    living.plan()
    living.write([2], "changed")
    living.write([6])
    publish = amending.publish_generation

    def slow(*arguments: Any, **more: Any) -> None:
        monkeypatch.setattr(amending, "publish_generation", publish)
        living.extend()
        publish(*arguments, **more)

    monkeypatch.setattr(amending, "publish_generation", slow)
    with pytest.raises(PlanMismatch, match="extended or amended by another process"):
        living.amend()
    with closing(Plan.open(living.store())) as plan:
        assert [generation.header.kind for generation in plan.generations] == ["plan", "extend"]
        assert {obj.path for obj in plan.objects()} == {f"{n}.txt" for n in range(7)}
    assert living.amend().counts == {"changed pinned-anew": 1}
    assert living.run().exit_code == 0
    assert living.verify().findings == []
    assert list((living.dataset / layout.PLAN).glob("draft-*")) == []
