"""Each name, and each removal, is on the disk before anything rests on it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.hauled import Hauled, plan_small
from skyhaul.certify.certificate import Certificate
from skyhaul.certify.certificate_file import keep_certificate
from skyhaul.dataset.commits.sealed import SealedGroup
from skyhaul.dataset.commits.sealing import seal_full_groups
from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.storage.files import LocalFiles, Step
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.errors import StorageError


class Recording(LocalFiles):
    """Notes the steps that went well, with paths relative to `root`; its parent is `..`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.steps: list[tuple[Step, str]] = []

    def after(self, step: Step, path: Path) -> None:
        inside = path == self._root or self._root in path.parents
        self.steps.append((step, str(path.relative_to(self._root)) if inside else ".."))

    def folders(self, since: int = 0) -> list[str]:
        """The folders that were synced."""
        return [path for step, path in self.steps[since:] if step == "fsync-folder"]


@pytest.fixture
def files(tmp_path: Path) -> Recording:
    return Recording(tmp_path / "set")


@pytest.fixture
def store(tmp_path: Path, files: Recording) -> DatasetStore:
    return open_store(str(tmp_path / "set"), writable=True, files=files)


def test_the_probe_makes_folders_that_last(store: DatasetStore, files: Recording) -> None:
    store.probe()
    assert files.folders() == ["..", "."], "the dataset's name, and _skyhaul in it"


def test_the_names_of_new_folders_are_synced_from_the_root_on(store: DatasetStore, files: Recording) -> None:
    assert store.create_bytes("data/0000/x", b"1")
    assert files.folders() == ["..", ".", ".", "data", "data/0000"]


def test_folders_that_a_killed_process_made_are_synced_before_anything_is_put_there(
    tmp_path: Path, store: DatasetStore, files: Recording
) -> None:
    (tmp_path / "set" / "data" / "0000").mkdir(parents=True)
    assert store.create_bytes("data/0000/x", b"1")
    link = files.steps.index(("link", "data/0000/x"))
    before = {path for step, path in files.steps[:link] if step == "fsync-folder"}
    assert before >= {"..", ".", "data"}
    synced = len(files.steps)
    assert store.create_bytes("data/0000/y", b"1")
    assert files.folders(synced) == ["data/0000"], "once a process"


def test_a_folder_that_was_taken_away_is_made_again(tmp_path: Path, store: DatasetStore) -> None:
    assert store.create_bytes("data/x", b"1")
    (tmp_path / "set" / "data" / "x").unlink()
    (tmp_path / "set" / "data").rmdir()
    assert store.create_bytes("data/x", b"1")


def test_syncing_a_folder_that_is_not_there_is_nothing(store: DatasetStore, files: Recording) -> None:
    store.sync_folder("nowhere")
    assert files.folders() == []


def test_what_dead_processes_left_is_made_to_last(store: DatasetStore, files: Recording) -> None:
    paths = (
        layout.JOB,
        layout.SHARDS,
        layout.sealed_file(0),
        layout.commit_file(1_500),
        layout.failure_file(7),
    )
    for path in paths:
        store.create_bytes(path, b"1")
    since = len(files.steps)
    sync_inherited(store)
    synced = set(files.folders(since))
    assert synced >= {str(Path(path).parent) for path in paths} | {".", layout.COMMITS, layout.FAILURES}


def test_files_that_were_replaced_are_made_to_last_too(store: DatasetStore, files: Recording) -> None:
    store.create_bytes(layout.data_file(3, "train", 0), b"1")
    since = len(files.steps)
    sync_inherited(store)
    assert "data/0000" not in files.folders(since)
    sync_inherited(store, files=True)
    assert "data/0000" in files.folders(since)


def test_a_dataset_that_is_read_only_may_still_be_looked_at(
    tmp_path: Path, store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_bytes(layout.JOB, b"1")

    def failing(number: int) -> Callable[[int], None]:
        def sync(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        return sync

    monkeypatch.setattr(os, "fsync", failing(errno.EROFS))
    sync_inherited(store)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(StorageError):
        sync_inherited(store)


def test_a_certificate_that_is_taken_away_stays_away(store: DatasetStore, files: Recording) -> None:
    store.create_bytes(layout.CERTIFICATE, b"{}")
    since = len(files.steps)
    keep_certificate(store, Certificate(shards_left=1))
    assert files.steps[since:] == [("unlink", layout.CERTIFICATE), ("fsync-folder", layout.CONTROL)]


def test_a_sealed_groups_name_lasts_before_its_records_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another process, killed since, has put it there."""
    monkeypatch.setattr(layout, "GROUP_SIZE", 2)
    hauled = plan_small(tmp_path)
    hauled.haul()
    assert seal_full_groups(hauled.plan, hauled.store) > 0
    _bring_back(hauled, 0)
    files = Recording(hauled.root)
    seal_full_groups(hauled.plan, hauled.reopened(files))
    order = [path for step, path in files.steps if step in ("fsync-folder", "unlink")]
    assert order.index(layout.SEALED) < order.index(layout.commit_file(0))
    assert not hauled.store.exists(layout.commit_file(0))


def _bring_back(hauled: Hauled, shard: int) -> None:
    """The shard's record, as a power cut may leave it: its removal was not synced."""
    with SealedGroup(hauled.store, layout.group_of(shard)) as sealed:
        hauled.store.create_bytes(layout.commit_file(shard), sealed.record(shard))
