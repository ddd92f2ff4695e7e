"""`skyhaul.Dataset`: what was hauled, read by its commit records and no other way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import skyhaul
from dataset.hauled import JOB, write_region


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two sources and two splits, with rejects."""
    root = tmp_path_factory.mktemp("dataset")
    write_region(root / "region")
    (root / "job.yaml").write_text(
        JOB.format(dataset=root / "out", spool=root / "spool", region=root / "region")
    )
    assert skyhaul.haul(root / "job.yaml").complete
    return root / "out"


def test_its_plan_shards_and_counts_are_those_of_the_haul(folder: Path) -> None:
    with skyhaul.Dataset(folder) as dataset:
        planned = skyhaul.plan(folder).to_json()
        assert dataset.plan.digest == planned["digest"]
        assert {name: source.shards for name, source in dataset.plan.sources.items()} == {
            name: source["shards"] for name, source in planned["sources"].items()
        }
        shards = list(dataset.shards())
        assert [shard.number for shard in shards] == list(range(dataset.plan.shards))
        proved = skyhaul.verify(dataset)
        assert sum(shard.records.written for shard in shards) == proved.rows
        assert sum(shard.records.rejected for shard in shards) == proved.rejects > 0
        assert sum(file.rows for shard in shards for file in shard.files) == proved.rows
        assert dataset.splits == ("train", "validation")
        assert {file.split for shard in shards for file in shard.files} == set(dataset.splits)
        assert [shard.number for shard in dataset.shards([3, 1])] == [1, 3]
        assert repr(dataset) == f"Dataset('{folder}')"


def test_its_rows_are_those_that_others_read(folder: Path) -> None:
    with skyhaul.Dataset(folder) as dataset:
        rows = pa.Table.from_batches(dataset.rows(), schema=dataset.schema)
        assert rows.sort_by("id").equals(pads.dataset(folder / "data").to_table().sort_by("id"))
        ids = [batch.schema.names for batch in dataset.rows(columns=["text", "id"], split="validation")]
        assert ids[0] == ["text", "id"]
        parts = {split: sum(b.num_rows for b in dataset.rows(split=split)) for split in dataset.splits}
        assert sum(parts.values()) == rows.num_rows
        assert min(parts.values()) > 0
        own = sum(batch.num_rows for batch in dataset.rows(columns=[], shards=[2]))
        assert own == next(dataset.shards([2])).records.written


def test_provenance_says_of_each_row_where_it_came_from_and_where_it_lies(folder: Path) -> None:
    with skyhaul.Dataset(folder) as dataset:
        told = pa.Table.from_batches(dataset.provenance()).to_pylist()
        assert [row["id"] for row in told] == [
            id for batch in dataset.rows(columns=["id"]) for id in batch["id"].to_pylist()
        ]
        row = told[len(told) // 2]
        assert row["id"] == f"{row['source']}/{row['object']}#{row['offset']}"
        (shard,) = dataset.shards([row["shard"]])
        assert (row["file"], row["split"]) in {(file.path, file.split) for file in shard.files}
        assert row["id"] in pq.read_table(folder / row["file"])["id"].to_pylist()


def test_rejects_come_with_their_reason_and_raw_bytes(folder: Path) -> None:
    with skyhaul.Dataset(folder) as dataset:
        rejects = pa.Table.from_batches(dataset.rejects())
        assert rejects.num_rows == skyhaul.verify(dataset).rejects
        assert all(rejects["reason"].to_pylist())
        assert all(raw.startswith(b'{"id"') for raw in rejects["raw"].to_pylist())


def test_a_url_is_opened_as_a_folder_is(folder: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/opened", recursive=True)
    try:
        with skyhaul.Dataset("memory://opened") as dataset, skyhaul.Dataset(folder) as local:
            assert dataset.plan.digest == local.plan.digest
            assert sum(b.num_rows for b in dataset.rows()) == sum(b.num_rows for b in local.rows())
            assert skyhaul.verify(dataset).sound
    finally:
        memory.rm("/opened", recursive=True)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda d: list(d.rows(columns=["txt"])), "column: found 'txt', allowed: id, text, source_id"),
        (lambda d: list(d.rows(split="test")), "split: found 'test', allowed: train, validation"),
        (lambda d: list(d.rows(shards=[10**6])), "shard 1000000 of dataset .* is not committed"),
        (lambda d: list(d.shards([-1])), "shard -1 of dataset .* is not committed"),
    ],
)
def test_what_is_not_there_is_refused(folder: Path, work: Callable[[Any], object], said: str) -> None:
    with (
        skyhaul.Dataset(folder) as dataset,
        pytest.raises(skyhaul.SkyhaulError, match=said) as caught,
    ):
        work(dataset)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("how", ["gone", "cut", "rotten", "another"])
def test_a_file_that_is_not_what_was_committed_is_damage_and_no_rows(
    how: str, folder: Path, tmp_path: Path
) -> None:
    fsspec.filesystem("file").put(str(folder), str(tmp_path / "copy"), recursive=True)
    with skyhaul.Dataset(tmp_path / "copy") as dataset:
        (first, *_), (other, *_) = (shard.files for shard in dataset.shards([0, 1]))
        path = tmp_path / "copy" / first.path
        data = path.read_bytes()
        path.unlink()
        if how == "cut":
            path.write_bytes(data[:-100])
        elif how == "rotten":
            path.write_bytes(data[:200] + bytes([data[200] ^ 255]) + data[201:])
        elif how == "another":
            path.write_bytes((tmp_path / "copy" / other.path).read_bytes())
        with pytest.raises(skyhaul.SkyhaulError, match=rf"{first.path} in dataset .*copy: ") as caught:
            list(dataset.rows(shards=[0]))
        assert (caught.value.kind, caught.value.exit_code) == ("DataDamaged", 4)
        assert skyhaul.verify(dataset, deep=True).exit_code == 4


def test_no_file_counts_that_no_commit_record_names(folder: Path, tmp_path: Path) -> None:
    fsspec.filesystem("file").put(str(folder), str(tmp_path / "copy"), recursive=True)
    with skyhaul.Dataset(tmp_path / "copy") as dataset:
        before = sum(batch.num_rows for batch in dataset.rows())
        (file, *_) = next(dataset.shards([0])).files
        stray = tmp_path / "copy" / file.path.replace("-000.parquet", "-009.parquet")
        stray.write_bytes((tmp_path / "copy" / file.path).read_bytes())
        assert sum(batch.num_rows for batch in dataset.rows()) == before
