"""Groups are sealed on a real S3 server, by two at once, and read as they were before."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import fsspec
import pytest
from object_store import BUCKET, ObjectStore

from dataset.many_commits import record_of
from planning.planned import Listing, job_for, pinned
from skyhaul.dataset.commits.record_files import commits, write_commit
from skyhaul.dataset.commits.sealed import sealed_groups
from skyhaul.dataset.commits.sealing import seal_full_groups, seal_group
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import survey
from skyhaul.planning.make_plan import plan_sources
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas import layout
from stores.s3_server import s3

__all__ = ["s3"]

SHARDS = 1_004


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_group_is_sealed_on_s3_and_nothing_is_lost(s3: ObjectStore, tmp_path: Path) -> None:
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    dataset = f"s3://{BUCKET}/{secrets.token_hex(8)}"
    loaded = job_for(tmp_path, shards="target_size: 1000B")
    listing = Listing("s", [pinned("s", f"{n:07d}.jsonl", 1000) for n in range(SHARDS)])
    with closing(open_store(dataset, writable=True)) as store:
        plan_sources(loaded, {"s": ["*"]}, {"s": listing}, store)
        with closing(Plan.open(store)) as plan:
            shards = list(plan.shards())
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(lambda shard: write_commit(store, record_of(shard)), shards[:1_002]))
            before = survey(plan, store)
            records = list(commits(store))
            with ThreadPoolExecutor(2) as pool:
                assert list(pool.map(lambda _: seal_group(CommitValidator(plan), store, 0), range(2))) == [
                    True,
                    True,
                ]
            seal_full_groups(plan, store)
            assert sealed_groups(store) == [0]
            assert list(store.list(f"{layout.COMMITS}/0000")) == []
            assert survey(plan, store) == before
            assert list(commits(store)) == records
            late = record_of(shards[7], finished="2026-02-02T00:00:00.000Z")
            assert write_commit(store, late) == records[7]
            assert list(store.list(f"{layout.COMMITS}/0000")) == []
