"""Which shards of a stretch a haul takes up."""

from __future__ import annotations

from skyhaul.dataset.commits import committed_within, final_failures_within
from skyhaul.dataset.store import DatasetStore


class Pending:
    """Shards of [first, stop) that are neither committed nor failed for good; in a replay (`only`) those
    that were asked for. Read once from the dataset's listings; a commit that appears later is noticed
    when the shard is claimed."""

    def __init__(self, store: DatasetStore, first: int, stop: int, only: frozenset[int] | None) -> None:
        self._only = only
        self._settled = committed_within(store, first, stop)
        if only is None:
            self._settled |= final_failures_within(store, first, stop)

    def wanted(self, shard: int) -> bool:
        return shard not in self._settled and (self._only is None or shard in self._only)
