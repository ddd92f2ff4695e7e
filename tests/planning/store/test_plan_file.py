"""A plan is read in parts and in bounded memory, and a damaged or hostile one is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from planning.planned import Listing, job_for, pinned, plan_into
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store import table_writer as plan_writer
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.table_reader import PlanTable
from skyhaul_schemas import layout
from skyhaul_schemas.errors import PlanDamaged, StorageError, UsageError
from skyhaul_schemas.plan import Shard

SEED = 20251


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetStore:
    """300 chunks in about 40 shards of three sources, in row groups of 16."""
    monkeypatch.setattr(plan_writer, "ROWS_A_GROUP", 16)
    dice = random.Random(SEED)
    sources = {
        name: Listing(name, [pinned(name, f"{n}.jsonl", dice.randrange(2000)) for n in range(count)])
        for name, count in (("a", 150), ("b", 1), ("c", 100))
    }
    _, store = plan_into(tmp_path, job_for(tmp_path, list(sources), shards="target_size: 6kB"), sources)
    return store


def test_any_stretch_of_shards_is_the_same_as_of_the_whole(planned: DatasetStore) -> None:
    plan = Plan.open(planned)
    whole = list(plan.shards())
    count = plan.header.shards
    assert [shard.number for shard in whole] == list(range(count))
    for first in range(0, count, 3):
        for stop in range(first, count + 2, 4):
            assert list(plan.shards(first, stop)) == whole[first:stop]
    assert [plan.shard(n) for n in reversed(range(count))] == list(reversed(whole))


def test_summaries_are_those_of_the_shards(planned: DatasetStore) -> None:
    plan = Plan.open(planned)
    assert list(plan.summaries()) == [(s.number, s.source, s.length) for s in plan.shards()]


def test_the_header_counts_what_is_there(planned: DatasetStore) -> None:
    plan = Plan.open(planned)
    shards = list(plan.shards())
    for name, counts in plan.header.by_source.items():
        own = [shard for shard in shards if shard.source == name]
        assert counts["first_shard"] == own[0].number
        assert counts["shards"] == len(own)
        assert counts["chunks"] == sum(len(shard.chunks) for shard in own)
        assert counts["bytes"] == sum(shard.length for shard in own)
    assert plan.header.objects == len(list(plan.objects())) == 251


def test_a_shard_is_found_without_reading_the_rest(
    planned: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan.open(planned)
    groups: list[int] = []
    read = PlanTable.read

    def spied(self: PlanTable, group: int, columns: list[str] | None = None) -> pa.Table:
        groups.append(group)
        return read(self, group, columns)

    monkeypatch.setattr(PlanTable, "read", spied)
    shard = plan.shard(20)
    assert len(groups) <= 2
    assert len(shard.chunks) > 1
    list(plan.shards(20, 23))
    assert len(groups) <= 5, "the row group at hand is not read again"


def test_there_is_no_such_shard(planned: DatasetStore) -> None:
    plan = Plan.open(planned)
    with pytest.raises(UsageError, match=f"there is no shard {plan.header.shards}; the plan has 0 to"):
        plan.shard(plan.header.shards)


def test_a_dataset_without_a_plan_says_how_one_is_made(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), writable=False)
    assert not Plan.exists(store)
    with pytest.raises(UsageError, match=r"holds no plan; `skyhaul plan JOB` or `skyhaul run JOB` makes one"):
        Plan.open(store)


def everything(store: DatasetStore) -> tuple[Any, list[Shard], list[Any], list[Any]]:
    plan = Plan.open(store)
    try:
        return plan.header, list(plan.shards()), list(plan.summaries()), list(plan.objects())
    finally:
        plan.close()


@pytest.mark.parametrize("name", [layout.SHARDS, layout.OBJECTS])
def test_a_flipped_byte_is_found_or_without_effect(planned: DatasetStore, name: str) -> None:
    assert planned.local_root is not None
    path = planned.local_root / name
    good = path.read_bytes()
    expected = everything(planned)
    dice = random.Random(SEED)
    found: list[str] = []
    for place in sorted(dice.sample(range(len(good)), 80)):
        bad = bytearray(good)
        bad[place] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(bad))
        try:
            assert everything(planned) == expected, f"byte {place} (seed {SEED})"
        except (PlanDamaged, StorageError) as error:
            found.append(str(error))
    assert len(found) > 40
    assert not any("\n" in message for message in found)


@pytest.mark.parametrize("name", [layout.SHARDS, layout.OBJECTS])
def test_a_cut_file_is_found(planned: DatasetStore, name: str) -> None:
    assert planned.local_root is not None
    path = planned.local_root / name
    good = path.read_bytes()
    dice = random.Random(SEED)
    for length in [0, 1, 7, 8, 12, len(good) - 1, *dice.sample(range(len(good)), 20)]:
        path.write_bytes(good[:length])
        with pytest.raises(PlanDamaged):
            everything(planned)
    path.write_bytes(good + b"more")
    with pytest.raises(PlanDamaged, match="no whole Parquet file"):
        everything(planned)


def rewritten(store: DatasetStore, change: Callable[[pa.Table], pa.Table], **options: Any) -> None:
    """Write shards.parquet again with other rows and its own header, as a forger would."""
    assert store.local_root is not None
    path = store.local_root / layout.SHARDS
    footer = pq.read_metadata(path).metadata
    table = change(pq.read_table(path))
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        writer.write_table(table, row_group_size=16)
        kept = {key: footer[key] for key in (plan_writer.HEADER_KEY, plan_writer.CHECK_KEY)}
        writer.add_key_value_metadata(kept)


def with_value(column: str, row: int, value: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value
        index = table.schema.get_field_index(column)
        return table.set_column(
            index, table.schema.field(column), pa.array(values, table.schema.field(column).type)
        )

    return change


FORGED: list[tuple[str, Callable[[pa.Table], pa.Table], str]] = [
    ("a chunk beyond its object", with_value("length", 5, 1 << 40), "lies outside of its"),
    ("a negative offset", with_value("offset", 5, -1), "lies outside of its"),
    ("a path out of the root", with_value("path", 5, "../../etc/passwd"), "has the path"),
    ("an absolute path", with_value("path", 5, "/etc/passwd"), "has the path"),
    ("block digests of no block", with_value("blocks", 5, bytes(8)), "block digests of .* are none"),
    ("a repeated index", with_value("chunk", 1, 0), "are not in order"),
    ("two sources in a shard", with_value("source", 1, "c"), "are not in order"),
    ("a shard twice", with_value("shard", 40, 0), "not in the order"),
    ("a shard too far", with_value("shard", 3, 9999), "not in the order"),
    ("a missing row", lambda table: table.slice(1), "its header says"),
    ("no rows", lambda table: table.slice(0, 0), "has no statistics"),
    ("a column too many", lambda table: table.append_column(
        "run", table.column("path")), "its columns are not"),
    ("a column of another type", lambda table: table.set_column(
        0, "shard", table.column("shard").cast(pa.int64())), "its columns are not"),
    ("rows in another order", lambda table: table.take(
        list(reversed(range(table.num_rows)))), "not in the order"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in FORGED], ids=[case[0] for case in FORGED])
def test_a_forged_plan_is_refused(
    planned: DatasetStore, change: Callable[[pa.Table], pa.Table], said: str
) -> None:
    rewritten(planned, change)
    with pytest.raises(PlanDamaged, match=said):
        everything(planned)


def test_a_rewritten_plan_without_a_change_would_pass(planned: DatasetStore) -> None:
    """So that the forgeries above are refused for what they are."""
    expected = everything(planned)
    rewritten(planned, lambda table: table)
    assert everything(planned) == expected


def test_a_plan_without_statistics_is_refused(planned: DatasetStore) -> None:
    rewritten(planned, lambda table: table, write_statistics=False)
    with pytest.raises(PlanDamaged, match="has no statistics"):
        Plan.open(planned)


def test_a_row_group_beyond_all_measure_is_not_read(
    planned: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyhaul.planning.store.table_reader.GROUP_ROWS_CAP", 15)
    plan = Plan.open(planned)
    with pytest.raises(PlanDamaged, match="row group 0 is larger than any that skyhaul writes"):
        plan.shard(0)


def test_objects_of_another_plan_are_refused(planned: DatasetStore, tmp_path: Path) -> None:
    other = tmp_path / "other"
    _, store = plan_into(other, job_for(other), {"s": Listing("s", [pinned("s", "x", 1)])})
    assert planned.local_root is not None
    (planned.local_root / layout.OBJECTS).write_bytes(store.read_bytes(layout.OBJECTS))
    with pytest.raises(PlanDamaged, match="belongs to another plan"):
        list(Plan.open(planned).objects())
