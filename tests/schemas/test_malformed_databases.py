"""SQLite's word that a database is malformed is believed where it says so twice."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from skyhaul_schemas.storage_errors import errno_of, is_malformed


def _said(code: int) -> sqlite3.Error:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = code
    return error


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (a)")
        db.executemany("INSERT INTO t VALUES (?)", [(bytes(1000),) for _ in range(100)])
        db.commit()
    return path


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CORRUPT | 2 << 8, sqlite3.SQLITE_NOTADB]
)
def test_a_database_that_is_sound_when_looked_at_again_had_a_read_that_failed(
    database: Path, code: int
) -> None:
    error = _said(code)
    assert not is_malformed(error, database)
    assert errno_of(error) == errno.EIO


def test_a_database_that_is_malformed_is_so_again(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(8192))
    assert is_malformed(_said(sqlite3.SQLITE_CORRUPT), database)


def test_what_is_no_database_is_none_again(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database" * 1000)
    assert is_malformed(_said(sqlite3.SQLITE_NOTADB), path)


def test_other_errors_say_nothing_of_the_kind(database: Path) -> None:
    assert not is_malformed(_said(sqlite3.SQLITE_BUSY), database)
    assert not is_malformed(sqlite3.OperationalError("no such table"), database)
