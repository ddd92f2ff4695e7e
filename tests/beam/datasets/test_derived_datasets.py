"""Datasets made of datasets: the same bytes for every runner and parallelism, and each row accounted for."""

from __future__ import annotations

import json
import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.beam.pipelines import Receipt, pipeline, take

from dataset.hauled import Hauled, digests, plan_small
from skyhaul.beam import CompactShards, ReadShards, ReshardRows, WriteShards
from skyhaul.dataset.storage.opening import open_store
from skyhaul.derived.derivation import claimed
from skyhaul.verification import VerifyReport, verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.errors import (
    CommitConflict,
    FingerprintMismatch,
    InputIncomplete,
    PlanMismatch,
    SkyhaulError,
    UsageError,
)

TARGET = "40kB"


@pytest.fixture(scope="module")
def hauled(tmp_path_factory: pytest.TempPathFactory) -> Hauled:
    made = plan_small(tmp_path_factory.mktemp("hauled"))
    made.haul()
    return made


@pytest.fixture(scope="module")
def resharded(hauled: Hauled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("resharded") / "set"
    with pipeline() as p:
        p | ReshardRows(str(hauled.root), str(into), seed=7, target_size=TARGET)
    return into


def verified(root: Path) -> VerifyReport:
    report = verify_dataset(open_store(str(root), writable=False), deep=True)
    assert report.exit_code() == 0, [str(finding) for finding in report.findings]
    return report


def files(root: Path, pattern: str = "*") -> list[Path]:
    return sorted((root / "data").rglob(f"{pattern}.parquet"), key=lambda path: path.name.split("-")[1:])


def rows(root: Path, split: str) -> list[dict[str, Any]]:
    """Of a split, in the dataset's order."""
    tables = [pq.read_table(path) for path in files(root, f"{split}-*")]
    return pa.concat_tables(tables).to_pylist() if tables else []


def multiset(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(row, default=str) for row in found)


@pytest.mark.parametrize(("workers", "repeat"), [(3, 0), (1, 1)])
def test_a_shuffle_has_the_same_bytes_for_every_parallelism_and_after_repeated_bundles(
    hauled: Hauled, resharded: Path, tmp_path: Path, workers: int, repeat: int
) -> None:
    with pipeline(workers=workers, repeat=repeat) as p:
        p | ReshardRows(str(hauled.root), str(tmp_path / "again"), seed=7, target_size=TARGET)
    assert digests(tmp_path / "again", "data") == digests(resharded, "data")
    for path in (layout.SHARDS, layout.OBJECTS, layout.INPUTS, layout.DERIVATION, layout.JOB):
        assert (tmp_path / "again" / path).read_bytes() == (resharded / path).read_bytes()


@pytest.mark.timeout(120)  # two processes import Beam
def test_workers_in_processes_of_their_own_write_the_same_bytes(
    hauled: Hauled, resharded: Path, tmp_path: Path
) -> None:
    with pipeline(workers=2, mode="multi_processing") as p:
        shards = p | ReshardRows(str(hauled.root), str(tmp_path / "again"), seed=7, target_size=TARGET)
        (
            shards
            | ReadShards(provenance=True)
            | WriteShards(str(tmp_path / "written"), made_by="none 1", target_size=TARGET, seed=7, shards=3)
        )
    assert digests(tmp_path / "again", "data") == digests(resharded, "data")
    verified(tmp_path / "written")
    assert rows(tmp_path / "written", "train") == rows(resharded, "train")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_shuffle_keeps_each_row_and_its_split_and_mixes_them_over_the_whole(
    hauled: Hauled, resharded: Path, split: str
) -> None:
    before, after = rows(hauled.root, split), rows(resharded, split)
    assert multiset(before) == multiset(after)
    assert [row["id"] for row in before] != [row["id"] for row in after]
    # Of a fair shuffle each half of the dataset has about half of each source.
    half = [row["id"] for row in after[: len(after) // 2] if row["provenance"]["source"] == "lines"]
    whole = [row["id"] for row in after if row["provenance"]["source"] == "lines"]
    assert 0.3 < len(half) / len(whole) < 0.7


def test_a_derived_dataset_is_proved_by_verify_and_pins_its_inputs(hauled: Hauled, resharded: Path) -> None:
    report = verified(resharded)
    assert report.shards > 2
    derivation = json.loads((resharded / layout.DERIVATION).read_bytes())
    assert derivation["inputs"][0]["plan"] == hauled.plan.header.digest
    assert derivation["rows"] == report.rows == sum(pq.read_metadata(p).num_rows for p in files(hauled.root))
    pinned = pq.read_table(resharded / layout.INPUTS).to_pylist()
    assert {row["path"]: row["sha256"] for row in pinned} == digests(hauled.root, "data")
    assert not (resharded / layout.SHUFFLE).exists()
    came = f"shuffled by seed 7 by skyhaul from small (plan {hauled.plan.header.digest[:16]})"
    assert came in (resharded / "README.md").read_text()
    assert came in json.loads((resharded / "croissant.json").read_text())["description"]
    assert len(list((resharded / layout.RUNS).glob("*.json"))) == 1


def test_another_seed_is_another_order(hauled: Hauled, resharded: Path, tmp_path: Path) -> None:
    with pipeline() as p:
        p | ReshardRows(str(hauled.root), str(tmp_path / "other"), seed=8, target_size=TARGET)
    assert multiset(rows(tmp_path / "other", "train")) == multiset(rows(resharded, "train"))
    assert rows(tmp_path / "other", "train") != rows(resharded, "train")


def test_the_order_does_not_depend_on_the_size_of_shards(
    hauled: Hauled, resharded: Path, tmp_path: Path
) -> None:
    with pipeline() as p:
        p | ReshardRows(str(hauled.root), str(tmp_path / "one"), seed=7, target_size="1GiB")
    assert rows(tmp_path / "one", "train") == rows(resharded, "train")


@pytest.mark.parametrize(("workers", "repeat"), [(1, 0), (3, 0), (1, 1)])
def test_compacted_shards_are_fewer_and_their_rows_stand_as_they_stood(
    hauled: Hauled, tmp_path: Path, workers: int, repeat: int
) -> None:
    into = tmp_path / "compact"
    with pipeline(workers=workers, repeat=repeat) as p:
        taken = take(p | CompactShards(str(hauled.root), str(into), target_size="100kB"))
    report = verified(into)
    assert 1 < report.shards < len(hauled.shards())
    assert sorted(ref.shard for ref in taken) == list(range(report.shards))
    for split in ("train", "validation"):
        assert rows(into, split) == rows(hauled.root, split)


def test_what_is_done_is_not_done_again_and_another_derivation_is_refused(
    hauled: Hauled, resharded: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in files(resharded)}
    with pipeline() as p:
        taken = take(p | ReshardRows(str(hauled.root), str(resharded), seed=7, target_size=TARGET))
    assert {path: path.stat().st_mtime_ns for path in files(resharded)} == before
    assert len(taken) == verified(resharded).shards
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | ReshardRows(str(hauled.root), str(resharded), seed=9, target_size=TARGET)
    assert isinstance(caught.value, PlanMismatch)
    assert "its seed differ" in str(caught.value)


def test_a_worker_that_would_write_other_bytes_is_refused(
    hauled: Hauled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "set"
    with pipeline() as p:
        p | ReshardRows(str(hauled.root), str(into), seed=7, target_size=TARGET)
    with closing(open_store(str(into), writable=False)) as store:
        assert claimed(store).fingerprint["pyarrow"] == pa.__version__
        monkeypatch.setattr(pa, "__version__", "0.1")
        with pytest.raises(FingerprintMismatch, match=r"pyarrow: it has .*, here is 0\.1"):
            claimed(store)


def test_a_crash_after_the_files_costs_nothing(hauled: Hauled, resharded: Path, tmp_path: Path) -> None:
    into = tmp_path / "set"
    with pipeline() as p:
        p | ReshardRows(str(hauled.root), str(into), seed=7, target_size=TARGET)
    # As a process leaves it that dies before the plan, and one that dies between the commits.
    for gone in (["*"], ["0000001.json"]):
        for pattern in gone:
            for path in (into / layout.COMMITS / "0000").glob(pattern):
                path.unlink()
        if gone == ["*"]:
            for path in (into / layout.SHARDS, into / layout.OBJECTS):
                path.unlink()
        with pipeline() as p:
            p | ReshardRows(str(hauled.root), str(into), seed=7, target_size=TARGET)
        verified(into)
        assert digests(into, "data") == digests(resharded, "data")


def test_a_dataset_that_is_not_whole_is_not_derived_from(tmp_path: Path) -> None:
    half = plan_small(tmp_path)
    half.haul(half.shards()[:-1])
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | CompactShards(str(half.root), str(tmp_path / "into"))
    error = caught.value
    assert isinstance(error, InputIncomplete)
    assert error.exit_code == 75
    assert "1 of" in str(error)
    assert not (tmp_path / "into" / layout.DERIVATION).exists()


def test_a_broken_input_stops_it(tmp_path: Path) -> None:
    made = plan_small(tmp_path)
    made.haul()
    path = made.root / layout.data_file(0, "train", 0)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | ReshardRows(str(made.root), str(tmp_path / "into"), seed=1)
    assert "its sha256 is not that of its commit record" in str(caught.value)


def test_folders_that_hold_something_else_are_refused(hauled: Hauled, tmp_path: Path) -> None:
    other = plan_small(tmp_path)
    for into, words in (
        (str(other.root), "holds a dataset already"),
        (str(hauled.root), "a dataset already"),
    ):
        with pytest.raises(SkyhaulError) as caught, pipeline() as p:
            p | ReshardRows(str(hauled.root), into, seed=1)
        assert words in str(caught.value)
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | ReshardRows([str(hauled.root)] * 2, str(tmp_path / "twice"), seed=1)
    assert "have the same plan" in str(caught.value)


def even(row: Any) -> bool:
    return bool(row.offset % 2 == 0)


@pytest.mark.parametrize(("workers", "repeat"), [(1, 0), (3, 0), (1, 1)])
def test_written_rows_are_a_dataset_whatever_order_they_came_in(
    hauled: Hauled, tmp_path: Path, workers: int, repeat: int
) -> None:
    with pipeline() as p:
        (
            p
            | ReadShards(str(hauled.root), provenance=True, batches=True)
            | WriteShards(
                str(tmp_path / "all"),
                derived_from=str(hauled.root),
                made_by="none 1",
                target_size=TARGET,
                seed=7,
            )
        )
    with pipeline(workers=workers, repeat=repeat) as p:
        (
            p
            | ReadShards(str(hauled.root), provenance=True)
            | beam.Map(lambda row: (random.random(), row))
            | beam.GroupByKey()
            | beam.FlatMap(lambda pair: pair[1])
            | WriteShards(
                str(tmp_path / "mixed"),
                derived_from=str(hauled.root),
                made_by="none 1",
                target_size=TARGET,
                seed=7,
            )
        )
    assert digests(tmp_path / "mixed", "data") == digests(tmp_path / "all", "data")
    assert verified(tmp_path / "mixed").shards > 2
    assert multiset(rows(tmp_path / "mixed", "train")) == multiset(rows(hauled.root, "train"))


def test_rows_that_a_pipeline_leaves_out_are_counted_under_its_name(hauled: Hauled, tmp_path: Path) -> None:
    receipts = [Receipt(str(hauled.root), shard.number, "committed") for shard in hauled.shards()]
    with pipeline() as p:
        shards = p | beam.Create(receipts)
        (
            shards
            | ReadShards(provenance=True)
            | beam.Filter(even)
            | WriteShards(str(tmp_path / "even"), derived_from=shards, made_by="even 1", target_size=TARGET)
        )
    report = verified(tmp_path / "even")
    plan = json.loads(pq.read_metadata(tmp_path / "even" / layout.SHARDS).metadata[b"skyhaul"])
    derived = plan["job"]["derived"]
    assert derived["dropped"] == {"left out by even 1": derived["rows"] - report.rows}
    assert 0 < report.rows < derived["rows"]


def test_a_pipeline_that_adds_rows_or_gives_one_twice_is_refused(hauled: Hauled, tmp_path: Path) -> None:
    def write(name: str, change: Any) -> str:
        with pytest.raises(SkyhaulError) as caught, pipeline() as p:
            (
                p
                | ReadShards(str(hauled.root), provenance=True)
                | change
                | WriteShards(str(tmp_path / name), derived_from=str(hauled.root), made_by="odd 1")
            )
        return str(caught.value)

    assert "two rows have the id" in write("twice", beam.FlatMap(lambda row: [row, row]))
    moved = beam.Map(lambda row: {**row._asdict(), "offset": row.offset + 1})
    assert "an id is not `source/object#offset`" in write("moved", moved)
    more = beam.FlatMap(
        lambda row: [
            {name: value for name, value in {**row._asdict(), "source": source}.items() if name != "id"}
            for source in ("one", "other")
        ]
    )
    assert "none may be added" in write("more", more)
    bare = beam.Map(lambda row: {"text": row.text})
    assert "ReadShards(provenance=True)" in write("bare", bare)
    scored = beam.Map(lambda row: {**row._asdict(), "score": 1})
    assert "have a column 'score'" in write("scored", scored)
    typed = beam.Map(lambda row: {**row._asdict(), "text": 3})
    assert "column 'text'" in write("typed", typed)


def test_nothing_that_is_written_is_replaced(hauled: Hauled, tmp_path: Path) -> None:
    def write(words: str) -> None:
        change = beam.Map(lambda row: {**row._asdict(), "text": words})
        with pipeline() as p:
            (
                p
                | ReadShards(str(hauled.root), provenance=True)
                | change
                | WriteShards(str(tmp_path / "set"), derived_from=str(hauled.root), made_by="words 1")
            )

    write("a")
    (tmp_path / "set" / layout.commit_file(0)).unlink()
    with pytest.raises(CommitConflict):
        write("b")
    assert {row["text"] for row in rows(tmp_path / "set", "train")} == {"a"}
    write("a")
    verified(tmp_path / "set")


def test_rows_of_no_dataset_are_one_too(tmp_path: Path) -> None:
    made = [
        {
            "text": f"text {number}",
            "source": "mine",
            "object": f"{number % 3}.txt",
            "version": "",
            "offset": number,
            "length": 1,
        }
        for number in range(100)
    ]
    with pipeline() as p:
        p | beam.Create(made) | WriteShards(str(tmp_path / "set"), target_size="1kB")
    report = verified(tmp_path / "set")
    assert report.rows == 100
    assert report.shards > 3
    assert {row["text"] for row in rows(tmp_path / "set", "train")} == {row["text"] for row in made}


def test_bad_arguments_are_told_at_once(hauled: Hauled) -> None:
    with pytest.raises(UsageError, match="made_by"):
        WriteShards("x", derived_from=str(hauled.root))
    with pytest.raises(UsageError, match="target_size"):
        ReshardRows("x", "y", seed=1, target_size="many")
    with pytest.raises(UsageError, match="at least 1 byte"):
        CompactShards("x", "y", target_size=0)
