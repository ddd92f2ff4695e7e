"""Local files read in place: the pinned version or SourceChanged, never a mixture."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skyhaul_connectors.formats.bytes.chunk_bytes import FileChunkBytes
from skyhaul_schemas.errors import AccessRefused, CarriageError, ObjectMissing, SourceChanged
from skyhaul_schemas.plan import Chunk, PinnedObject


def _pinned(path: Path) -> Chunk:
    now = path.stat()
    obj = PinnedObject("src", path.name, now.st_size, f"mtime:{now.st_mtime_ns}")
    return Chunk(0, 0, obj, 0, obj.size)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "object"
    path.write_bytes(b"0123456789")
    return path


def test_reads_are_exact_and_cut_at_the_end(file: Path) -> None:
    with FileChunkBytes(str(file), _pinned(file)) as data:
        assert data.read(2, 3) == b"234"
        assert data.read(8, 100) == b"89"
        assert data.read(10, 1) == b""
        assert data.read(50, 1) == b""


def test_a_file_that_changed_before_the_first_read_is_refused(file: Path) -> None:
    chunk = _pinned(file)
    file.write_bytes(b"01234567890")
    with pytest.raises(SourceChanged, match="has 11 bytes, was planned with 10"):
        FileChunkBytes(str(file), chunk).read(0, 1)
    file.write_bytes(b"0123456789")
    os.utime(file, ns=(1, 1))
    with pytest.raises(SourceChanged, match="was modified"):
        FileChunkBytes(str(file), chunk).read(0, 1)


def test_a_file_that_changes_while_it_is_read_is_refused(file: Path) -> None:
    def overwrite() -> None:
        file.write_bytes(b"9876543210")
        os.utime(file, ns=(5, 5))

    def replace() -> None:
        other = file.with_name("other")
        other.write_bytes(b"9876543210")
        other.rename(file)

    def truncate() -> None:
        file.write_bytes(b"")

    for change in (overwrite, replace, truncate, file.unlink):
        file.write_bytes(b"0123456789")
        with pytest.raises(SourceChanged), FileChunkBytes(str(file), _pinned(file)) as data:  # noqa: PT012
            data.read(0, 5)
            change()
            data.read(5, 5)


def test_a_missing_or_forbidden_file_is_typed(file: Path) -> None:
    chunk = _pinned(file)
    with pytest.raises(ObjectMissing):
        FileChunkBytes(str(file) + "x", chunk).read(0, 1)
    file.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(AccessRefused):
            FileChunkBytes(str(file), chunk).read(0, 1)
    with pytest.raises(CarriageError), FileChunkBytes(str(file) + "\ny", chunk) as data:
        data.read(0, 1)


def test_an_untouched_chunk_opens_nothing(tmp_path: Path) -> None:
    obj = PinnedObject("src", "gone", 0, "")
    with FileChunkBytes(str(tmp_path / "gone"), Chunk(0, 0, obj, 0, 0)) as data:
        assert data.read(0, 10) == b""


@pytest.mark.parametrize(("stated", "said"), [(4, "states 4 bytes and has more"), (4096, "ends at 10")])
def test_a_file_whose_size_is_not_what_it_states_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, stated: int, said: str
) -> None:
    # As /sys states 4096 for files of a few bytes, and some network file systems state a size of before.
    real = os.fstat

    def lying(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        return os.stat_result([*found[:6], stated, *found[7:]], {"st_mtime_ns": found.st_mtime_ns})

    obj = PinnedObject("src", file.name, stated, f"mtime:{file.stat().st_mtime_ns}")
    monkeypatch.setattr(os, "fstat", lying)
    with (
        pytest.raises(SourceChanged, match=said),
        FileChunkBytes(str(file), Chunk(0, 0, obj, 0, stated)) as data,
    ):
        data.read(0, stated)
