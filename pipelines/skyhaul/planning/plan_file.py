"""Read a plan: its header, single shards, and streams of shards and objects, in bounded memory.

A plan file may come from anyone: sizes are capped, every row is checked, and nothing in it is code.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from skyhaul.dataset.store import DatasetStore
from skyhaul.planning.digest import plan_digest
from skyhaul.planning.plan_rows import checked_chunk, checked_object, parse_header, parse_json
from skyhaul.planning.plan_table import PlanTable
from skyhaul_schemas import layout
from skyhaul_schemas.errors import PlanDamaged, UsageError
from skyhaul_schemas.plan import OBJECTS_SCHEMA, SHARDS_SCHEMA, Chunk, PinnedObject, PlanHeader, Shard


class Plan:
    """The plan of a dataset. Safe among threads; holds one open file and a row group or two."""

    def __init__(self, store: DatasetStore, file: BinaryIO) -> None:
        self._store = store
        self._table = PlanTable(file, SHARDS_SCHEMA, layout.SHARDS)
        self.header: PlanHeader = parse_header(self._table.header)
        self._lock = threading.Lock()
        self._kept: dict[int, list[Chunk]] = {}
        self._check()

    @staticmethod
    def exists(store: DatasetStore) -> bool:
        return store.exists(layout.SHARDS)

    @classmethod
    def open(cls, store: DatasetStore) -> Plan:
        """The plan in `store`. Raises UsageError where there is none, PlanDamaged, StorageError."""
        try:
            file = store.open_input(layout.SHARDS)
        except FileNotFoundError:
            raise UsageError(
                f"dataset {store.place} holds no plan; `skyhaul plan JOB` or `skyhaul run JOB` makes one"
            ) from None
        try:
            return cls(store, file)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        self._table.close()

    def shard(self, number: int) -> Shard:
        """Shard `number`. Raises UsageError where the plan has none of it, PlanDamaged."""
        if not 0 <= number < self.header.shards:
            raise UsageError(f"there is no shard {number}; the plan has 0 to {self.header.shards - 1}")
        return next(self.shards(number, number + 1))

    def shards(self, first: int = 0, stop: int | None = None) -> Iterator[Shard]:
        """Shards first <= number < stop, rising; reads only the row groups that hold them."""
        stop = self.header.shards if stop is None else min(stop, self.header.shards)
        due = max(0, first)
        held: list[Chunk] = []
        for group in self._groups(due, stop):
            for chunk in self._chunks(group):
                if held and chunk.shard != held[0].shard:
                    yield self._shard(held, due)
                    held, due = [], due + 1
                if due <= chunk.shard < stop:
                    held.append(chunk)
                elif chunk.shard >= stop:
                    break
        if held:
            yield self._shard(held, due)
            due += 1
        if due < stop:
            raise PlanDamaged(f"{layout.SHARDS}: shard {due} is missing")

    def summaries(self) -> Iterator[tuple[int, str, int]]:
        """(shard, source, source bytes) of each shard, rising; streamed, three columns are read."""
        last: tuple[int, str, int] | None = None
        for group in range(len(self._table.bounds)):
            with self._lock:
                table = self._table.read(group, ["shard", "source", "length"])
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
        """The pinned objects, by the UTF-8 bytes of source and path; streamed. Raises PlanDamaged."""
        try:
            file = self._store.open_input(layout.OBJECTS)
        except FileNotFoundError:
            raise PlanDamaged(f"{layout.OBJECTS} is missing") from None
        with file:
            table = PlanTable(file, OBJECTS_SCHEMA, layout.OBJECTS)
            if parse_json(table.header, layout.OBJECTS).get("objects_digest") != self.header.objects_digest:
                raise PlanDamaged(f"{layout.OBJECTS} belongs to another plan")
            for group in range(table.groups):
                for row in table.rows(group):
                    yield checked_object(row, layout.OBJECTS)

    def _check(self) -> None:
        header = self.header
        if header.digest != plan_digest(header.job, header.fingerprint, header.objects_digest):
            raise PlanDamaged(f"{layout.SHARDS}: its digest is not that of its header")
        if self._table.total != header.chunks:
            raise PlanDamaged(
                f"{layout.SHARDS}: it holds {self._table.total} chunks, its header says {header.chunks}"
            )
        if (self._table.bounds[-1][1] + 1 if self._table.bounds else 0) != header.shards:
            raise PlanDamaged(f"{layout.SHARDS}: its last shard is not the one that its header says")

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
                kept = [checked_chunk(row, layout.SHARDS) for row in rows]
                self._kept = {**dict(list(self._kept.items())[-1:]), group: kept}
            return kept

    def _shard(self, chunks: list[Chunk], due: int) -> Shard:
        number = chunks[0].shard
        if number != due:
            raise PlanDamaged(f"{layout.SHARDS}: shard {number} stands where {due} was due")
        source = chunks[0].object.source
        if any(c.index != i or c.object.source != source for i, c in enumerate(chunks)):
            raise PlanDamaged(f"{layout.SHARDS}: the chunks of shard {number} are not in order")
        return Shard(number, tuple(chunks))
