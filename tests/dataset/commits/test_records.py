"""Commit, failure and run records, and what a survey makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dataset.hauled import Hauled, plan_small
from dataset.standing_of import failures
from skyhaul.dataset.card import card, write_card
from skyhaul.dataset.commits.record_files import (
    clear_failure,
    commits,
    read_commit,
    read_failure,
    recorded_numbers,
    write_commit,
    write_failure,
)
from skyhaul.dataset.commits.shard_set import ShardSet
from skyhaul.dataset.runs import runs, write_run
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import survey
from skyhaul_schemas.commit import CommitRecord, FailureRecord, RecordCounts, RunRecord, TransferCounts
from skyhaul_schemas.errors import CommitConflict, StorageError


@pytest.fixture
def hauled(tmp_path: Path) -> Hauled:
    return plan_small(tmp_path)


def record(shard: int, **more: object) -> CommitRecord:
    fields: dict[str, object] = {
        "shard": shard, "plan": "p", "source": "s", "files": [], "sources": [],
        "records": RecordCounts(read=0, written=0, filtered=0, rejected=0),
        "transfer": {}, "started": "a", "finished": "b", "versions": {},
    }  # fmt: skip
    return CommitRecord.model_validate(fields | more)


def failure(
    shard: int, *, final: bool = True, kind: str = "ObjectMissing", source: str = "lines"
) -> FailureRecord:
    return FailureRecord(
        shard=shard, plan="p", source="lines", kind=kind, reason="gone", attempts=1, where="a.jsonl",
        final=final, at="2026-01-01T00:00:00Z",
    )  # fmt: skip


def test_times_traffic_and_versions_may_differ_and_the_first_record_stands(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), writable=True)
    first = write_commit(store, record(7, transfer={"leo": TransferCounts(wire_bytes=9)}))
    second = record(7, started="c", finished="d", versions={"x": "2"})
    assert write_commit(store, second) == first
    for other in ({"plan": "q"}, {"source": "t"}, {"filtered_by": {"short": 0}}):
        with pytest.raises(CommitConflict):
            write_commit(store, record(7, **other))
    assert read_commit(store, 7) == first


def test_committed_shards_are_found_by_listing_groups(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), writable=True)
    numbers = [0, 3, 999, 1000, 54_321, 9_999_999, 10_000_000]
    for number in numbers:
        write_commit(store, record(number))
    assert list(recorded_numbers(store)) == numbers
    assert [found.shard for found in commits(store)] == numbers


def test_a_damaged_record_is_named_and_not_guessed_at(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), writable=True)
    write_commit(store, record(7))
    (tmp_path / "_skyhaul/commits/0000/0000007.json").write_bytes(b'{"shard": 7')
    with pytest.raises(
        StorageError, match=r"0000007\.json .* no commit record: .*`skyhaul replay --damaged`"
    ):
        read_commit(store, 7)
    with pytest.raises(CommitConflict):
        write_commit(store, record(7))


@given(st.sets(st.integers(0, 5000)))
def test_a_shard_set_is_the_set_of_its_numbers(numbers: set[int]) -> None:
    made = ShardSet(numbers)
    assert made == numbers
    assert (len(made), list(made)) == (len(numbers), sorted(numbers))
    assert all((n in made) == (n in numbers) for n in range(-1, 5002))


def test_the_last_failure_stands_until_the_shard_is_committed(hauled: Hauled) -> None:
    store = hauled.store
    write_failure(store, failure(0, kind="DiskFull", final=False))
    write_failure(store, failure(0))
    write_failure(store, failure(2))
    assert [found.kind for found in failures(store)] == ["ObjectMissing"] * 2
    hauled.encode(hauled.shards()[0])
    assert [found.shard for found in failures(store)] == [2]
    clear_failure(store, 2)
    clear_failure(store, 2)
    assert list(failures(store)) == []
    assert read_failure(store, 2) is None


def test_a_survey_counts_what_is_committed_failed_and_left(hauled: Hauled) -> None:
    header = hauled.plan.header
    empty = survey(hauled.plan, hauled.store)
    assert (empty.shards_left, empty.exit_code()) == (header.shards, 75)
    records = hauled.haul(hauled.shards()[:3])
    write_failure(hauled.store, failure(3))
    write_failure(hauled.store, failure(4, kind="DiskFull", final=False))
    seen = survey(hauled.plan, hauled.store)
    assert (seen.shards_committed, seen.shards_failed, seen.shards_to_retry) == (3, 1, 1)
    assert seen.shards_left == header.shards - 4
    assert seen.exit_code() == 75
    assert seen.source_bytes_committed == sum(shard.length for shard in hauled.shards()[:3])
    assert seen.records.read == sum(r.records.read for r in records)
    assert seen.transfer["leo"].payload_bytes == seen.source_bytes_committed
    assert seen.by_source["lines"].committed == 3
    assert seen.by_source["lines"].failed == 1
    assert seen.by_source["lines"].source_bytes_failed == hauled.shards()[3].length
    assert seen.by_source["lines"].left + seen.by_source["texts"].left == seen.shards_left
    assert seen.failed_by_kind == {"DiskFull": 1, "ObjectMissing": 1}
    assert sum(split.rows for split in seen.splits.values()) == seen.records.written
    assert seen.dataset_bytes == sum(file.bytes for r in records for file in r.files)
    hauled.haul(hauled.shards()[4:])
    failed = survey(hauled.plan, hauled.store)
    assert (failed.shards_left, failed.exit_code()) == (0, 3)
    hauled.encode(hauled.shards()[3])
    done = survey(hauled.plan, hauled.store)
    assert (done.exit_code(), done.objects_committed) == (0, header.objects)
    assert done.objects_since(empty) == header.objects
    assert done.source_bytes_committed == header.source_bytes


def test_a_damaged_object_makes_a_finished_dataset_exit_3(hauled: Hauled) -> None:
    hauled.haul()
    path = hauled.root / "_skyhaul/commits/0000/0000000.json"
    standing = read_commit(hauled.store, 0)
    assert standing is not None
    damaged = [source.model_copy(update={"damaged": True}) for source in standing.sources]
    path.write_bytes(standing.model_copy(update={"sources": damaged}).to_line())
    seen = survey(hauled.plan, hauled.store)
    assert seen.damaged_objects == len({source.object for source in damaged})
    assert seen.exit_code() == 3


def test_the_card_is_the_same_for_the_same_dataset_and_names_the_splits_there_are(
    hauled: Hauled, tmp_path: Path
) -> None:
    other = plan_small(tmp_path, hauled.region, name="other")
    before = card(hauled.plan, survey(hauled.plan, hauled.store), hauled.loaded.job)
    assert "configs" not in yaml.safe_load(before.split("---")[1])
    for dataset in (hauled, other):
        dataset.haul()
        write_card(dataset.store, dataset.plan, survey(dataset.plan, dataset.store), dataset.loaded.job)
    text = (hauled.root / "README.md").read_text()
    assert text == (other.root / "README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert [item["split"] for item in header["configs"][0]["data_files"]] == ["train", "validation"]
    for item in header["configs"][0]["data_files"]:
        assert list(hauled.root.glob(item["path"]))
    assert header["size_categories"] == ["n<1K"]
    names = [feature["name"] for feature in header["dataset_info"]["features"]]
    assert names[:2] == ["id", "text"]
    assert str(hauled.region) not in text


def test_run_records_sort_by_time_and_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), writable=True)

    def run(identity: str) -> RunRecord:
        return RunRecord(
            id=identity, plan="p", runner="DirectRunner", started="a", finished="b", seconds=1.0,
            outcome="done", shards_planned=1, shards_committed=1, shards_failed=0, shards_deferred=0,
            shards_left=0, objects=1, source_bytes=1, dataset_bytes=1,
            records=RecordCounts(read=0, written=0, filtered=0, rejected=0), damaged_objects=0, transfer={},
        )  # fmt: skip

    second = write_run(store, datetime(2026, 1, 2, tzinfo=UTC), run("20260102T000000Z-bb"))
    first = write_run(store, datetime(2026, 1, 1, tzinfo=UTC), run("zz"))
    assert (first, second) == (
        "_skyhaul/runs/20260101T000000Z-zz.json",
        "_skyhaul/runs/20260102T000000Z-bb.json",
    )
    store.replace_bytes("_skyhaul/runs/20260101T000000Z-aa.json", b"{")
    assert [found.id for found in runs(store)] == ["zz", "20260102T000000Z-bb"]
