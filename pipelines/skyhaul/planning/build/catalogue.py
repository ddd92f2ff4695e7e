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
from typing import Any, NamedTuple

from xxhash import xxh3_64_intdigest, xxh3_128_intdigest

from skyhaul_connectors.sources.local.file_names import check_reachable
from skyhaul_schemas.block_digests import unpacked as unpacked_blocks
from skyhaul_schemas.errors import StorageError
from skyhaul_schemas.plan import Chunk, PinnedObject, Ranges
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import storage_error, unusable

CACHE_BYTES = 32 * 1024 * 1024
"""Bytes of SQLite's page cache, and of one sorted run of a sort. With it planning 10 million objects peaks at
230 MB (`python benchmarks/bench_plan_scale.py`); other sizes were not measured."""

_TABLES = """
CREATE TABLE objects (source INTEGER, path TEXT, size INTEGER, version TEXT, checksum TEXT, locator TEXT,
                      blocks BLOB);
CREATE TABLE chunks (source INTEGER, path TEXT, size INTEGER, version TEXT, checksum TEXT, locator TEXT,
                     blocks BLOB, start INTEGER, length INTEGER, needed BLOB, key BLOB);
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
    # In this machine's byte order: the database does not outlive the process.
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
    """The object in a row that SQLite kept."""
    digests = None if blocks is None else unpacked_blocks(blocks, size)
    return PinnedObject(source, path, size, version, checksum, locator, digests)


# A sum, because rows come out in another order than they went in. It tells a disk that gives other bytes
# back, not somebody who means to deceive.
class RowSum:
    """A digest of a set of rows, whatever their order: the count, and the sum of the rows' xxh3_128."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0

    def add(self, row: tuple[Any, ...]) -> None:
        # Digests by block may be long, and `repr` of bytes takes up to four characters for each.
        small = tuple(xxh3_64_intdigest(v) if isinstance(v, bytes) else v for v in row)
        self._count += 1
        self._sum = (self._sum + xxh3_128_intdigest(repr(small))) % (1 << 128)

    def passing(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """The rows, each added on its way."""
        for row in rows:
            self.add(row)
            yield row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowSum) and (self._count, self._sum) == (other._count, other._sum)

    __hash__ = None  # type: ignore[assignment]  # mutable, so not hashable


class Catalogue:
    """Objects in, in any order; objects out by source and path; chunks in; chunks out by source and key.

    The plan's digest is of what comes out, so that is held against what went in: at its end, an iteration
    raises StorageError where the disk gave other rows back.

    Args:
        sources: Names; they come out in the order of their UTF-8 bytes.
        spool: The folder for the database.

    Raises:
        UsageError: Where the spool cannot be used.
        DiskFull: There is no room left.
        StorageError: The storage fails otherwise."""

    def __init__(self, sources: Iterable[str], spool: Path) -> None:
        self.sources = sorted(sources, key=str.encode)
        # Numbers that sort as the names' bytes do: SQLite then compares integers, and stores no name a row.
        self._rank = {name: rank for rank, name in enumerate(self.sources)}
        self._spool = spool
        check_reachable(str(spool), "spool")
        self._database = scratch_database(spool, _TABLES)
        self._objects_in = RowSum()
        self._chunks_in = RowSum()

    def add_objects(self, objects: Iterable[PinnedObject]) -> None:
        rows = (
            (self._rank[o.source], o.path, o.size, o.version, o.checksum, o.locator, packed_blocks(o))
            for o in objects
        )
        with self._stored():
            self._database.executemany(
                "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", self._objects_in.passing(rows)
            )

    def objects(self) -> Iterator[PinnedObject]:
        """All objects, by the bytes of source and path; equal ones side by side."""
        query = "SELECT * FROM objects ORDER BY source, path, size, version, checksum, locator"
        found = RowSum()
        with self._stored():
            for source, *rest in found.passing(self._database.execute(query)):
                yield pinned(self.sources[source], *rest)
        self._hold(found, self._objects_in)

    def add_chunks(self, chunks: Iterable[tuple[bytes, Cut]]) -> None:
        """Add chunks, with the keys by which they are dealt."""
        rows = (
            (
                self._rank[o.source], o.path, o.size, o.version, o.checksum, o.locator,
                packed_blocks(o), offset, length, packed(needed), key,
            )
            for key, (o, offset, length, needed) in chunks
        )  # fmt: skip
        with self._stored():
            self._database.executemany(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._chunks_in.passing(rows)
            )

    def chunks(self) -> Iterator[Cut]:
        """All chunks, by source and key; chunks of equal keys (unheard of) by path and offset."""
        query = "SELECT * FROM chunks ORDER BY source, key, path, start"
        found = RowSum()
        with self._stored():
            for source, *pin, offset, length, needed, _ in found.passing(self._database.execute(query)):
                yield Cut(pinned(self.sources[source], *pin), offset, length, unpacked(needed))
        self._hold(found, self._chunks_in)

    def close(self) -> None:
        self._database.close()

    def _hold(self, found: RowSum, expected: RowSum) -> None:
        if found != expected:
            raise StorageError(
                f"spool {printable(str(self._spool))}: the plan came back from its disk otherwise than it was"
                " written while it was sorted; check the disk, or move `spool`"
            )

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
    """Raise SQLite's errors as DiskFull and StorageError."""
    try:
        yield
    except sqlite3.Error as error:
        # The database has no name, so a file of the same folder tells why it cannot be opened.
        what = f"spool {printable(str(spool))}: the plan cannot be sorted"
        raise storage_error(error, what, spool / ".probe") from error
