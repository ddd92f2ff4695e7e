"""Which shards of a stretch a haul takes up."""

from __future__ import annotations

from collections.abc import Iterator

from skyhaul.dataset.commits import read_failure
from skyhaul.dataset.store import DatasetStore
from skyhaul_schemas import layout


class Pending:
    """Shards of [first, stop) that are neither committed nor failed for good; in a replay (`only`) those
    that were asked for, which are committed where broken files of theirs are mended (`mend`). Read once,
    group by group, from the dataset's listings; a commit that appears later is noticed when the shard is
    claimed."""

    def __init__(
        self,
        store: DatasetStore,
        first: int,
        stop: int,
        only: frozenset[int] | None,
        *,
        mend: bool = False,
    ) -> None:
        self._only = only
        self._settled: set[int] = set()
        if mend:
            return
        self._settled = set(_numbers(store, layout.COMMITS, first, stop))
        if only is None:
            for shard in _numbers(store, layout.FAILURES, first, stop):
                failure = read_failure(store, shard)
                if failure is not None and failure.final:
                    self._settled.add(shard)

    def wanted(self, shard: int) -> bool:
        return shard not in self._settled and (self._only is None or shard in self._only)


def _numbers(store: DatasetStore, folder: str, first: int, stop: int) -> Iterator[int]:
    """Shard numbers within [first, stop) that have a record in `folder`."""
    for group in range(layout.group_of(first), layout.group_of(max(first, stop - 1)) + 1):
        for path in store.list(f"{folder}/{group:04d}"):
            stem = path.rsplit("/", 1)[-1].removesuffix(".json")
            if stem.isdecimal() and first <= int(stem) < stop:
                yield int(stem)
