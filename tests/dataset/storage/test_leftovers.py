"""Temporary folders go with their process, and a dead one's with the next to come."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from dataset.crashing import KILLED, forked
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.temporary import TemporaryFolder, clear_leftovers


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "_skyhaul").glob("tmp-*"))


def test_a_killed_process_leaves_a_folder_and_the_next_writer_clears_it(tmp_path: Path) -> None:
    def work() -> None:
        store = open_store(str(tmp_path), writable=True)
        (store.temp_dir() / "half.parquet").write_bytes(b"half")
        (store.temp_dir() / "below").mkdir()
        (store.temp_dir() / "below" / "more").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    assert forked(work)() == KILLED
    assert len(folders(tmp_path)) == 1
    open_store(str(tmp_path), writable=False)
    assert len(folders(tmp_path)) == 1
    open_store(str(tmp_path), writable=True)
    assert folders(tmp_path) == []


def test_what_a_killed_process_left_of_a_remote_dataset_is_cleared_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def work() -> None:
        store = open_store("memory://set", writable=True)
        (store.temp_dir() / "half.parquet").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    assert forked(work)() == KILLED
    assert list(tmp_path.rglob("half.parquet"))
    store = open_store("memory://set", writable=True)
    assert not list(tmp_path.rglob("half.parquet"))
    assert store.temp_dir().is_dir()
    store.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_living_process_keeps_its_folder(tmp_path: Path) -> None:
    told, tell = os.pipe()
    wait, go = os.pipe()

    def work() -> None:
        store = open_store(str(tmp_path), writable=True)
        path = store.temp_dir() / "half.parquet"
        path.write_bytes(b"half")
        os.write(tell, b".")
        os.read(wait, 1)
        assert path.read_bytes() == b"half"
        store.close()

    child = forked(work)
    os.read(told, 1)
    open_store(str(tmp_path), writable=True)
    mine = open_store(str(tmp_path), writable=True)
    assert mine.temp_dir().name in folders(tmp_path)
    assert len(folders(tmp_path)) == 2
    os.write(go, b".")
    assert child() == 0
    mine.close()
    assert folders(tmp_path) == []
    for descriptor in (told, tell, wait, go):
        os.close(descriptor)


def test_a_fork_has_a_folder_of_its_own_and_leaves_its_parents(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), writable=True)
    parents = store.temp_dir()

    def work() -> None:
        assert store.temp_dir() != parents
        store.close()

    assert forked(work)() == 0
    assert parents.is_dir()
    assert folders(tmp_path) == [parents.name]
    store.close()


def test_a_folder_without_its_lock_is_a_leftover_only_while_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "tmp-a").mkdir()
    (tmp_path / "tmp-b").mkdir()
    (tmp_path / "tmp-b" / "file").write_bytes(b"")
    (tmp_path / "other").mkdir()
    assert clear_leftovers(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "tmp-b"]


def test_a_cleaner_that_is_faster_than_the_owner_makes_it_begin_again(tmp_path: Path) -> None:
    """Between the making of the folder and its lock, a cleaner may take it for a leftover."""
    made = os.mkdir
    times = []

    def made_and_cleared(path, *rest, **more):  # type: ignore[no-untyped-def]  # as os.mkdir
        made(path, *rest, **more)
        times.append(path)
        if len(times) < 3:
            assert clear_leftovers(tmp_path) == 1

    try:
        os.mkdir = made_and_cleared
        folder = TemporaryFolder(tmp_path)
    finally:
        os.mkdir = made
    assert len(times) == 3
    assert (folder.path / "lock").exists()
    assert clear_leftovers(tmp_path) == 0
    folder.remove()
    assert list(tmp_path.iterdir()) == []
