"""One generation of a plan as it lies on disk: shards that it adds, and shards that it puts in other's place.

An extension only adds shards behind those there are. An amendment puts shards of the same number in the
place of earlier ones, and adds some. The first generation is what `skyhaul plan` makes.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from skyhaul.dataset.commits.shard_set import ShardSet
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.checked_rows import (
    checked_chunk,
    checked_dropped,
    checked_object,
    parse_header,
    parse_json,
)
from skyhaul.planning.store.plan_digest import generation_digest
from skyhaul.planning.store.table_reader import PlanTable
from skyhaul_schemas import layout
from skyhaul_schemas.errors import PlanDamaged, RecordDamaged
from skyhaul_schemas.plan import (
    DROPPED_SCHEMA,
    EMPTIED,
    OBJECTS_SCHEMA,
    SHARDS_SCHEMA,
    Chunk,
    DroppedChunk,
    PinnedObject,
    PlanHeader,
    Shard,
)

Summary = tuple[int, str, int]
"""Shard, source, source bytes."""


class Generation:
    """Generation `number` of the plan in `store`, after `previous`.

    Safe among threads; holds one open file and a row group or two.

    Raises:
        FileNotFoundError: Where there is none.
        PlanDamaged: The plan is not what was written.
        StorageError: The storage fails otherwise."""

    def __init__(self, store: DatasetStore, number: int, previous: PlanHeader | None) -> None:
        self.number = number
        self.name = layout.shards_file(number)
        self._store = store
        file = store.open_input(self.name)
        try:
            self._table = PlanTable(file, SHARDS_SCHEMA, self.name)
            self.header: PlanHeader = parse_header(self._table.header, self.name)
            # One open file, whose position threads would pull from under each other.
            self._lock = threading.Lock()
            self._kept: dict[int, list[Chunk]] = {}
            self.first = previous.shards if previous else 0
            self._check(previous)
            self.replaced = self._replaced()
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        self._table.close()

    def has(self, shard: int) -> bool:
        return self.first <= shard < self.header.shards or shard in self.replaced

    def shards(self, first: int, stop: int) -> Iterator[Shard]:
        """Its own shards with first <= number < stop, rising; reads only the row groups that hold them."""
        due = self._numbers(first, stop)
        held: list[Chunk] = []
        for group in self._groups(first, stop):
            for chunk in self._chunks(group):
                if held and chunk.shard != held[0].shard:
                    yield self._shard(held, next(due, None))
                    held = []
                if chunk.shard >= stop:
                    break
                if chunk.shard >= first:
                    held.append(chunk)
        if held:
            yield self._shard(held, next(due, None))
        missing = next(due, None)
        if missing is not None:
            raise PlanDamaged(f"{self.name}: shard {missing} is missing")

    def summaries(self) -> Iterator[Summary]:
        """(shard, source, source bytes) of its own shards, rising; streamed, three columns are read."""
        last: Summary | None = None
        for group in range(self._table.groups):
            table = self._columns(group, ["shard", "source", "length"])
            numbers = table.column("shard").to_numpy()
            borders = np.flatnonzero(np.diff(numbers, prepend=-1))
            sums = np.add.reduceat(table.column("length").to_numpy(), borders)
            sources = table.column("source").take(pa.array(borders)).to_pylist()
            for number, source, size in zip(numbers[borders].tolist(), sources, sums.tolist(), strict=True):
                if last is not None and last[0] == number:
                    last = (number, last[1], last[2] + size)
                    continue
                if last is not None:
                    yield last
                last = (number, source, size)
        if last is not None:
            yield last

    def objects(self) -> Iterator[PinnedObject]:
        """The objects that it pins, by the UTF-8 bytes of source and path; streamed. Raises PlanDamaged."""
        own = layout.objects_file(self.number)
        name, table = self._table_of((own, self._draft("objects.parquet")), OBJECTS_SCHEMA)
        for row in _rows(table):
            yield checked_object(row, name)

    def has_objects(self) -> bool:
        """Whether its objects are there and are those of its digest, by what their file says of itself."""
        try:
            _, table = self._table_of((layout.objects_file(self.number),), OBJECTS_SCHEMA)
        except PlanDamaged:
            return False
        table.close()
        return True

    def dropped(self) -> Iterator[DroppedChunk]:
        """What it took out of earlier shards, by source, path and offset; streamed. Raises PlanDamaged."""
        if self.header.kind == "amend":
            # A process of an earlier version may have died and left another one under its own name.
            own = layout.dropped_file(self.number)
            name, table = self._table_of((self._draft("dropped.parquet"), own), DROPPED_SCHEMA)
            for row in _rows(table):
                yield checked_dropped(row, name)

    def rows(self) -> Iterator[Chunk]:
        """The rows of its file, unchecked among each other; for its digest."""
        for group in range(self._table.groups):
            yield from self._chunks(group)

    def _draft(self, name: str) -> str:
        return layout.draft_file(self.number, self.header.digest, name)

    def _table_of(self, places: tuple[str, ...], schema: pa.Schema) -> tuple[str, PlanTable]:
        """The first table of `places` that belongs to this generation, with its name. Raises PlanDamaged."""
        foreign = ""
        for name in places:
            try:
                file = self._store.open_input(name)
            except FileNotFoundError:
                continue
            except RecordDamaged as error:
                raise PlanDamaged(str(error)) from error
            # Both names may hold a rival's table (`skyhaul.planning.store.drafts`): the header tells.
            try:
                table = PlanTable(file, schema, name)
                if parse_json(table.header, name).get("objects_digest") == self.header.objects_digest:
                    return name, table
            except BaseException:
                file.close()
                raise
            table.close()
            foreign = name
        own = next(name for name in places if not name.startswith(layout.DRAFTS))
        found = f"{foreign} belongs to another plan than {self.name}" if foreign else f"{own} is missing"
        raise PlanDamaged(
            f"{found}; `skyhaul plan JOB` makes it anew where it can, else restore it from a copy of the"
            " dataset"
        )

    def _check(self, previous: PlanHeader | None) -> None:
        header = self.header
        # Cheap, and at every opening: rows are proved by `verify` alone, for that takes reading all of them.
        if header.digest != generation_digest(header):
            raise PlanDamaged(f"{self.name}: its digest is not that of its header")
        if (header.generation, header.previous, header.root) != (
            self.number,
            previous.digest if previous else "",
            previous.first_digest if previous else "",
        ) or (previous and header.job != previous.job):
            raise PlanDamaged(f"{self.name}: it does not follow the plan before it")
        rows = header.rows if previous else header.chunks
        if self._table.total != rows:
            raise PlanDamaged(f"{self.name}: it holds {self._table.total} chunks, its header says {rows}")
        last = self._table.bounds[-1][1] + 1 if self._table.bounds else 0
        if max(last, self.first) != header.shards:
            raise PlanDamaged(f"{self.name}: its last shard is not the one that its header says")

    def _replaced(self) -> ShardSet:
        """The earlier shards in whose place its own stand."""
        numbers: list[int] = []
        for group, bound in enumerate(self._table.bounds):
            if bound[0] < self.first:
                column = self._columns(group, ["shard"]).column("shard").to_numpy()
                numbers += np.unique(column[column < self.first]).tolist()
        # Committed shards stay as they are: only an amendment may put one in another's place.
        if numbers and self.header.kind != "amend":
            raise PlanDamaged(f"{self.name}: an extension holds shard {numbers[0]}, which was there before")
        return ShardSet(numbers)

    def _columns(self, group: int, names: list[str]) -> pa.Table:
        with self._lock:
            return self._table.read(group, names)

    def _numbers(self, first: int, stop: int) -> Iterator[int]:
        """Numbers of its own shards within [first, stop), rising."""
        yield from (number for number in self.replaced if first <= number < stop)
        yield from range(max(first, self.first), min(stop, self.header.shards))

    def _groups(self, first: int, stop: int) -> range:
        """The row groups that may hold shards first <= number < stop."""
        bounds = self._table.bounds
        start = bisect.bisect_left(bounds, first, key=lambda bound: bound[1])
        end = bisect.bisect_left(bounds, stop, key=lambda bound: bound[0])
        return range(start, end)

    def _chunks(self, group: int) -> list[Chunk]:
        with self._lock:
            kept = self._kept.get(group)
            if kept is None:
                rows: Iterator[dict[str, Any]] = self._table.rows(group)
                kept = [checked_chunk(row, self.name) for row in rows]
                # The last two: a shard may lie across a border, and whoever asks for one asks for its
                # neighbour next.
                self._kept = {**dict(list(self._kept.items())[-1:]), group: kept}
            return kept

    def _shard(self, chunks: list[Chunk], due: int | None) -> Shard:
        number = chunks[0].shard
        if number != due:
            raise PlanDamaged(f"{self.name}: shard {number} stands where {due} was due")
        source = chunks[0].object.source
        shard = Shard(number, tuple(chunks), self.header.digest)
        if chunks[0].index == EMPTIED and len(chunks) == 1 and self.header.kind == "amend":
            return replace(shard, chunks=(), emptied=source)
        if any(c.index != i or c.object.source != source for i, c in enumerate(chunks)):
            raise PlanDamaged(f"{self.name}: the chunks of shard {number} are not in order")
        return shard


def _rows(table: PlanTable) -> Iterator[dict[str, Any]]:
    with closing(table):
        for group in range(table.groups):
            yield from table.rows(group)
