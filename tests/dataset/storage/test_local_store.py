"""A dataset in a folder: created once, never replaced, never half-way."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
from pathlib import Path

import pytest

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas.errors import CommitConflict, DiskFull, StorageError, UsageError


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return open_store(str(tmp_path / "set"), writable=True)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def finished(store: DatasetStore, data: bytes) -> Path:
    path = store.temp_path(".parquet")
    path.write_bytes(data)
    return path


def test_opening_creates_nothing(tmp_path: Path) -> None:
    open_store(str(tmp_path / "set"), writable=True)
    assert not (tmp_path / "set").exists()


def test_a_file_is_created_once(store: DatasetStore) -> None:
    assert store.create_bytes("a/b/c.json", b"one")
    assert not store.create_bytes("a/b/c.json", b"one")
    with pytest.raises(CommitConflict, match=r"a/b/c\.json .* other bytes"):
        store.create_bytes("a/b/c.json", b"two")
    assert store.read_bytes("a/b/c.json") == b"one"


def test_what_counts_as_the_same_is_the_callers_to_say(store: DatasetStore) -> None:
    store.create_bytes("a", b"one")
    assert not store.create_bytes("a", b"ONE", same=lambda old, new: old == new.lower())
    assert store.read_bytes("a") == b"one"


def test_a_finished_file_is_moved_into_place_once(store: DatasetStore) -> None:
    first = finished(store, b"rows")
    inode = first.stat().st_ino
    assert store.publish(first, "data/0000/x.parquet", sha256(b"rows"))
    assert store.local_root is not None
    assert (store.local_root / "data/0000/x.parquet").stat().st_ino == inode
    assert not first.exists()
    second = finished(store, b"rows")
    assert not store.publish(second, "data/0000/x.parquet", sha256(b"rows"))
    with pytest.raises(CommitConflict):
        store.publish(finished(store, b"other"), "data/0000/x.parquet", sha256(b"other"))
    assert store.read_bytes("data/0000/x.parquet") == b"rows"


def test_replaced_files_are_whole_and_removed_ones_gone(store: DatasetStore) -> None:
    store.replace_bytes("README.md", b"one")
    store.replace_bytes("README.md", b"two")
    assert store.read_bytes("README.md") == b"two"
    store.remove("README.md")
    store.remove("README.md")
    assert not store.exists("README.md")
    with pytest.raises(FileNotFoundError):
        store.read_bytes("README.md")


def test_listings_are_sorted_by_path_and_leave_temporary_folders_out(store: DatasetStore) -> None:
    paths = ["_skyhaul/a.json", "data/0000/b", "data/0000/a", "data/0000-x/a", "data/0001/a", "data.txt"]
    for path in paths:
        store.create_bytes(path, b"")
    assert store.temp_dir().is_dir()
    assert list(store.list("")) == sorted(paths)
    assert list(store.list("data")) == [p for p in sorted(paths) if p.startswith("data/")]
    assert list(store.list("nowhere")) == []
    assert store.folders("data") == ("0000", "0000-x", "0001")
    assert store.folders("nowhere") == ()


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/with%20space", writable=True)
    store.create_bytes("a", b"1")
    assert (tmp_path / "with space" / "a").read_bytes() == b"1"


def test_a_store_opens_the_same_place_in_another_process(store: DatasetStore) -> None:
    store.create_bytes("a", b"1")
    copy = pickle.loads(pickle.dumps(store))
    assert copy.read_bytes("a") == b"1"
    assert copy.temp_dir() != store.temp_dir()
    copy.close()


def test_a_store_opened_to_read_writes_nothing(store: DatasetStore) -> None:
    store.create_bytes("a", b"1")
    reader = open_store(store.url, writable=False)
    assert reader.read_bytes("a") == b"1"
    with pytest.raises(StorageError, match="opened for reading"):
        reader.create_bytes("b", b"1")


def test_the_probe_leaves_nothing_and_accepts_a_folder(store: DatasetStore) -> None:
    store.probe()
    assert list(store.list("")) == []


def test_a_dataset_that_is_a_file_is_a_matter_of_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in ("file", "file/below"):
        with pytest.raises(UsageError, match="not a folder"):
            open_store(str(tmp_path / path), writable=True).probe()


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.ENOSPC, DiskFull, "no space left; make room"),
        (errno.EDQUOT, DiskFull, "disk quota"),
        (errno.EIO, StorageError, "Input/output error"),
        (errno.EROFS, StorageError, "Read-only"),
        (errno.EMFILE, StorageError, "ulimit -n"),
    ],
)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "link"])
def test_errors_of_the_system_are_typed_and_the_target_untouched(
    tmp_path: Path, call: str, number: int, error: type[StorageError], words: str
) -> None:
    store = open_store(str(tmp_path), writable=True)
    store.replace_bytes("a", b"old")

    def failing(*arguments: object, **more: object) -> int:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(error, match=words) as raised:
            store.create_bytes("b", b"new")
    assert len(str(raised.value).splitlines()) == 1
    assert store.read_bytes("a") == b"old"
    assert not store.exists("b")


def test_a_file_whose_sync_failed_is_written_again_and_never_synced_again(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), writable=True)
    synced: list[str] = []
    sync = os.fsync

    def once_broken(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        assert name not in synced[:1]
        synced.append(name)
        if len(synced) == 1:
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        store.temp_dir()
        patch.setattr(os, "fsync", once_broken)
        with pytest.raises(StorageError):
            store.create_bytes("a", b"1")
        assert list(store.temp_dir().glob("0*")) == []
        assert store.create_bytes("a", b"1")
