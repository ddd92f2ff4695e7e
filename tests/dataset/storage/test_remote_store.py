"""What a remote dataset promises whatever the store; real S3 servers are in tests/stores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.remote import RemoteStore
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas.errors import CommitConflict, StorageError, UsageError


@pytest.fixture
def store() -> Iterator[DatasetStore]:
    opened = open_store("memory://remote/set", writable=True)
    yield opened
    opened.close()
    if fsspec.filesystem("memory").exists("/remote"):
        fsspec.filesystem("memory").rm("/remote", recursive=True)


def test_a_key_is_created_once(store: DatasetStore) -> None:
    store.probe()
    assert store.create_bytes("a/b", b"one")
    assert not store.create_bytes("a/b", b"one")
    with pytest.raises(CommitConflict):
        store.create_bytes("a/b", b"two")
    assert store.read_bytes("a/b") == b"one"
    assert list(store.list("")) == ["a/b"]
    assert store.folders("") == ("a",)
    store.replace_bytes("a/b", b"two")
    assert store.size("a/b") == 3
    with store.open_input("a/b") as file:
        file.seek(1)
        assert file.read() == b"wo"
    store.remove("a/b")
    store.remove("a/b")
    assert not store.exists("a/b")


def finished(store: DatasetStore, data: bytes) -> Path:
    path = store.temp_path(".parquet")
    path.write_bytes(data)
    return path


def test_an_answer_that_is_lost_is_read_back(store: DatasetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put = MemoryFileSystem.pipe_file
    lost = []

    def losing(
        self: MemoryFileSystem, path: str, value: bytes, mode: str = "overwrite", **more: object
    ) -> None:
        put(self, path, value, mode=mode, **more)
        if not lost:
            lost.append(path)
            raise TimeoutError("no answer")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", losing)
    assert store.create_bytes("a", b"one")
    lost.clear()
    data = b"rows"
    assert store.publish(finished(store, data), "b", hashlib.sha256(data).hexdigest())
    assert (store.read_bytes("a"), store.read_bytes("b")) == (b"one", data)


def test_a_put_that_did_not_happen_is_tried_again_and_at_last_an_error_of_one_line(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = MemoryFileSystem.pipe_file
    failures = [2]

    def failing(
        self: MemoryFileSystem, path: str, value: bytes, mode: str = "overwrite", **more: object
    ) -> None:
        if failures[0]:
            failures[0] -= 1
            raise OSError("reset\nby peer")
        put(self, path, value, mode=mode, **more)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", failing)
    assert store.create_bytes("a", b"one")
    failures[0] = 1000
    with pytest.raises(
        StorageError, match=r"cannot create b in dataset memory://remote/set: reset"
    ) as raised:
        store.create_bytes("b", b"one")
    assert len(str(raised.value).splitlines()) == 1
    failures[0] = 0
    assert not store.exists("b")


def test_a_store_that_cannot_say_whether_a_key_is_there_is_not_taken_for_a_no(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(self: MemoryFileSystem, path: str, **more: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(MemoryFileSystem, "info", unknown)
    with pytest.raises(StorageError, match="cannot look for a"):
        store.exists("a")


def test_a_store_that_lets_a_second_create_through_is_refused(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = MemoryFileSystem.pipe_file
    monkeypatch.setattr(
        MemoryFileSystem, "pipe_file", lambda self, path, value, mode="overwrite": put(self, path, value)
    )
    with pytest.raises(UsageError, match="replaces a key that it was asked to create"):
        store.probe()
    monkeypatch.undo()
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("simplecache::memory://x", "chained URLs"),
        ("nosuch://x", "cannot be opened"),
        ("ftp://127.0.0.1/x", "cannot"),
    ],
)
def test_urls_that_hold_no_dataset_are_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_store(url, writable=True)


def test_a_filesystem_that_looks_first_and_then_writes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """fsspec's own `mode="create"` asks whether the key is there: two workers can both be told no."""
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", fsspec.AbstractFileSystem.pipe_file)
    with pytest.raises(UsageError, match="cannot create a file without replacing one"):
        open_store("memory://x", writable=True)
    assert isinstance(open_store("memory://x", writable=False), RemoteStore)


def test_messages_show_no_user_and_no_query() -> None:
    store = open_store("memory://user:secret@host/set?token=secret", writable=False)
    assert store.place == "memory://host/set"
