"""Objects that only add to others, found when those others are planned already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from skyhaul.planning.build.catalogue import scratch_database, stored
from skyhaul.planning.build.sharding import GroupOf
from skyhaul_schemas.plan import PinnedObject

_TABLES = "CREATE TABLE groups (source TEXT, name TEXT, PRIMARY KEY (source, name)) WITHOUT ROWID;"


class LateSidecars:
    """Tells new objects that come too late for their group.

    Reads the planned objects when it is first asked of one that only adds to others, into an unnamed database
    of the spool as the catalogue is."""

    def __init__(
        self,
        planned: Callable[[], Iterator[PinnedObject]],
        group_of: GroupOf,
        adds: Callable[[PinnedObject], bool],
        spool: Path,
    ) -> None:
        self._planned = planned
        self._group_of = group_of
        self._adds = adds
        self._spool = spool
        self._ready = False
        self._database = scratch_database(spool, _TABLES)

    def close(self) -> None:
        self._database.close()

    def too_late(self, obj: PinnedObject) -> bool:
        """Whether objects of its group are planned, so that it would not come into their shard."""
        if not self._adds(obj):
            return False
        with stored(self._spool):
            # A pass over all planned objects, made only where a new one asks for it: most sources have none.
            if not self._ready:
                self._database.executemany("INSERT OR IGNORE INTO groups VALUES (?, ?)", self._names())
                self._ready = True
            place = (obj.source, self._group_of(obj))
            query = "SELECT 1 FROM groups WHERE source = ? AND name = ?"
            return self._database.execute(query, place).fetchone() is not None

    def _names(self) -> Iterator[tuple[str, str]]:
        for obj in self._planned():
            group = self._group_of(obj)
            if group is not None:
                yield obj.source, group
