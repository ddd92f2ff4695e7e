"""Committing a shard over what was left of it as it was before, killed at every step, and beside others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import pytest

from dataset.crashing import KILLED, Crashing, forked
from skyhaul.dataset.commits.record_files import read_commit
from skyhaul.dataset.storage.files import LocalFiles
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.shards import commit_shard as committing
from skyhaul.shards.commit_shard import CommitGuard, commit_shard
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, CommittedFile, RecordCounts
from skyhaul_schemas.errors import CommitConflict, PlanAmended

DATA = layout.data_file(0, "train", 0)
MORE = layout.data_file(0, "train", 1)


class Finished:
    """A finished file of some bytes, as an encoder leaves it."""

    def __init__(self, store: DatasetStore, path: str, data: bytes) -> None:
        self.file = store.files.create(store.temp_path())
        self.file.write(data)
        self.file.finish(sync=False)
        self.entry = CommittedFile(path=path, bytes=len(data), sha256=self.file.sha256, rows=1, raw_bytes=1)


def record_of(plan: str, *files: Finished) -> CommitRecord:
    rows = len(files)
    return CommitRecord(
        shard=0, plan=plan, source="s", files=[f.entry for f in files], sources=[],
        records=RecordCounts(read=rows, written=rows, filtered=0, rejected=0),
        transfer={}, started="", finished="", versions={},
    )  # fmt: skip


def commit(
    store: DatasetStore, plan: str, data: bytes, guard: CommitGuard | None = None, **others: bytes
) -> CommitRecord:
    files = [Finished(store, path, d) for path, d in ((DATA, data), *((p, d) for p, d in others.items()))]
    held: Sequence[Any] = files
    return commit_shard(store, record_of(plan, *files), held, guard)


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatasetStore]:
    remote = request.param == "remote"
    url = "memory://aside/set" if remote else str(tmp_path / "set")
    with closing(open_store(url, writable=True)) as opened:
        yield opened
    if remote and fsspec.filesystem("memory").exists("/aside"):
        fsspec.filesystem("memory").rm("/aside", recursive=True)


def amended() -> CommitGuard:
    return CommitGuard(outdated=lambda record: record.plan == "old", amended=True)


def kept(store: DatasetStore) -> list[bytes]:
    return sorted(store.read_bytes(path) for path in store.list(layout.SET_ASIDE))


def test_a_committed_shards_file_is_never_set_aside(store: DatasetStore) -> None:
    commit(store, "plan", b"ours")
    with pytest.raises(CommitConflict, match="other bytes"):
        commit(store, "plan", b"theirs")
    assert store.read_bytes(DATA) == b"ours"
    assert kept(store) == []


def test_equal_files_of_two_workers_stay(store: DatasetStore) -> None:
    first = commit(store, "plan", b"ours")
    guard = CommitGuard()
    assert commit(store, "plan", b"ours", guard) == first
    assert guard.moved == {}


def test_what_was_there_before_makes_room_and_is_kept(store: DatasetStore) -> None:
    commit(store, "old", b"as it was", **{MORE: b"and more"})
    store.create_bytes(layout.rejects_file(0), b"rejects")
    guard = amended()
    record = commit(store, "new", b"as it is", guard)
    assert read_commit(store, 0) == record
    assert store.read_bytes(DATA) == b"as it is"
    assert not store.exists(MORE)
    assert not store.exists(layout.rejects_file(0))
    assert set(guard.moved) == {DATA, MORE, layout.rejects_file(0), layout.commit_file(0)}
    assert {b"as it was", b"and more", b"rejects"} < set(kept(store))


def test_a_worker_that_set_anothers_file_aside_puts_it_back_where_that_one_commits(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Finished(store, DATA, b"theirs")
    store.publish(theirs.file.path, DATA, theirs.entry.sha256)
    write = committing.write_commit

    def late(opened: DatasetStore, record: CommitRecord) -> CommitRecord:
        write(opened, record_of("plan", theirs))
        return write(opened, record)

    monkeypatch.setattr(committing, "write_commit", late)
    with pytest.raises(CommitConflict):
        commit(store, "plan", b"ours")
    assert store.read_bytes(DATA) == b"theirs"


def overtaken_at(look: int) -> CommitGuard:
    """The plan is amended before the look of this number."""
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks > look:
            raise PlanAmended("it was amended")

    return CommitGuard(check)


@pytest.mark.parametrize("look", [0, 1])
def test_a_commit_does_not_stand_once_the_plan_is_another_one(store: DatasetStore, look: int) -> None:
    with pytest.raises(PlanAmended):
        commit(store, "old", b"ours", overtaken_at(look))
    assert read_commit(store, 0) is None
    assert len(kept(store)) == look, "a record that was there already is kept"
    commit(store, "new", b"as it is", amended())
    assert store.read_bytes(DATA) == b"as it is"


def test_who_was_overtaken_takes_its_files_out_of_the_way_of_a_commit_that_stands(
    store: DatasetStore,
) -> None:
    commit(store, "new", b"as it is", amended())
    late = Finished(store, MORE, b"late")
    held: Sequence[Any] = [late]
    with pytest.raises(PlanAmended):
        commit_shard(store, record_of("old", late), held, overtaken_at(0))
    assert not store.exists(MORE)
    assert kept(store) == [b"late"]
    assert store.read_bytes(DATA) == b"as it is"
    assert read_commit(store, 0) is not None


def test_files_are_set_aside_one_after_the_other_and_only_as_they_were_seen(store: DatasetStore) -> None:
    for number, data in enumerate((b"one", b"two")):
        store.create_bytes("x", data)
        assert store.set_aside("x", store.digest("x")) == f"{layout.SET_ASIDE}/x.{number}"
        assert not store.exists("x")
    assert kept(store) == [b"one", b"two"]
    store.create_bytes("x", b"three")
    assert store.set_aside("x", "0" * 64) is None
    assert store.read_bytes("x") == b"three"
    assert store.set_aside("gone", "0" * 64) is None


def test_a_copy_is_whole_and_replaces(store: DatasetStore) -> None:
    store.create_bytes("x", b"one")
    for _ in range(2):
        store.copy("x", "y")
        assert (store.read_bytes("x"), store.read_bytes("y")) == (b"one", b"one")
    store.remove("x")
    assert store.read_bytes("y") == b"one"
    with pytest.raises(FileNotFoundError):
        store.copy("x", "y")


class Between(LocalFiles):
    """Somebody puts another file there after the last look at the one that is to be moved."""

    def replace(self, source: Path, target: Path) -> None:
        if layout.SET_ASIDE in str(target):
            source.unlink()
            source.write_bytes(b"new")
        super().replace(source, target)


def test_what_came_between_the_look_and_the_move_is_put_back(tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "set"), writable=True, files=Between())) as store:
        store.create_bytes("x", b"old")
        assert store.set_aside("x", store.digest("x")) is None
        assert store.read_bytes("x") == b"new"
        assert kept(store) == []


def test_a_commit_killed_at_any_step_is_made_whole_by_the_next(tmp_path: Path) -> None:
    def prepared(name: str, files: Callable[[], LocalFiles]) -> tuple[str, Callable[[], object]]:
        url = str(tmp_path / name)
        with closing(open_store(url, writable=True)) as store:
            commit(store, "old", b"as it was", **{MORE: b"and more"})

        def again() -> None:
            with closing(open_store(url, writable=True, files=files())) as store:
                commit(store, "new", b"as it is", amended())

        return url, again

    at = 0
    while True:
        url, again = prepared(f"at-{at}", lambda at=at: Crashing(at))  # type: ignore[misc]  # its own default
        ended = forked(again)()
        with closing(open_store(url, writable=True)) as store:
            record = commit(store, "new", b"as it is", amended())
            assert read_commit(store, 0) == record
            assert store.read_bytes(DATA) == b"as it is"
            assert not store.exists(MORE)
            assert {b"as it was", b"and more"} < set(kept(store))
        if ended != KILLED:
            assert ended == 0
            break
        at += 2
    assert at > 60, "the steps of setting aside were not reached"
