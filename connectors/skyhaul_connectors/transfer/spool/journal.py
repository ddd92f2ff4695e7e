"""The journal: which bytes of which spool file are in, durably. SQLite in WAL mode on the spool's disk.

A commit is one transaction after the touched spool files were synced, so a row never precedes its
bytes. SQLite cuts a torn tail of its log by itself; anything else that does not add up is
`SpoolDamaged`, and is not guessed at. Rows about bytes need no check of their own: they are held
against the bytes before use. Rows about counts and layouts carry one.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xxhash import xxh3_64_digest

from skyhaul_connectors.transfer.spool.extents import BLOCK, Change, JournaledExtents
from skyhaul_schemas.commit import TransferCounts
from skyhaul_schemas.errors import SkyhaulError, SpoolDamaged
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import is_malformed, stays_malformed, storage_error

FORMAT = 1
"""`user_version` of the database. A journal of another format is refused, not migrated."""

_SCHEMA = """
CREATE TABLE shards (shard INTEGER PRIMARY KEY, layout TEXT NOT NULL, length INTEGER NOT NULL,
    seal BLOB NOT NULL);
CREATE TABLE extents (shard INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    digest BLOB NOT NULL, PRIMARY KEY (shard, start)) WITHOUT ROWID;
CREATE TABLE blocks (shard INTEGER NOT NULL, block INTEGER NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (shard, block)) WITHOUT ROWID;
CREATE TABLE counts (shard INTEGER NOT NULL, link TEXT NOT NULL, payload INTEGER NOT NULL,
    wire INTEGER NOT NULL, resent INTEGER NOT NULL, seal BLOB NOT NULL,
    PRIMARY KEY (shard, link)) WITHOUT ROWID;
"""

_TABLES = ("shards", "extents", "blocks", "counts")
"""Each with a column `shard`, by which a shard is forgotten; a journal with other tables is refused."""


@dataclass(slots=True)
class ShardChange:
    """What one transaction says of a shard.

    Attributes:
        shard: Its number in the plan.
        fresh: Forget what there was and begin with this layout (`AddressMap.digest`) and length in bytes.
        changes: Of its extents and blocks, in order.
        counts: Totals by link, replacing those before; None: they stay.
        forget: Remove all rows of it.
    """

    shard: int
    fresh: tuple[str, int] | None = None
    changes: list[Change] = field(default_factory=list)
    counts: Mapping[str, TransferCounts] | None = None
    forget: bool = False


@dataclass(frozen=True, slots=True)
class Journaled:
    """What the journal says of one shard; nothing of it is held against the bytes yet.

    Attributes:
        layout: `AddressMap.digest` of the segments that it was made for.
        length: Bytes of the file once all is in.
        extents: What is in, with digests.
        counts: Bytes by link as of the last commit.
    """

    layout: str
    length: int
    extents: JournaledExtents
    counts: dict[str, TransferCounts]


class Journal:
    """One journal file. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises SpoolDamaged, DiskFull or StorageError."""
        self.path = path
        with self._translated("opening"):
            # Opened on the loop's thread and used on the journal's, one after the other. `isolation_level`
            # None: the module begins no transactions of its own.
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10.0)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def shards(self) -> dict[int, int]:
        """Shard -> bytes that the journal says are in. Raises SpoolDamaged, StorageError."""
        found: dict[int, int] = {}
        with self._translated("reading"):
            for shard, length in self._db.execute("SELECT shard, length FROM shards ORDER BY shard"):
                blocks = self._db.execute("SELECT count(*) FROM blocks WHERE shard = ?", (shard,))
                extents = self._db.execute(
                    "SELECT total(stop - start) FROM extents WHERE shard = ?", (shard,)
                )
                # The last block of a file may be shorter than BLOCK.
                found[shard] = min(length, blocks.fetchone()[0] * BLOCK + int(extents.fetchone()[0]))
        return found

    def load(self, shard: int) -> Journaled | None:
        """The rows of the shard; None where there are none. Raises SpoolDamaged, StorageError."""
        with self._translated("reading"):
            row = self._db.execute(
                "SELECT layout, length, seal FROM shards WHERE shard = ?", (shard,)
            ).fetchone()
            if row is None:
                return None
            layout, length, seal = row
            extents = self._db.execute(
                "SELECT start, stop, digest FROM extents WHERE shard = ? ORDER BY start", (shard,)
            ).fetchall()
            blocks = self._db.execute(
                "SELECT block, digest FROM blocks WHERE shard = ? ORDER BY block", (shard,)
            ).fetchall()
            counts = self._db.execute(
                "SELECT link, payload, wire, resent, seal FROM counts WHERE shard = ?", (shard,)
            ).fetchall()
        if seal != _seal(shard, layout, length) or not isinstance(length, int):
            raise self._damaged(f"the row of shard {shard} does not match its seal")
        self._check_rows(shard, length, extents, blocks)
        totals: dict[str, TransferCounts] = {}
        for link, payload, wire, resent, sealed in counts:
            if sealed != _seal(shard, link, payload, wire, resent):
                raise self._damaged(f"a count of shard {shard} does not match its seal")
            totals[link] = TransferCounts(payload_bytes=payload, wire_bytes=wire, resent_bytes=resent)
        return Journaled(layout, length, JournaledExtents(length, extents, blocks), totals)

    def commit(self, changes: Sequence[ShardChange]) -> None:
        """All changes in one transaction, on the disk when this returns.

        Raises:
            DiskFull, SpoolDamaged, StorageError: Nothing of it holds."""
        if not changes:
            return
        with self._translated("writing"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for change in changes:
                    self._apply(change)
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._db.close()

    def _open(self) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL")
        # In WAL mode NORMAL syncs the log only at checkpoints: a power cut would take the last commits
        # (SQLite, "PRAGMA synchronous").
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        # An empty database is a start that was interrupted: all below is one transaction.
        if version == 0 and not tables:
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
            return
        if version != FORMAT or tables != set(_TABLES):
            raise self._damaged(f"it has format {version} and tables {', '.join(sorted(tables)) or 'none'}")
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            # A read that fails for a moment looks like damage to SQLite; real damage is still there after.
            if not stays_malformed(self.path):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            raise self._damaged(" ".join(str(verdict).split()))
        for table in ("extents", "blocks", "counts"):
            orphan = db.execute(
                f"SELECT shard FROM {table} WHERE shard NOT IN (SELECT shard FROM shards) LIMIT 1"
            ).fetchone()
            if orphan is not None:
                raise self._damaged(f"{table} name shard {orphan[0]}, of which nothing else is known")

    def _apply(self, change: ShardChange) -> None:
        db, shard = self._db, change.shard
        if change.forget or change.fresh is not None:
            for table in _TABLES:
                db.execute(f"DELETE FROM {table} WHERE shard = ?", (shard,))
        if change.fresh is not None:
            layout, length = change.fresh
            db.execute(
                "INSERT INTO shards VALUES (?, ?, ?, ?)",
                (shard, layout, length, _seal(shard, layout, length)),
            )
        # What goes before what comes: an extent that grew leaves and comes under the same start.
        for part in change.changes:
            db.executemany(
                "DELETE FROM extents WHERE shard = ? AND start = ?", [(shard, s) for s in part.extents_out]
            )
            db.executemany(
                "DELETE FROM blocks WHERE shard = ? AND block = ?", [(shard, b) for b in part.blocks_out]
            )
            db.executemany(
                "INSERT OR REPLACE INTO extents VALUES (?, ?, ?, ?)",
                [(shard, a, b, d) for a, b, d in part.extents_in],
            )
            db.executemany(
                "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)",
                [(shard, b, d) for b, d in part.blocks_in],
            )
        for link, total in (change.counts or {}).items():
            numbers = (total.payload_bytes, total.wire_bytes, total.resent_bytes)
            db.execute(
                "INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?, ?)",
                (shard, link, *numbers, _seal(shard, link, *numbers)),
            )

    def _check_rows(
        self, shard: int, length: int, extents: list[tuple[Any, ...]], blocks: list[tuple[Any, ...]]
    ) -> None:
        # Types are looked at too: SQLite types values, not columns, so a flipped byte can make a number text.
        whole = set()
        for block, digest in blocks:
            if not (isinstance(block, int) and 0 <= block * BLOCK < length and _is_digest(digest, 16)):
                raise self._damaged(f"shard {shard} has an impossible block {block!r}")
            whole.add(block)
        end = 0
        for start, stop, digest in extents:
            sound = (
                isinstance(start, int)
                and isinstance(stop, int)
                and end <= start < stop <= length
                and start // BLOCK == (stop - 1) // BLOCK
                and start // BLOCK not in whole
                and _is_digest(digest, 8)
            )
            if not sound:
                raise self._damaged(f"shard {shard} has an impossible extent {start!r} to {stop!r}")
            end = stop

    def _damaged(self, why: str) -> SpoolDamaged:
        return SpoolDamaged(
            f"the journal {self._shown} is damaged: {why}; remove the folder"
            f" {printable(str(self.path.parent))!r} to fetch its partial transfers again"
        )

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._error(error, doing) from error
        except OSError as error:
            raise storage_error(error, f"{doing} the journal {self._shown} failed") from error

    def _error(self, error: sqlite3.DatabaseError, doing: str) -> SkyhaulError:
        if is_malformed(error, self.path):
            return self._damaged(str(error))
        return storage_error(error, f"{doing} the journal {self._shown} failed", self.path)

    @property
    def _shown(self) -> str:
        return repr(printable(str(self.path)))


def _seal(*values: object) -> bytes:
    return xxh3_64_digest(json.dumps(values).encode())


def _is_digest(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size
