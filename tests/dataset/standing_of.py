"""What stands in a dataset, for tests that have no plan at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from skyhaul.dataset.commits import valid_commits
from skyhaul.dataset.commits.shard_set import ShardSet
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.commit import FailureRecord


def committed_shards(store: DatasetStore) -> ShardSet:
    with closing(Plan.open(store)) as plan:
        return valid_commits.committed_shards(plan, store)


def failures(store: DatasetStore) -> Iterator[FailureRecord]:
    with closing(Plan.open(store)) as plan:
        yield from valid_commits.failures(plan, store)
