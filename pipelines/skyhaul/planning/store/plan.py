"""Read a plan: its header, single shards, and streams of shards and objects, in bounded memory.

All generations are presented as one: of a shard that several of them hold, the last one's counts. A plan
file may come from anyone: sizes are capped, every row is checked, and nothing in it is code.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeVar

from skyhaul.dataset.commits.shard_set import ShardSet
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.generation import Generation, Summary
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, FailureRecord
from skyhaul_schemas.errors import PlanDamaged, UsageError
from skyhaul_schemas.plan import CUT_SHORT, DroppedChunk, PinnedObject, PlanHeader, Shard

T = TypeVar("T")


class Plan:
    """The plan of a dataset.

    Safe among threads; holds an open file and a row group or two a generation.

    Args:
        generations: From the first on.

    Attributes:
        header: The last generation's, whose counts are those of the whole."""

    def __init__(self, store: DatasetStore, generations: list[Generation]) -> None:
        self._store = store
        self.generations = tuple(generations)
        self.header: PlanHeader = generations[-1].header

    @staticmethod
    def exists(store: DatasetStore) -> bool:
        return store.exists(layout.SHARDS)

    @classmethod
    def open(cls, store: DatasetStore) -> Plan:
        """The plan in `store`. Raises UsageError where there is none, PlanDamaged, StorageError."""
        generations: list[Generation] = []
        try:
            generations.append(Generation(store, 0, None))
            # The shards file is the generation; objects and drafts of one that was not decided count for
            # nothing.
            while store.exists(layout.shards_file(len(generations))):
                generations.append(Generation(store, len(generations), generations[-1].header))
        except FileNotFoundError:
            raise UsageError(
                f"dataset {store.place} holds no plan; `skyhaul plan JOB` or `skyhaul run JOB` makes one"
            ) from None
        except BaseException:
            for generation in generations:
                generation.close()
            raise
        return cls(store, generations)

    def close(self) -> None:
        for generation in self.generations:
            generation.close()

    def is_current(self) -> bool:
        """Whether no generation was added since this plan was opened."""
        return not self._store.exists(layout.shards_file(len(self.generations)))

    def latest(self) -> Plan:
        """This plan, or where a generation was added since it was opened, the plan as it is now, opened."""
        return self if self.is_current() else Plan.open(self._store)

    def still_holds(self, number: int) -> bool:
        """Whether shard `number` is in the plan as it was when this plan was opened.

        Asks the store for a further generation, and reads it where there is one."""
        # One look where nothing has changed, which is nearly always: each commit asks before and after.
        if self.is_current():
            return True
        with closing(Plan.open(self._store)) as newer:
            return newer.digest_of(number) == self.digest_of(number)

    def outdates(self, failure: FailureRecord) -> bool:
        """Whether an amendment has changed the shard since `failure`."""
        return len(self.generations) > 1 and failure.plan != self.digest_of(failure.shard)

    def outdates_commit(self, record: CommitRecord) -> bool:
        """Whether the record is of the shard as it was before an amendment: then it is no commit any more."""
        # Of a generation before the one that holds the shard now; a digest that the plan never had is another
        # plan's, and no word on this one.
        if not 0 <= record.shard < self.header.shards:
            return False
        holder = self._holder(record.shard)
        return any(
            generation.header.digest == record.plan and generation.has(record.shard)
            for generation in self.generations[: holder.number]
        )

    def is_amended(self, number: int) -> bool:
        """Whether an amendment has put shard `number` in an earlier one's place."""
        return any(number in generation.replaced for generation in self.generations)

    def amended(self) -> ShardSet:
        """The shards that amendments have put in an earlier one's place."""
        return ShardSet(sorted({number for g in self.generations for number in g.replaced}))

    def digest_of(self, number: int) -> str:
        """The digest of the generation that holds shard `number` now. Reads nothing."""
        return self._holder(number).header.digest

    def digests(self, first: int, stop: int) -> list[tuple[int, str]]:
        """(shard, `digest_of` it) wherever the digest changes among first <= number < stop. Reads nothing."""
        if len(self.generations) == 1:
            return [(first, self.header.digest)] if first < stop else []
        found: list[tuple[int, str]] = []
        for number in range(first, stop):
            digest = self.digest_of(number)
            if not found or found[-1][1] != digest:
                found.append((number, digest))
        return found

    def shard(self, number: int) -> Shard:
        """Shard `number`. Raises UsageError where the plan has none of it, PlanDamaged."""
        return next(self._holder(number).shards(number, number + 1))

    def shards(self, first: int = 0, stop: int | None = None) -> Iterator[Shard]:
        """Shards first <= number < stop, rising; reads only the row groups that hold them."""
        first = max(0, first)
        stop = self.header.shards if stop is None else min(stop, self.header.shards)
        return _latest([g.shards(first, stop) for g in self.generations], lambda shard: shard.number)

    def summaries(self) -> Iterator[Summary]:
        """(shard, source, source bytes) of each shard, rising; streamed, three columns are read."""
        return _latest([g.summaries() for g in self.generations], lambda summary: summary[0])

    def objects(self) -> Iterator[PinnedObject]:
        """The objects as they are planned now, each once, by the UTF-8 bytes of source and path; streamed.

        One that is cut short stands as it was pinned.

        Raises:
            PlanDamaged: The plan is not what was written."""
        if len(self.generations) == 1:
            return self.generations[0].objects()
        return self._live_objects()

    def dropped(self) -> Iterator[DroppedChunk]:
        """What amendments took out of shards, amendment after amendment; streamed. Raises PlanDamaged."""
        for generation in self.generations:
            yield from generation.dropped()

    def _live_objects(self) -> Iterator[PinnedObject]:
        # At one path: by generation, and in a generation what it drops before what it pins.
        streams: list[Iterator[tuple[tuple[bytes, bytes], int, bool, PinnedObject]]] = []
        for generation in self.generations:
            streams.append(_removals(generation))
            streams.append(_pins(generation))
        merged = heapq.merge(*streams, key=lambda event: event[:3])
        for _, events in itertools.groupby(merged, key=lambda event: event[0]):
            standing: PinnedObject | None = None
            for _, _, pinned, obj in events:
                standing = obj if pinned else None
            if standing is not None:
                yield standing

    def _holder(self, number: int) -> Generation:
        if not 0 <= number < self.header.shards:
            raise UsageError(f"there is no shard {number}; the plan has 0 to {self.header.shards - 1}")
        for generation in reversed(self.generations):
            if generation.has(number):
                return generation
        raise PlanDamaged(f"{layout.SHARDS}: shard {number} is missing")


def _pins(generation: Generation) -> Iterator[tuple[tuple[bytes, bytes], int, bool, PinnedObject]]:
    for obj in generation.objects():
        yield place_of(obj), generation.number, True, obj


def _removals(generation: Generation) -> Iterator[tuple[tuple[bytes, bytes], int, bool, PinnedObject]]:
    for dropped in generation.dropped():
        if dropped.fate != CUT_SHORT:
            yield place_of(dropped.object), generation.number, False, dropped.object


def place_of(obj: PinnedObject) -> tuple[bytes, bytes]:
    """What objects are sorted by: the UTF-8 bytes of source and path."""
    # Bytes, as SQLite sorts text, so that a listing and a plan come in one order whatever the locale.
    return obj.source.encode(), obj.path.encode("utf-8", "surrogatepass")


def _latest(streams: list[Iterator[T]], number_of: Callable[[T], int]) -> Iterator[T]:
    """Rising streams as one; of equal numbers the one from the last stream."""
    if len(streams) == 1:
        yield from streams[0]
        return
    numbered = [_numbered(stream, rank, number_of) for rank, stream in enumerate(streams)]
    merged = heapq.merge(*numbered, key=lambda item: item[:2])
    for _, equal in itertools.groupby(merged, key=lambda item: item[0]):
        *_, (_, _, last) = equal
        yield last


def _numbered(stream: Iterator[T], rank: int, number_of: Callable[[T], int]) -> Iterator[tuple[int, int, T]]:
    for item in stream:
        yield number_of(item), rank, item
