"""A folder that is made is there after a power cut: its name is synced into the folder above it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from skyhaul_connectors.durable import make_durable_folder


def synced(path: Path, root: Path, *, ours: int = 1) -> list[str]:
    """The folders that making `path` syncs, relative to `root`."""
    found: list[Path] = []
    make_durable_folder(path, ours=ours, sync=found.append)
    return [os.path.relpath(folder, root) for folder in found]


def test_each_new_name_is_synced_from_the_top_down(tmp_path: Path) -> None:
    assert synced(tmp_path / "a" / "b", tmp_path, ours=0) == [".", "a"]
    assert (tmp_path / "a" / "b").is_dir()


def test_of_what_is_there_the_last_names_are_synced(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert synced(tmp_path / "a" / "b", tmp_path, ours=0) == []
    assert synced(tmp_path / "a" / "b", tmp_path, ours=1) == ["a"]
    assert synced(tmp_path / "a" / "b", tmp_path, ours=2) == [".", "a"]
    assert synced(tmp_path / "a" / "b" / "c", tmp_path, ours=2) == ["a", "a/b"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_folder_that_cannot_be_synced_at_all_is_no_hindrance(tmp_path: Path, number: int) -> None:
    def refused(folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    make_durable_folder(tmp_path, sync=refused)
    make_durable_folder(tmp_path / "a", sync=refused)
    assert (tmp_path / "a").is_dir()


def test_a_sync_that_fails_is_told(tmp_path: Path) -> None:
    def failing(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        make_durable_folder(tmp_path / "a", sync=failing)


def test_the_mode_is_the_last_folders(tmp_path: Path) -> None:
    make_durable_folder(tmp_path / "a" / "b", mode=0o700)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
