"""Two workers, or a zombie, on one shard: one record, and all succeed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dataset.crashing import forked
from dataset.hauled import Hauled, digests, plan_small
from dataset.standing_of import committed_shards
from skyhaul.dataset.commits.record_files import read_commit
from skyhaul.verification import verify_dataset
from skyhaul_schemas.errors import CommitConflict


@pytest.fixture
def hauled(tmp_path: Path) -> Hauled:
    return plan_small(tmp_path)


def test_processes_that_commit_the_same_shards_at_once_all_succeed(hauled: Hauled, tmp_path: Path) -> None:
    alone = plan_small(tmp_path, hauled.region, name="alone")
    alone.haul()
    ready, go = os.pipe()

    def work() -> None:
        os.read(ready, 1)
        store = hauled.reopened()
        for shard in hauled.shards():
            hauled.encode(shard, store)
        store.close()

    children = [forked(work) for _ in range(3)]
    os.write(go, b"...")
    assert [wait() for wait in children] == [0, 0, 0]
    os.close(ready)
    os.close(go)
    assert digests(hauled.root) == digests(alone.root)
    assert len(committed_shards(hauled.store)) == hauled.plan.header.shards
    assert verify_dataset(hauled.store, deep=True).exit_code() == 0


def test_a_zombie_that_ends_later_changes_nothing(hauled: Hauled) -> None:
    shard = hauled.shards()[0]
    first = hauled.encode(shard)
    path = hauled.root / "_skyhaul/commits/0000/0000000.json"
    before = path.stat()
    zombie = hauled.encode(shard, hauled.reopened())
    assert zombie == first
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_worker_with_another_plan_is_refused_by_the_record(hauled: Hauled) -> None:
    shard = hauled.shards()[0]
    hauled.encode(shard)
    with pytest.raises(CommitConflict):
        hauled.encode(replace(shard, plan="f" * 64))
    standing = read_commit(hauled.store, 0)
    assert standing is not None
    assert standing.plan == hauled.plan.header.digest
