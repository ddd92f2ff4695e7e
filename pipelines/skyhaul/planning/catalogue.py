"""What a plan is made from, sorted on disk: objects by path, chunks by the key they are dealt by.

SQLite with an unnamed database: it lives in the spool, is gone with the process however that ends, and its
ORDER BY is an external merge sort in bounded memory. Text compares by its UTF-8 bytes (BINARY).
"""

from __future__ import annotations

import itertools
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from skyhaul_schemas.block_digests import unpacked as unpacked_blocks
from skyhaul_schemas.plan import Chunk, PinnedObject, Ranges
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import storage_error, unusable

CACHE_BYTES = 32 * 1024 * 1024
"""Bytes of SQLite's page cache, and of one sorted run of a sort."""

_TABLES = """
CREATE TABLE objects (source INTEGER, path TEXT, size INTEGER, version TEXT, checksum TEXT, locator TEXT,
                      blocks BLOB);
CREATE TABLE chunks (source INTEGER, key BLOB, path TEXT, size INTEGER, version TEXT, checksum TEXT,
                     locator TEXT, blocks BLOB, start INTEGER, length INTEGER, needed BLOB);
"""


class Cut(NamedTuple):
    """A chunk before it is dealt."""

    object: PinnedObject
    offset: int
    length: int
    needed: Ranges | None = None

    def placed(self, shard: int, index: int) -> Chunk:
        return Chunk(shard, index, *self)


def packed(needed: Ranges | None) -> bytes | None:
    """Ranges as SQLite keeps them."""
    return None if needed is None else array("q", itertools.chain.from_iterable(needed)).tobytes()


def unpacked(packed: bytes | None) -> Ranges | None:
    if packed is None:
        return None
    numbers = array("q")
    numbers.frombytes(packed)
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def packed_blocks(obj: PinnedObject) -> bytes | None:
    """Block digests as SQLite keeps them."""
    return None if obj.blocks is None else obj.blocks.packed()


def pinned(
    source: str,
    path: str,
    size: int,
    version: str,
    checksum: str | None,
    locator: str | None,
    blocks: bytes | None,
) -> PinnedObject:
    """An object as SQLite has kept it."""
    digests = None if blocks is None else unpacked_blocks(blocks, size)
    return PinnedObject(source, path, size, version, checksum, locator, digests)


class Catalogue:
    """Objects in, in any order; objects out by source and path; chunks in; chunks out by source and key.

    sources: names; they come out in the order of their UTF-8 bytes. spool: the folder for the database.
    Raises UsageError where the spool cannot be used, DiskFull and StorageError.
    """

    def __init__(self, sources: Iterable[str], spool: Path) -> None:
        self.sources = sorted(sources, key=str.encode)
        self._rank = {name: rank for rank, name in enumerate(self.sources)}
        self._spool = spool
        self._database = scratch_database(spool, _TABLES)

    def add_objects(self, objects: Iterable[PinnedObject]) -> None:
        rows = (
            (self._rank[o.source], o.path, o.size, o.version, o.checksum, o.locator, packed_blocks(o))
            for o in objects
        )
        with self._stored():
            self._database.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def objects(self) -> Iterator[PinnedObject]:
        """All objects, by the bytes of source and path; equal ones side by side."""
        query = "SELECT * FROM objects ORDER BY source, path, size, version, checksum, locator"
        with self._stored():
            for source, *rest in self._database.execute(query):
                yield pinned(self.sources[source], *rest)

    def add_chunks(self, chunks: Iterable[tuple[bytes, Cut]]) -> None:
        """Chunks with the keys by which they are dealt."""
        rows = (
            (
                self._rank[o.source], key, o.path, o.size, o.version, o.checksum, o.locator,
                packed_blocks(o), offset, length, packed(needed),
            )
            for key, (o, offset, length, needed) in chunks
        )  # fmt: skip
        with self._stored():
            self._database.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def chunks(self) -> Iterator[Cut]:
        """All chunks, by source and key; chunks of equal keys (unheard of) by path and offset."""
        query = (
            "SELECT source, path, size, version, checksum, locator, blocks, start, length, needed FROM chunks"
            " ORDER BY source, key, path, start"
        )
        with self._stored():
            for source, *pin, offset, length, needed in self._database.execute(query):
                yield Cut(pinned(self.sources[source], *pin), offset, length, unpacked(needed))

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _stored(self) -> Iterator[None]:
        with stored(self._spool):
            yield


def scratch_database(spool: Path, tables: str) -> sqlite3.Connection:
    """A database without a name, with `tables` made. Raises UsageError, DiskFull and StorageError."""
    try:
        spool.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(
            error, f"spool {printable(str(spool))} cannot be made", "choose another `spool`"
        ) from None
    with stored(spool):
        # Manual transactions: one for all, never committed, for nothing here outlives the process.
        database = sqlite3.connect("", isolation_level=None)
        quoted = str(spool.absolute()).replace("'", "''")
        database.execute(f"PRAGMA temp_store_directory = '{quoted}'")
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"PRAGMA cache_size = -{CACHE_BYTES // 1024}")
        database.executescript(tables)
        database.execute("BEGIN")
        return database


@contextmanager
def stored(spool: Path) -> Iterator[None]:
    """SQLite's errors as DiskFull and StorageError."""
    try:
        yield
    except sqlite3.Error as error:
        # The database has no name, so a file of the same folder tells why it cannot be opened.
        what = f"spool {printable(str(spool))}: the plan cannot be sorted"
        raise storage_error(error, what, spool / ".probe") from error
