"""What is no file in the place of a dataset's file: it stands for nothing, hinders no reader, and is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.many_commits import plan_of_shards, put_records, record_of
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import survey
from skyhaul.shards.repair import keep_aside
from skyhaul.verification import verify_dataset
from skyhaul.verification.damage import broken_files, clear_misplaced
from skyhaul_schemas import layout
from skyhaul_schemas.errors import CommitConflict, RecordDamaged, StorageRefused


def folder_with_files(path: Path) -> None:
    path.mkdir()
    (path / "within").write_bytes(b"1")


MADE: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "a folder, and": folder_with_files,
    "a FIFO": lambda path: os.mkfifo(path),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link that leads in a circle": lambda path: path.symlink_to(path.name),
}


@pytest.fixture(params=MADE)
def odd(request: pytest.FixtureRequest) -> tuple[str, Callable[[Path], None]]:
    return request.param.removesuffix(", and"), MADE[request.param]


def test_it_stands_for_no_shard_and_a_commit_takes_its_place(
    odd: tuple[str, Callable[[Path], None]], tmp_path: Path
) -> None:
    said, make = odd
    plan, store = plan_of_shards(tmp_path, 4)
    put_records(store, plan.shards())
    assert store.local_root is not None
    path = layout.commit_file(2)
    store.remove(path)
    make(store.local_root / path)
    seen = survey(plan, store)
    assert (seen.shards_committed, seen.shards_blocked, seen.exit_code()) == (3, 1, 4)
    (unfit,) = seen.unfit
    assert (unfit.code, unfit.path, unfit.planned) == ("commit-unreadable", path, True)
    assert said in unfit.why
    (found,) = (finding for finding in verify_dataset(store, deep=False).findings if finding.path == path)
    assert found.code == "commit-unreadable"
    assert said in found.message
    assert clear_misplaced(plan, store) == [], "its shard has to be hauled again first"
    assert [file.path for file in broken_files(plan, store, lambda count: None) if file.shard == 2] == [path]
    ours = record_of(plan.shard(2)).to_line()
    with pytest.raises(CommitConflict):
        store.create_bytes(path, ours)
    keep_aside(store, path)
    assert os.path.lexists(store.local_root / layout.SET_ASIDE / f"{path}.0")
    assert store.create_bytes(path, ours)
    seen = survey(plan, store)
    assert (seen.shards_committed, seen.unfit_total) == (4, 0)


def test_beyond_the_plan_and_in_a_sealed_files_place_it_is_set_aside(
    odd: tuple[str, Callable[[Path], None]], tmp_path: Path
) -> None:
    _, make = odd
    plan, store = plan_of_shards(tmp_path, 4)
    put_records(store, plan.shards())
    assert store.local_root is not None
    places = [layout.commit_file(99), layout.sealed_file(0), layout.failure_file(1), f"{layout.RUNS}/1.json"]
    for path in places:
        (store.local_root / path).parent.mkdir(parents=True, exist_ok=True)
        make(store.local_root / path)
    assert survey(plan, store).exit_code() == 4
    assert {gone.path for gone in clear_misplaced(plan, store)} == {*places}
    seen = survey(plan, store)
    assert (seen.shards_committed, seen.unfit_total) == (4, 0)
    assert not {finding.path for finding in verify_dataset(store, deep=False).findings} & {*places}


def test_a_data_file_takes_its_place_and_it_is_kept(
    odd: tuple[str, Callable[[Path], None]], tmp_path: Path
) -> None:
    said, make = odd
    store = open_store(str(tmp_path / "set"), writable=True)
    assert store.local_root is not None
    path, aside = layout.data_file(0, "train", 0), f"{layout.SET_ASIDE}/kept"
    (store.local_root / path).parent.mkdir(parents=True)
    make(store.local_root / path)
    for reading in (store.size, store.read_bytes, store.open_input, store.digest):
        with pytest.raises(RecordDamaged, match=said):
            reading(path)
    file = store.files.create(store.temp_path())
    file.write(b"rows")
    file.finish(sync=False)
    with pytest.raises(CommitConflict):
        store.publish(file.path, path, file.sha256)
    store.replace_file(file.path, path, file.sha256, aside)
    assert store.read_bytes(path) == b"rows"
    assert os.path.lexists(store.local_root / aside)
    store.close()


def test_a_file_in_a_folders_place_is_told(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), writable=True)
    store.create_bytes(layout.COMMITS, b"")
    with pytest.raises(StorageRefused, match=f"{layout.COMMITS}: Not a directory"):
        store.create_bytes(layout.commit_file(0), b"{}")
    store.close()
