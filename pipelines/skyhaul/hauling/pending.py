"""Which shards of a stretch a haul takes up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from skyhaul.dataset.commits.record_files import numbers_in, read_failure, recorded_in
from skyhaul.dataset.commits.sealed import is_sealed
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.plan import Shard


class Planned(Protocol):
    """The part of a plan that this module needs."""

    def shards(self, first: int = 0, stop: int | None = None) -> Iterator[Shard]: ...


class Pending:
    """Shards of a stretch that have no commit record and have not failed for good.

    A record that does not stand for its shard keeps it from being committed, so that it is not taken up
    either.

    Args:
        store: The dataset.
        first: The stretch's first shard number.
        stop: The number after its last.
        only: In a replay, the shards that were asked for; None takes all that are pending.
        mend: The shards of `only` have commit records, and what is broken of them is put right.

    Looked up in the dataset group by group, when a group's turn comes: hauling begins without looking at
    all of them, and of a sealed group neither records nor plan are read. A commit that appears later is
    noticed when the shard is claimed."""

    def __init__(
        self,
        store: DatasetStore,
        first: int,
        stop: int,
        only: frozenset[int] | None,
        *,
        mend: bool = False,
    ) -> None:
        self._store = store
        self._first = first
        self._stop = stop
        self._only = only
        self._mend = mend

    def shards(self, plan: Planned) -> Iterator[Shard]:
        """The pending shards, rising."""
        for group in self._groups():
            span = layout.shards_of(group)
            first, stop = max(self._first, span.start), min(self._stop, span.stop)
            wanted = self._wanted(group, first, stop)
            if wanted:
                numbers = (min(wanted), max(wanted) + 1)
                yield from (shard for shard in plan.shards(*numbers) if shard.number in wanted)

    def _groups(self) -> list[int] | range:
        if self._only is not None:
            return sorted({layout.group_of(n) for n in self._only if self._first <= n < self._stop})
        if self._first >= self._stop:
            return []
        return range(layout.group_of(self._first), layout.group_of(self._stop - 1) + 1)

    def _wanted(self, group: int, first: int, stop: int) -> set[int]:
        wanted = {n for n in self._only if first <= n < stop} if self._only is not None else None
        if self._mend:
            return set(range(first, stop)) if wanted is None else wanted
        if is_sealed(self._store, group):
            return set()
        if wanted is None:
            wanted = set(range(first, stop))
            for shard in numbers_in(self._store, layout.FAILURES, group):
                failure = read_failure(self._store, shard) if shard in wanted else None
                if failure is not None and failure.final:
                    wanted.discard(shard)
        return wanted - recorded_in(self._store, group)
