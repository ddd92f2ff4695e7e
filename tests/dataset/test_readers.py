"""What training jobs read with opens the result, with the same counts. Readers that are not installed are
skipped: `pip install datasets duckdb polars`."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset
import pytest

from dataset.hauled import JOB, Hauled, plan_small
from skyhaul.dataset.card import write_card
from skyhaul.dataset.survey import Survey, survey

BLOBS = (
    JOB.replace("sources:\n", "schema: blob\nsources:\n")
    .replace("    format: jsonl\n    fields: {{text: body, source_id: id}}\n", "    format: binary\n")
    .replace("    format: text\n", "    format: binary\n")
)


@pytest.fixture(scope="module", params=["document", "blob"])
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Hauled, Survey]:
    job = JOB if request.param == "document" else BLOBS
    hauled = plan_small(tmp_path_factory.mktemp("read"), job=job)
    hauled.haul()
    seen = survey(hauled.plan, hauled.store)
    write_card(hauled.store, hauled.plan, seen, hauled.loaded.job)
    hauled.store.close()
    assert seen.exit_code() == 0
    return hauled, seen


def test_pyarrow_reads_all_files_as_one_dataset(finished: tuple[Hauled, Survey]) -> None:
    hauled, seen = finished
    for name, split in seen.splits.items():
        files = [str(path) for path in hauled.root.glob(f"data/*/{name}-*.parquet")]
        table = pyarrow.dataset.dataset(files).to_table()
        assert table.num_rows == split.rows
        assert len(set(table["id"].to_pylist())) == split.rows


def test_duckdb_reads_the_same_counts(finished: tuple[Hauled, Survey]) -> None:
    duckdb = pytest.importorskip("duckdb")
    hauled, seen = finished
    for name, split in seen.splits.items():
        pattern = f"{hauled.root}/data/*/{name}-*.parquet"
        counts = duckdb.sql(f"select count(*), count(distinct id) from '{pattern}'").fetchall()
        assert counts == [(split.rows, split.rows)]


def test_polars_reads_the_same_counts_and_filters_by_provenance(finished: tuple[Hauled, Survey]) -> None:
    polars = pytest.importorskip("polars")
    hauled, seen = finished
    frame = polars.scan_parquet(f"{hauled.root}/data/*/*.parquet")
    assert frame.select(polars.len()).collect().item() == seen.records.written
    one = frame.filter(polars.col("provenance").struct.field("object") == "000.txt").collect()
    assert one["id"].to_list() == ["texts/000.txt#0"]


def test_hugging_face_datasets_follow_the_card(
    finished: tuple[Hauled, Survey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    hauled, seen = finished
    loaded = datasets.load_dataset(str(hauled.root), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in loaded.items()} == {
        name: split.rows for name, split in seen.splits.items()
    }
    for name, split in seen.splits.items():
        streamed = datasets.load_dataset(str(hauled.root), split=name, streaming=True)
        assert sum(1 for _ in streamed) == split.rows
