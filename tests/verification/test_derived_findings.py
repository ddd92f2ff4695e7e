"""Verify on derived datasets: what is changed, lost or put elsewhere is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.beam.pipelines import pipeline

from dataset.hauled import plan_small
from skyhaul.beam import CompactShards, ReshardRows
from skyhaul.dataset.commits.record_files import read_commit
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import VerifyReport, verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    hauled = plan_small(folder)
    hauled.haul()
    with pipeline() as p:
        p | "A" >> ReshardRows(str(hauled.root), str(folder / "reshard"), seed=1, target_size="60kB")
        p | "B" >> CompactShards(str(hauled.root), str(folder / "compact"), target_size="60kB")
    return folder


@pytest.fixture(params=["reshard", "compact"])
def root(request: pytest.FixtureRequest, whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole / request.param, tmp_path / request.param)
    return tmp_path / str(request.param)


def codes(root: Path, *, deep: bool = True) -> list[str]:
    report = verified(root, deep=deep)
    return sorted({finding.code for finding in report.findings})


def verified(root: Path, *, deep: bool = True) -> VerifyReport:
    return verify_dataset(open_store(str(root), writable=False), deep=deep)


def rewritten(root: Path, change: Any) -> None:
    """Rows of a file of shard 0 changed, and its commit record with them, as a forger would."""
    store = open_store(str(root), writable=True)
    record = read_commit(store, 0)
    assert record is not None
    entry = record.files[0]
    path = root / entry.path
    pq.write_table(change(pq.read_table(path)), path)
    data = path.read_bytes()
    metadata = pq.read_metadata(path)
    raw = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    made = entry.model_copy(
        update={
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": metadata.num_rows,
            "raw_bytes": raw,
        }
    )
    lost = entry.rows - metadata.num_rows
    counts = {"read": record.records.read - lost, "written": record.records.written - lost}
    fields = record.model_dump(exclude={"digest"})
    fields |= {
        "files": [made.model_dump(), *fields["files"][1:]],
        "records": {**fields["records"], **counts},
    }
    (root / layout.commit_file(0)).write_bytes(CommitRecord.model_validate(fields).to_line())


def text_changed(table: pa.Table) -> pa.Table:
    texts = table.column("text").to_pylist()
    texts[3] += "!"
    return table.set_column(
        table.schema.get_field_index("text"), table.schema.field("text"), pa.array(texts, pa.large_string())
    )


def test_a_changed_word_is_found_though_all_digests_say_otherwise(root: Path) -> None:
    assert verified(root).exit_code() == 0
    rewritten(root, text_changed)
    assert codes(root) == ["rows-differ"]


def test_a_row_that_is_gone_is_found(root: Path) -> None:
    rewritten(root, lambda table: table.slice(1))
    assert codes(root) == ["rows-differ", "rows-lost"]
    assert codes(root, deep=False) == ["rows-lost"]


def test_a_row_that_is_there_twice_or_out_of_order_is_found(whole: Path, tmp_path: Path) -> None:
    for name, change in (
        ("twice", lambda table: pa.concat_tables([table.slice(0, 1), table.slice(0, table.num_rows - 1)])),
        ("order", lambda table: table.take(list(range(table.num_rows))[::-1])),
    ):
        shutil.copytree(whole / "reshard", tmp_path / name)
        rewritten(tmp_path / name, change)
        assert codes(tmp_path / name) == ["row-order"]


def test_a_row_of_another_shard_is_found(whole: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(whole / "reshard", root)
    other = pq.read_table(root / layout.data_file(1, "train", 0)).slice(0, 1)
    rewritten(root, lambda table: pa.concat_tables([table, other]))
    assert "row-misplaced" in codes(root)


def test_an_id_that_is_not_made_of_its_row_is_found(root: Path) -> None:
    def renamed(table: pa.Table) -> pa.Table:
        ids = table.column("id").to_pylist()
        ids[0] += "0"
        return table.set_column(0, table.schema.field("id"), pa.array(ids, pa.string()))

    rewritten(root, renamed)
    assert codes(root) == ["id-differs"]


def test_inputs_and_derivation_are_held_against_the_plan(root: Path) -> None:
    inputs = pq.read_table(root / layout.INPUTS)
    pq.write_table(inputs.slice(1), root / layout.INPUTS)
    assert codes(root) == ["inputs-differ"]
    (root / layout.INPUTS).unlink()
    assert codes(root) == ["inputs-damaged"]
    pq.write_table(inputs, root / layout.INPUTS)
    derivation = json.loads((root / layout.DERIVATION).read_bytes())
    (root / layout.DERIVATION).write_text(json.dumps({**derivation, "made_by": "another"}))
    assert codes(root) == ["derivation-differs"]
    (root / layout.DERIVATION).unlink()
    assert codes(root) == ["derivation-differs"]
