"""Do the plan's chunks partition its objects? Proved in one pass and constant memory.

As in homology: each chunk [a, b) of an object adds f(object, a) - f(object, b) to a sum, and each object of n
bytes takes f(object, 0) - f(object, n) from it. No chunk has a negative length, so the sum is zero exactly
when each object's chunks chain from 0 to n without gap or overlap, in whatever order they come (f is a
64-bit hash under a random key; a false zero has odds of 2**-64). Chunks of length 0 add nothing there and
are counted apart, by offset: an empty object has one at 0, any other object none. The hash covers an object's
size, version and checksum, so a chunk that pins another version does not cancel either.

The sums are kept by buckets of objects, so that a second pass can look closely at those that are off.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import xxhash

from skyhaul.planning.store.plan import Plan
from skyhaul.shards.splits import row_hashes
from skyhaul.verification.ranges import Interval, differences
from skyhaul_schemas.plan import Chunk, PinnedObject

_BUCKETS = 4096
"""Sums, of 8 bytes each. Where one is off, the second pass looks at its share of the objects. Chosen, not
measured."""

_BATCH = 4096
"""Rows that NumPy hashes at once; one by one they would be hashed at Python's speed. Chosen, not measured."""

_SUSPECT_BUCKETS = 8
_SUSPECT_CHUNKS = 100_000
"""What the second pass holds in memory at most, however much is wrong. Chosen, not measured."""

_EMPTY = -1
"""Below all offsets, so that a chunk without bytes never cancels against one that has some."""

UInt64s = npt.NDArray[np.uint64]


class Partition:
    """Feed it each object and each chunk of a plan, in any order."""

    def __init__(self) -> None:
        # Drawn anew each time: a plan may come from anyone, and with a known key chunks could be made whose
        # errors cancel.
        self._seed = secrets.randbits(63)
        self._sums = np.zeros(_BUCKETS, dtype=np.uint64)
        self._rows: list[tuple[int, int, int]] = []

    def add_object(self, obj: PinnedObject) -> None:
        key = self._key(obj)
        self._row(key, obj.size, 0)
        if obj.size == 0:
            self._row(key, _EMPTY - 1, _EMPTY)

    def add_chunk(self, chunk: Chunk) -> None:
        key = self._key(chunk.object)
        self._row(key, chunk.offset, chunk.offset + chunk.length)
        if chunk.length == 0:
            self._row(key, _EMPTY - 2 * chunk.offset, _EMPTY - 2 * chunk.offset - 1)

    def _key(self, obj: PinnedObject) -> int:
        facts = repr((obj.source, obj.path, obj.size, obj.version, obj.checksum))
        return xxhash.xxh3_64_intdigest(facts.encode("utf-8", "surrogatepass"), self._seed)

    def _row(self, key: int, plus: int, minus: int) -> None:
        self._rows.append((key, plus, minus))
        if len(self._rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        keys = np.array([row[0] for row in self._rows], dtype=np.uint64)
        ends = np.array([row[1:] for row in self._rows], dtype=np.int64)
        self._rows.clear()
        values = row_hashes(keys, ends[:, 0]) - row_hashes(keys, ends[:, 1])
        np.add.at(self._sums, (keys % np.uint64(_BUCKETS)).astype(np.intp), values)

    def suspects(self) -> set[int]:
        """Buckets with an object that its chunks do not partition; empty: all is well."""
        self._flush()
        return {int(bucket) for bucket in np.flatnonzero(self._sums)}

    def explain(self, plan: Plan, suspects: set[int]) -> Iterator[tuple[str, str]]:
        """(code, message) of what is wrong in some of the buckets, by another pass over the plan."""
        chosen = set(sorted(suspects)[:_SUSPECT_BUCKETS])

        def name_of(obj: PinnedObject) -> tuple[str, ...]:
            # Later generations may pin another version at the same path.
            version = () if len(plan.generations) == 1 else (obj.version, str(obj.size))
            return (obj.source, obj.path, *version)

        pinned = (obj for generation in plan.generations for obj in generation.objects())
        objects = {name_of(obj): obj for obj in pinned if self._key(obj) % _BUCKETS in chosen}
        chunks: dict[tuple[str, ...], list[Chunk]] = {name: [] for name in objects}
        held = 0
        # By name first: a chunk that pins another version of a suspect object has another key, and is what is
        # looked for.
        for chunk in _all_chunks(plan):
            name = name_of(chunk.object)
            if held < _SUSPECT_CHUNKS and (name in objects or self._key(chunk.object) % _BUCKETS in chosen):
                chunks.setdefault(name, []).append(chunk)
                held += 1
        for name in sorted(chunks):
            yield from _wrong(objects.get(name), chunks[name])


def _all_chunks(plan: Plan) -> Iterator[Chunk]:
    """The chunks of all shards, and those that amendments took out of them."""
    for shard in plan.shards():
        yield from shard.chunks
    for dropped in plan.dropped():
        yield Chunk(dropped.taken_from, 0, dropped.object, dropped.offset, dropped.length)


def _wrong(obj: PinnedObject | None, chunks: list[Chunk]) -> Iterator[tuple[str, str]]:
    if obj is None:
        first = chunks[0]
        yield (
            "plan-object-unknown",
            f"the plan's shard {first.shard} takes {first.object.path} of source {first.object.source},"
            " which is not among its objects",
        )
        return
    for chunk in chunks:
        theirs = (chunk.object.size, chunk.object.version, chunk.object.checksum)
        if theirs != (obj.size, obj.version, obj.checksum):
            yield (
                "plan-pin-differs",
                f"the plan's shard {chunk.shard} pins another version of {obj.path} of source {obj.source}"
                " than its objects do",
            )
            return
    planned: list[Interval] = [(0, obj.size)]
    for start, stop, _, count in differences(planned, [(c.offset, c.length) for c in chunks]):
        where = f"bytes {start} to {stop} of {obj.path} of source {obj.source}"
        if count == 0:
            yield "plan-range-missing", f"{where} are in no shard of the plan"
        else:
            yield "plan-range-twice", f"{where} are in {count} chunks of the plan"
