"""The spool is tried before anything is done: what is wrong with it from the start is a matter of usage."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from skyhaul_connectors.transfer.spool.folders import probe_spool
from skyhaul_schemas.errors import StorageError


def test_a_spool_that_can_be_written_to_is_left_as_it_was(tmp_path: Path) -> None:
    probe_spool(tmp_path / "a" / "spool")
    assert list((tmp_path / "a" / "spool").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EROFS, 2), (errno.EACCES, 2), (errno.EPERM, 2), (errno.ENOSPC, 75), (errno.EDQUOT, 75),
     (errno.EIO, 75), (errno.EMFILE, 75)],
)  # fmt: skip
def test_read_only_and_refused_are_usage_and_the_rest_is_for_another_run(
    number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object, **more: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(StorageError) as caught:
            probe_spool(tmp_path)
    assert caught.value.exit_code == code
    assert "spool" in str(caught.value)


def test_a_file_in_its_place_is_usage(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("")
    with pytest.raises(StorageError, match="choose another `spool`") as caught:
        probe_spool(tmp_path / "spool")
    assert caught.value.exit_code == 2
