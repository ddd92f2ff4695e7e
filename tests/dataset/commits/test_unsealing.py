"""A sealed group in which an amendment has overtaken commits: those are taken out, and nothing else is
lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dataset.many_commits import plan_of_shards, put_records, record_of
from planning.planned import Listing, job_for, pinned
from skyhaul.dataset.commits.record_files import read_commit, recorded_in
from skyhaul.dataset.commits.sealed import SealedGroup, is_sealed
from skyhaul.dataset.commits.sealing import seal_full_groups, seal_group, unseal_group
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.storage.files import LocalFiles
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.amend_plan import amend_from
from skyhaul.planning.outdated import set_outdated_aside
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas import layout

SHARDS = 1_002
OVERTAKEN = (3, 700)

Overtaken = tuple[Plan, DatasetStore]


class Unsynced(LocalFiles):
    """A thousand records are synced in half a minute, and this is not about crashes."""

    def write_new(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def fsync(self, path: Path) -> None:
        assert path.is_file()

    def fsync_folder(self, path: Path) -> None:
        assert path.is_dir()


@pytest.fixture
def overtaken(tmp_path: Path) -> Iterator[Overtaken]:
    """Two shards are amended, and then a haul of before commits all of the group, and seals it."""
    plan, synced = plan_of_shards(tmp_path, SHARDS)
    store = open_store(synced.url, writable=True, files=Unsynced())
    shards = list(plan.shards())
    changed = {shards[number].chunks[0].object.path for number in OVERTAKEN}

    def objects() -> Iterator[object]:
        for number in range(SHARDS):
            path = f"{number:07d}.jsonl"
            yield pinned("s", path, 1000, 'etag:"2"' if path in changed else 'etag:"1"')

    listing = Listing("s", objects)  # type: ignore[arg-type]  # a generator of pinned objects
    update = amend_from(
        job_for(tmp_path, shards="target_size: 1000B"), {"s": ["*"]}, {"s": listing}, plan, store
    )
    assert update.amended == list(OVERTAKEN)
    put_records(store, shards[:1_000])
    assert seal_group(CommitValidator(plan), store, 0)
    plan.close()
    with closing(Plan.open(store)) as amended:
        yield amended, store
    store.close()


def test_overtaken_commits_leave_a_sealed_group_and_all_others_stay(overtaken: Overtaken) -> None:
    plan, store = overtaken
    with SealedGroup(store, 0) as sealed:
        before = sealed.records()
    lines = list(set_outdated_aside(plan, store))
    assert [line.split()[1] for line in lines] == ["3", "700"]
    assert not is_sealed(store, 0)
    assert recorded_in(store, 0) == frozenset(range(1_000)) - {*OVERTAKEN}
    assert {n: store.read_bytes(layout.commit_file(n)) for n in recorded_in(store, 0)} == {
        n: data for n, data in before.items() if n not in OVERTAKEN
    }
    assert f"{layout.SET_ASIDE}/{layout.sealed_file(0)}.0" in lines[0]
    assert list(set_outdated_aside(plan, store)) == []
    assert seal_full_groups(plan, store) == 0
    put_records(store, [plan.shard(number) for number in OVERTAKEN])
    assert seal_full_groups(plan, store) == 1
    assert list(set_outdated_aside(plan, store)) == []
    record = read_commit(store, 3)
    assert record is not None
    assert record.plan == plan.digest_of(3)


def test_records_that_are_being_removed_while_their_group_is_unsealed_are_put_back(
    overtaken: Overtaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = overtaken
    dice = random.Random(7)
    survivors = [shard for shard in plan.shards() if shard.number < 1_000 and shard.number not in OVERTAKEN]
    put_records(store, survivors)
    remove = store.remove

    def slow(path: str) -> None:
        if path.startswith(layout.COMMITS) and dice.random() < 0.01 and is_sealed(store, 0):
            unseal_group(store, 0, OVERTAKEN)
        remove(path)

    monkeypatch.setattr(store, "remove", slow)
    seal_full_groups(plan, store)
    assert not is_sealed(store, 0)
    assert recorded_in(store, 0) == frozenset(range(1_000)) - {*OVERTAKEN}


def test_a_damaged_or_foreign_record_is_left_for_verify(overtaken: Overtaken) -> None:
    plan, store = overtaken
    unseal_group(store, 0, OVERTAKEN)
    store.replace_bytes(layout.commit_file(3), b"no record\n")
    foreign = record_of(replace(plan.shard(700), plan="f" * 64))
    store.replace_bytes(layout.commit_file(700), foreign.model_dump_json().encode())
    assert list(set_outdated_aside(plan, store)) == []
    assert store.read_bytes(layout.commit_file(3)) == b"no record\n"


def test_unsealing_what_is_not_sealed_is_nothing(overtaken: Overtaken) -> None:
    _, store = overtaken
    assert unseal_group(store, 1, ()) is None
