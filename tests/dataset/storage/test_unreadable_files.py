"""A file that the disk cannot read is damage, until it was written anew."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from skyhaul.dataset.intact import fault_in_file
from skyhaul.dataset.storage.opening import open_store
from skyhaul_schemas.commit import CommittedFile
from skyhaul_schemas.errors import StorageError


class _BadSector:
    def __enter__(self) -> _BadSector:
        return self

    def __exit__(self, *raised: object) -> None: ...

    def read(self, size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_bad_sector_is_damage_that_writing_anew_mends(tmp_path: Path, monkeypatch: Any) -> None:
    store = open_store(str(tmp_path), writable=True)
    (tmp_path / "a").write_bytes(b"ab")
    entry = CommittedFile.model_construct(path="a", bytes=2, sha256="0" * 64)
    monkeypatch.setattr(type(store), "open_input", lambda self, path: _BadSector())
    assert "cannot be read" in (fault_in_file(store, entry) or "")
    with pytest.raises(StorageError) as raised:
        fault_in_file(store, entry, just_written=True)
    assert raised.value.exit_code == 75
