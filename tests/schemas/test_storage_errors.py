"""One table says what an errno, or SQLite's word, means: run it again (75), or change something first (2)."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from skyhaul_schemas.errors import (
    DiskFull,
    ServerBusy,
    SkyhaulError,
    StorageError,
    StorageReadOnly,
    StorageRefused,
    TooManyOpenFiles,
    UsageError,
)
from skyhaul_schemas.storage_errors import (
    from_the_start,
    is_passing,
    of_environment,
    passing_in,
    passing_raised,
    storage_error,
    unusable,
)

ROWS = [
    (errno.ENOSPC, DiskFull, 75, "no space left; make room"),
    (errno.EDQUOT, DiskFull, 75, "disk quota"),
    (errno.EFBIG, DiskFull, 75, "ulimit -f"),
    (errno.EIO, StorageError, 75, "look at the disk"),
    (errno.EMFILE, TooManyOpenFiles, 75, "max_connections"),
    (errno.ENFILE, TooManyOpenFiles, 75, "fs.file-max"),
    (errno.EROFS, StorageReadOnly, 75, "remount"),
    (errno.ENOMEM, StorageError, 75, "memory"),
    (errno.EAGAIN, StorageError, 75, "ulimit -u"),
    (errno.ESTALE, StorageError, 75, "put it right"),
    (errno.EACCES, StorageRefused, 2, "permission denied"),
    (errno.EPERM, StorageRefused, 2, "not permitted"),
    (errno.ENOTDIR, StorageRefused, 2, "another place"),
]


@pytest.mark.parametrize(("number", "kind", "code", "words"), ROWS)
def test_each_errno_has_one_class_one_code_and_a_way_out(
    number: int, kind: type[StorageError], code: int, words: str
) -> None:
    found = storage_error(OSError(number, os.strerror(number)), "cannot write x")
    assert type(found) is kind
    assert found.exit_code == code
    assert str(found).startswith("cannot write x: ")
    assert words in str(found)
    assert str(found).isprintable()


def test_read_only_is_a_matter_of_usage_only_from_the_start() -> None:
    found = storage_error(OSError(errno.EROFS, "read-only"), "cannot write x")
    assert found.exit_code == 75
    assert from_the_start(found).exit_code == 2
    full = storage_error(OSError(errno.ENOSPC, "full"), "cannot write x")
    assert from_the_start(full) is full


def _sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, DiskFull),
        (sqlite3.SQLITE_IOERR, StorageError),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageError),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StorageError),
        (sqlite3.SQLITE_READONLY, StorageReadOnly),
        (sqlite3.SQLITE_READONLY_DBMOVED, StorageReadOnly),
        (sqlite3.SQLITE_CANTOPEN, StorageError),
        (sqlite3.SQLITE_NOMEM, StorageError),
        (sqlite3.SQLITE_PERM, StorageRefused),
    ],
)
def test_sqlites_codes_are_the_same_classes(code: int, kind: type[StorageError]) -> None:
    found = storage_error(_sqlite_error(code), "cannot write the journal")
    assert type(found) is kind
    assert found.exit_code == (2 if kind is StorageRefused else 75)


def test_why_sqlite_cannot_open_a_file_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "below.sqlite"
    with pytest.raises(sqlite3.OperationalError) as caught, closing(sqlite3.connect(place)) as database:
        database.execute("SELECT 1")
    found = storage_error(caught.value, "cannot open", place)
    assert isinstance(found, StorageRefused)
    assert "Not a directory" in str(found)


def test_a_limit_on_file_sizes_is_told_from_a_failing_disk(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        found = storage_error(_sqlite_error(sqlite3.SQLITE_IOERR_WRITE), "cannot write", tmp_path / "db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(found, DiskFull)
    assert "ulimit -f" in str(found)
    assert list(tmp_path.iterdir()) == [], "what was written to find out is gone"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "full"), 75),
        (OSError(errno.EACCES, "no", "/x"), 2),
        (MemoryError(), 75),
        (RuntimeError("can't start new thread"), 75),
        (BlockingIOError(errno.EAGAIN, "fork"), 75),
        (ImportError("libx.so: failed to map segment from shared object"), 75),
        (_sqlite_error(sqlite3.SQLITE_FULL), 75),
        (
            ExceptionGroup("tasks", [ValueError("x"), ExceptionGroup("more", [OSError(errno.EMFILE, "m")])]),
            75,
        ),
        (ServerBusy("busy"), 75),
    ],
)
def test_what_an_environment_does_is_no_bug_wherever_it_comes_up(error: Exception, code: int) -> None:
    found = of_environment(error)
    assert found is not None
    assert found.exit_code == code
    assert str(found).isprintable()


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), RuntimeError("else"), OSError(errno.EINVAL, "x"), ExceptionGroup("g", [KeyError("k")])],
)
def test_a_bug_stays_one(error: Exception) -> None:
    assert of_environment(error) is None


def test_no_folder_for_temporary_files_is_told_by_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    found = of_environment(FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"))
    assert isinstance(found, SkyhaulError)
    assert "TMPDIR" in str(found)


def test_a_file_that_a_job_names_is_usage_unless_another_try_may_do() -> None:
    assert isinstance(unusable(FileNotFoundError(errno.ENOENT, "No such file"), "list 'x'"), UsageError)
    assert unusable(OSError(errno.EMFILE, "many"), "list 'x'").exit_code == 75
    assert unusable(OSError(errno.EROFS, "read-only"), "spool 'x'").exit_code == 2


def test_only_what_says_nothing_of_a_file_is_raised_past_its_judge() -> None:
    with pytest.raises(TooManyOpenFiles), passing_raised("cannot read x"):
        raise OSError(errno.EMFILE, "many")
    with pytest.raises(OSError, match="rotten"), passing_raised("cannot read x"):
        raise OSError("rotten page")
    assert is_passing(OSError(errno.EIO, "x"))
    assert not is_passing(OSError(errno.EACCES, "x"))


def test_another_programs_last_words_may_name_what_the_machine_lacks() -> None:
    found = passing_in("OSError: [Errno 28] No space left on device: '/x'")
    assert found is not None
    assert found.errno == errno.ENOSPC
    assert passing_in("ValueError: Permission denied") is None
