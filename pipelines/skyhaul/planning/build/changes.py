"""Objects that changed or vanished, the chunks they lose and those they get.

On disk while an amendment is made, in an unnamed database of the spool as the catalogue is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from skyhaul.planning.build.catalogue import (
    Cut,
    packed,
    packed_blocks,
    pinned,
    scratch_database,
    stored,
    unpacked,
)
from skyhaul_schemas.plan import CUT_SHORT, DROPPED, PINNED_ANEW, Chunk, DroppedChunk, PinnedObject

# Without row ids a table is the index of its own key, which is the order in which rows are wanted.
_PIN = "size INTEGER, version TEXT, checksum TEXT, locator TEXT"
_COLUMNS = "source, path, size, version, checksum, locator"
_TABLES = f"""
CREATE TABLE planned (source TEXT, path TEXT, {_PIN}, begun INTEGER DEFAULT 0, open INTEGER DEFAULT 0,
                      PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE TABLE now (source TEXT, path TEXT, {_PIN}, blocks BLOB, PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE TABLE cuts (source TEXT, path TEXT, start INTEGER, length INTEGER, needed BLOB, blocks BLOB,
                   PRIMARY KEY (source, path, start)) WITHOUT ROWID;
CREATE TABLE dropped (source TEXT, path TEXT, start INTEGER, length INTEGER, shard INTEGER,
                      PRIMARY KEY (source, path, start)) WITHOUT ROWID;
"""


class Changes:
    """Changes in, by object; then chunks of the plan by shard; then what was dropped, out in order.

    An object is *begun* where a committed shard holds some of it, and *open* where another shard does."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._database = scratch_database(spool, _TABLES)

    def close(self) -> None:
        self._database.close()

    def add(self, now: PinnedObject | None, planned: PinnedObject) -> None:
        """Add an object as it is planned, and as it is now (None: gone)."""
        with stored(self._spool):
            self._database.execute(
                "INSERT INTO planned (source, path, size, version, checksum, locator) VALUES (?,?,?,?,?,?)",
                _row(planned),
            )
            if now is not None:
                self._database.execute(
                    "INSERT INTO now VALUES (?,?,?,?,?,?,?)", (*_row(now), packed_blocks(now))
                )

    def saw(self, chunk: Chunk, *, committed: bool) -> None:
        """Take note of a chunk of the plan, of whatever object."""
        column = "begun" if committed else "open"
        with stored(self._spool):
            self._database.execute(
                f"UPDATE planned SET {column} = 1 WHERE source = ? AND path = ?", _place(chunk.object)
            )

    def all(self) -> Iterator[tuple[PinnedObject | None, PinnedObject, str | None]]:
        """(now, planned, fate) of each change, by source and path; None: all of it is committed."""
        query = (
            "SELECT p.source, p.path, p.size, p.version, p.checksum, p.locator, p.begun, p.open,"
            " n.size, n.version, n.checksum, n.locator, n.blocks"
            " FROM planned p LEFT JOIN now n USING (source, path)"
            " ORDER BY p.source, p.path"
        )
        with stored(self._spool):
            for row in self._database.execute(query):
                planned = PinnedObject(*row[:6])
                now = None if row[8] is None else pinned(row[0], row[1], *row[8:])
                yield now, planned, _fate(now is not None, bool(row[6]), bool(row[7]))

    def fate(self, obj: PinnedObject) -> str | None:
        """What becomes of the chunks of an object that are not committed; None: they stay."""
        query = (
            "SELECT begun, open, EXISTS (SELECT 1 FROM now n WHERE n.source = p.source AND n.path = p.path)"
            " FROM planned p WHERE source = ? AND path = ?"
        )
        with stored(self._spool):
            row = self._database.execute(query, _place(obj)).fetchone()
        return None if row is None else _fate(bool(row[2]), bool(row[0]), bool(row[1]))

    def offer(self, cuts: Iterable[Cut]) -> None:
        """Add the chunks of objects that are pinned anew."""
        with stored(self._spool):
            self._database.executemany(
                "INSERT INTO cuts VALUES (?,?,?,?,?,?)",
                ((*_place(o), start, n, packed(needed), packed_blocks(o)) for o, start, n, needed in cuts),
            )

    def take(self, obj: PinnedObject) -> Cut | None:
        """The next chunk of the object at the place of `obj`, as it is now; None where all are taken."""
        with stored(self._spool):
            row = self._database.execute(
                "SELECT start, length, needed, blocks FROM cuts WHERE source = ? AND path = ?"
                " ORDER BY start LIMIT 1",
                _place(obj),
            ).fetchone()
            if row is None:
                return None
            # Taken away, so that `rest` is what no shard took.
            self._database.execute(
                "DELETE FROM cuts WHERE source = ? AND path = ? AND start = ?", (*_place(obj), row[0])
            )
            pin = self._database.execute(
                f"SELECT {_COLUMNS} FROM now WHERE source = ? AND path = ?", _place(obj)
            ).fetchone()
        return Cut(pinned(*(*pin, row[3])), row[0], row[1], unpacked(row[2]))

    def rest(self) -> Iterator[Cut]:
        """The chunks that no shard has taken."""
        query = (
            f"SELECT {_COLUMNS}, c.blocks, start, length, needed FROM cuts c JOIN now n USING (source, path)"
            " ORDER BY c.source, c.path, c.start"
        )
        with stored(self._spool):
            for row in self._database.execute(query):
                yield Cut(pinned(*row[:7]), row[7], row[8], unpacked(row[9]))

    def drop(self, chunk: Chunk) -> None:
        with stored(self._spool):
            self._database.execute(
                "INSERT INTO dropped VALUES (?,?,?,?,?)",
                (*_place(chunk.object), chunk.offset, chunk.length, chunk.shard),
            )

    def dropped(self) -> Iterator[DroppedChunk]:
        """The chunks that were dropped, by source, path and offset."""
        query = (
            "SELECT p.source, p.path, p.size, p.version, p.checksum, p.locator, d.shard, d.start, d.length,"
            " p.begun, EXISTS (SELECT 1 FROM now n WHERE n.source = p.source AND n.path = p.path)"
            " FROM dropped d JOIN planned p USING (source, path) ORDER BY d.source, d.path, d.start"
        )
        with stored(self._spool):
            for row in self._database.execute(query):
                # A chunk that was dropped was waiting, whatever else of its object is committed.
                fate = _fate(bool(row[10]), bool(row[9]), True)
                assert fate is not None
                yield DroppedChunk(PinnedObject(*row[:6]), row[6], row[7], row[8], fate)


def _fate(there: bool, begun: bool, waiting: bool) -> str | None:
    """A part that is committed stays as it is.

    Pinning the rest anew would mix two versions in one object, whose chunks are cut by records of the
    first."""
    if not waiting:
        return None
    return CUT_SHORT if begun else PINNED_ANEW if there else DROPPED


def _place(obj: PinnedObject) -> tuple[str, str]:
    return obj.source, obj.path


def _row(obj: PinnedObject) -> tuple[str, str, int, str, str | None, str | None]:
    return obj.source, obj.path, obj.size, obj.version, obj.checksum, obj.locator
