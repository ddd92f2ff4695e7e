"""`ReadShards`: the rows of what is committed, in the dataset's schema, and nothing else."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.beam.pipelines import Receipt, pipeline, take

from dataset.hauled import Hauled, plan_small
from skyhaul.beam import ReadShards
from skyhaul.dataset.commits.record_files import read_commit
from skyhaul_schemas import layout
from skyhaul_schemas.errors import RecordDamaged, SkyhaulError, UsageError


@pytest.fixture(scope="module")
def hauled(tmp_path_factory: pytest.TempPathFactory) -> Hauled:
    made = plan_small(tmp_path_factory.mktemp("hauled"))
    made.haul()
    return made


def ids(root: Path) -> list[str]:
    """Of all data files."""
    return sorted(
        value
        for path in (root / "data").rglob("*.parquet")
        for value in pq.read_table(path, columns=["id"]).column("id").to_pylist()
    )


@pytest.mark.parametrize("repeat", [0, 1])
def test_a_dataset_gives_each_row_once(hauled: Hauled, repeat: int) -> None:
    with pipeline(repeat=repeat) as p:
        taken = take(p | ReadShards(str(hauled.root)) | beam.Map(lambda row: row.id))
    assert sorted(taken) == ids(hauled.root)


def test_rows_have_the_schema_of_the_dataset_and_can_be_grouped(hauled: Hauled) -> None:
    with pipeline() as p:
        rows = p | ReadShards(str(hauled.root), columns=["text", "created"], provenance=["shard", "source"])
        fields = dict(rows.element_type._fields)
        sums = rows | beam.GroupBy("source").aggregate_field("shard", max, "last")
        taken = take(sums | beam.Map(lambda row: (row.source, row.last)))
    assert list(fields) == ["text", "created", "source", "shard"]
    assert fields["text"] is str
    assert "Timestamp" in str(fields["created"])
    last = {shard.source: shard.number for shard in hauled.shards()}
    assert dict(taken) == last


def test_provenance_says_where_a_row_was_read(hauled: Hauled) -> None:
    with pipeline() as p:
        taken = take(p | ReadShards(str(hauled.root), columns=["id"], provenance=True))
    table = pq.read_table(hauled.root / "data", columns=["id", "provenance"]).to_pylist()
    expected = {row["id"]: row["provenance"] for row in table}
    assert len(taken) == len(expected)
    for row in taken:
        assert {name: getattr(row, name) for name in expected[row.id]} == expected[row.id]
        assert row.dataset == str(hauled.root)
        record = read_commit(hauled.store, row.shard)
        assert record is not None
        assert row.split in {path.path.split("/")[-1].split("-")[0] for path in record.files}


def test_batches_are_arrows(hauled: Hauled) -> None:
    with pipeline() as p:
        taken = take(p | ReadShards(str(hauled.root), columns=["id", "text"], batches=True))
    assert all(isinstance(batch, pa.RecordBatch) for batch in taken)
    assert sorted(pa.Table.from_batches(taken).column("id").to_pylist()) == ids(hauled.root)


def test_receipts_of_what_was_not_committed_have_no_rows(tmp_path: Path) -> None:
    half = plan_small(tmp_path)
    records = half.haul(half.shards()[:2])
    place = str(half.root)
    receipts = [
        Receipt(place, 0, "committed", records[0].plan),
        Receipt(place, 1, "failed"),
        Receipt(place, 2, "deferred"),
    ]
    with pipeline() as p:
        taken = take(p | beam.Create(receipts) | ReadShards(columns=["id"], provenance=["shard"]))
        every = take(p | "Paths" >> beam.Create([place]) | "All" >> ReadShards(provenance=["shard"]))
    assert {row.shard for row in taken} == {0}
    assert len(taken) == records[0].records.written
    assert {row.shard for row in every} == {0, 1}


def test_a_file_that_no_commit_record_names_is_not_read(tmp_path: Path) -> None:
    made = plan_small(tmp_path)
    made.haul(made.shards()[:1])
    stray = made.root / layout.data_file(1, "train", 0)
    stray.write_bytes((made.root / layout.data_file(0, "train", 0)).read_bytes())
    with pipeline() as p:
        taken = take(p | ReadShards(str(made.root), provenance=["shard"]))
    assert {row.shard for row in taken} == {0}


def test_a_receipt_of_a_shard_that_is_not_committed_fails_the_pipeline(tmp_path: Path) -> None:
    made = plan_small(tmp_path)
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | beam.Create([Receipt(str(made.root), 0, "committed")]) | ReadShards()
    assert isinstance(caught.value, RecordDamaged)
    assert "shard 0" in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "digests", "words"),
    [
        (lambda data: data[:-1], False, "bytes, its commit record says"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], True, "its sha256"),
    ],
)
def test_a_file_that_is_not_as_it_was_committed_gives_no_row(
    tmp_path: Path, damage: object, digests: bool, words: str
) -> None:
    made = plan_small(tmp_path)
    made.haul()
    path = made.root / layout.data_file(0, "train", 0)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | ReadShards(str(made.root), digests=digests)
    assert isinstance(caught.value, RecordDamaged)
    assert words in str(caught.value)


def test_a_missing_file_is_told_with_its_way_out(tmp_path: Path) -> None:
    made = plan_small(tmp_path)
    made.haul()
    (made.root / layout.data_file(0, "train", 0)).unlink()
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | ReadShards(str(made.root))
    assert "is gone; `skyhaul replay --damaged`" in str(caught.value)


def test_what_a_dataset_does_not_have_is_refused_before_anything_runs(hauled: Hauled, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="columns: no 'txt'"), pipeline() as p:
        p | ReadShards(str(hauled.root), columns=["txt"])
    with pytest.raises(UsageError, match="provenance: no 'objekt'"), pipeline() as p:
        p | ReadShards(str(hauled.root), provenance=["objekt"])
    with pytest.raises(UsageError, match="holds no plan"), pipeline() as p:
        p | ReadShards(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="needs a dataset"), pipeline() as p:
        p | ReadShards()
    with pytest.raises(UsageError, match="takes no dataset"), pipeline() as p:
        p | beam.Create(["x"]) | ReadShards(str(hauled.root))
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | beam.Create([str(hauled.root)]) | ReadShards(schema="blob")
    assert "say `schema='document'`" in str(caught.value)
    with pytest.raises(SkyhaulError) as caught, pipeline() as p:
        p | beam.Create([3]) | ReadShards()
    assert "int is no receipt" in str(caught.value)
