"""A digest in a record is of the bytes as they were produced, and what is published is known to have them."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from skyhaul.dataset.storage import upload
from skyhaul.dataset.storage.files import LocalFiles, Step
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.storage.upload import Upload
from skyhaul_schemas.errors import DiskFull, StorageError

DATA = bytes(range(1, 251)) * 40


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatasetStore]:
    url = str(tmp_path / "set") if request.param == "local" else "memory://produced/set"
    opened = open_store(url, writable=True)
    yield opened
    opened.close()
    memory = fsspec.filesystem("memory")
    if memory.exists("/produced"):
        memory.rm("/produced", recursive=True)


def finished(store: DatasetStore) -> Path:
    file = store.files.create(store.temp_path(".parquet"))
    file.write(DATA)
    file.finish(sync=False)
    assert file.sha256 == sha256(DATA)
    return file.path


def rot(path: Path) -> None:
    """As a page that was never written: zeros where there was something."""
    data = bytearray(path.read_bytes())
    data[4096:8192] = bytes(4096)
    path.write_bytes(data)


def test_a_temporary_file_that_lost_bytes_is_not_sent_to_a_store() -> None:
    store = open_store("memory://produced/rotten", writable=True)
    try:
        path = finished(store)
        rot(path)
        with pytest.raises(StorageError, match="no longer has the bytes that were written") as told:
            store.publish(path, "data/a.parquet", sha256(DATA))
        assert len(str(told.value).splitlines()) == 1
        assert not store.exists("data/a.parquet")
        assert store.publish(finished(store), "data/a.parquet", sha256(DATA))
        assert store.read_bytes("data/a.parquet") == DATA
    finally:
        store.close()
        fsspec.filesystem("memory").rm("/produced", recursive=True)


def test_a_file_that_lost_bytes_replaces_nothing(store: DatasetStore) -> None:
    store.publish(finished(store), "data/a.parquet", sha256(DATA))
    path = finished(store)
    rot(path)
    with pytest.raises(StorageError, match="no longer has the bytes"):
        store.replace_file(path, "data/a.parquet", sha256(DATA), "aside/a")
    assert store.read_bytes("data/a.parquet") == DATA
    assert not store.exists("aside/a")
    store.replace_file(finished(store), "data/a.parquet", sha256(DATA), "aside/a")
    assert store.read_bytes("data/a.parquet") == store.read_bytes("aside/a") == DATA


class PutsFiles:
    """As much of an object store's filesystem as a large upload asks for."""

    async_impl = True

    def __init__(self) -> None:
        self.sent: dict[str, bytes] = {}

    async def _put_file(self, source: str, target: str, mode: str = "overwrite") -> None:
        raise AssertionError("called through put_file")

    def put_file(self, source: str, target: str, mode: str = "overwrite") -> None:
        self.sent[target] = Path(source).read_bytes()


def test_a_large_file_is_synced_and_held_before_the_filesystem_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "PUT_AT_ONCE", 100)
    steps: list[str] = []

    class Watched(LocalFiles):
        def before(self, step: Step, path: Path) -> None:
            steps.append(step)

    path = tmp_path / "large"
    path.write_bytes(DATA)
    fs = PutsFiles()
    Upload(fs, Watched(), path, sha256(DATA)).send("there", mode="create")
    assert (fs.sent, steps) == ({"there": DATA}, ["fsync"])
    rot(path)
    with pytest.raises(StorageError, match="no longer has the bytes"):
        Upload(fs, Watched(), path, sha256(DATA))


class WriteFails(LocalFiles):
    """The n-th write fails; others go well."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def before(self, step: Step, path: Path) -> None:
        if step == "write":
            self.left -= 1
            if self.left == 0:
                raise DiskFull("no space left for a moment")


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_write_that_failed_and_was_caught_on_the_way_is_told_at_the_end(tmp_path: Path, nth: int) -> None:
    """As by a library that retries, or forgets: the digest is of bytes that the file may not have."""
    file = WriteFails(nth).create(tmp_path / "x")
    failures = 0
    for _ in range(5):
        try:
            file.write(bytes(1 << 20))
        except DiskFull:
            failures += 1
    with pytest.raises(DiskFull, match="for a moment"):
        file.finish(sync=True)
    assert failures == 1
    file.discard()
    assert not (tmp_path / "x").exists()


def test_a_file_that_is_shorter_than_what_was_written_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(descriptor: int, data: Any) -> int:
        os.pwrite(descriptor, memoryview(data)[:-1], 0)
        return len(memoryview(data))

    file = LocalFiles().create(tmp_path / "x")
    file.write(DATA)
    monkeypatch.setattr(os, "write", lying)
    with pytest.raises(StorageError, match=f"has {len(DATA) - 1} bytes after {len(DATA)} were written"):
        file.finish(sync=True)
    file.discard()


def test_a_finished_file_that_cannot_be_read_back_is_an_error_of_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object, **more: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "x").write_bytes(DATA)
    monkeypatch.setattr(hashlib, "file_digest", failing)
    with pytest.raises(StorageError, match="Input/output error"):
        LocalFiles().hold(tmp_path / "x", sha256(DATA))
