"""Verify finds each way in which files of a dataset and their rows can be wrong, and says which."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skyhaul.dataset.commits.record_files import same_commit
from skyhaul_schemas import layout
from verification.doctored import COMMIT, codes, doctor, first_file, only, recommit, rewrite, verified
from verification.doctored import root as root
from verification.doctored import whole as whole


def test_a_flipped_byte_is_found_by_the_digest_and_by_its_page(root: Path) -> None:
    path = first_file(root)
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(1)
    assert column.path_in_schema == "text"
    data[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    path.write_bytes(data)
    only(verified(root), "file-digest", f"{path.relative_to(root)}: its sha256 is not")
    assert codes(verified(root, deep=True)) == {"file-digest", "page-damaged"}


def test_a_flipped_byte_under_a_doctored_digest_is_found_by_its_page_checksum(root: Path) -> None:
    path = first_file(root)
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(1)
    data[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    path.write_bytes(data)
    recommit(root, path)
    assert verified(root).findings == []
    only(verified(root, deep=True), "page-damaged", "CRC")


@pytest.mark.parametrize("seed", range(25))
def test_no_flipped_bit_anywhere_goes_unnoticed(root: Path, seed: int) -> None:
    rng = random.Random(seed)
    files = sorted(
        path
        for folder in ("data", "_skyhaul/rejects", "_skyhaul/commits", "_skyhaul/plan")
        for path in (root / folder).rglob("*")
        if path.is_file()
    )
    path = rng.choice(files)
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    before = bytes(data)
    data[place] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    report = verified(root, deep=True)
    if report.exit_code() == 4:
        return
    if path.suffix == ".json":
        # Times, traffic and versions are no part of the proof.
        assert same_commit(before, bytes(data)), f"{path} at {place}"
    else:
        # A plan's footer has statistics and padding that nothing rests on.
        assert "plan" in path.parts, f"{path} at {place}"
        assert pq.read_table(path).equals(pq.read_table(pa.BufferReader(before)))


def test_a_missing_file(root: Path) -> None:
    path = first_file(root)
    path.unlink()
    only(verified(root), "file-missing", "it is gone; shard 0 was committed with it")


def test_a_cut_file(root: Path) -> None:
    path = first_file(root)
    os.truncate(path, path.stat().st_size - 1)
    report = verified(root)
    assert codes(report) == {"file-size", "file-unreadable"}


def test_missing_rejects(root: Path) -> None:
    (root / layout.rejects_file(0)).unlink()
    only(verified(root), "file-missing", layout.rejects_file(0))


def test_a_shard_written_twice_under_two_names(root: Path) -> None:
    path = first_file(root)
    name = "train-0000000-999.parquet"
    shutil.copy(path, path.with_name(name))
    only(verified(root), "stray-file", f"data/0000/{name}: shard 0 was committed without it")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data/0000/notes.txt", "no name of a shard's file"),
        ("data/0000/train-0000099-000.parquet", "the plan ends with shard"),
        ("data/0001/train-0000000-000.parquet", "it is in no group of the plan"),
        ("data/beside.parquet", "it is in no group of the plan"),
        ("_skyhaul/rejects/0000/0000000-copy.parquet", "no name of a shard's file"),
    ],
)
def test_files_that_no_record_speaks_of(root: Path, name: str, words: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(b"")
    only(verified(root), "stray-file", words)


def test_files_of_a_shard_that_was_killed_before_its_commit_are_no_damage(root: Path) -> None:
    (root / COMMIT).unlink()
    assert first_file_exists(root)
    assert verified(root, deep=True).exit_code() == 75


def first_file_exists(root: Path) -> bool:
    return any((root / "data").rglob("*-0000000-*.parquet"))


def test_another_schema(root: Path) -> None:
    rewrite(root, lambda table: table.drop_columns(["language"]))
    only(verified(root), "schema-differs", "column language is missing")


def test_another_type(root: Path) -> None:
    path = first_file(root)
    table = pq.read_table(path)
    other = table.set_column(
        1, pa.field("text", pa.string(), nullable=False), table["text"].cast(pa.string())
    )
    pq.write_table(other, path)
    recommit(root, path)
    only(verified(root), "schema-differs", "column text is string, not large_string")


def test_no_parquet_at_all(root: Path) -> None:
    path = first_file(root)
    path.write_bytes(b"PAR1 not really PAR1")
    assert "file-unreadable" in codes(verified(root))


def altered(table: pa.Table, column: str, values: list[Any]) -> pa.Table:
    index = table.schema.get_field_index(column)
    return table.set_column(
        index, table.schema.field(index), pa.array(values, table.schema.field(index).type)
    )


def provenance(table: pa.Table, **change: Any) -> pa.Table:
    """The first row's provenance changed, and its id with it."""
    values = table["provenance"].to_pylist()
    values[0] |= change
    ids = [f"{v['source']}/{v['object']}#{v['offset']}" for v in values]
    return altered(altered(table, "provenance", values), "id", ids)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda t: altered(t, "id", ["x", *t["id"].to_pylist()[1:]]), "id-differs", "not made of its row's"),
        (lambda t: provenance(t, source="texts"), "provenance-outside", "another source than lines"),
        (lambda t: provenance(t, object="else"), "provenance-outside", "not of its shard"),
        (lambda t: provenance(t, version="v"), "provenance-outside", "another version"),
        (lambda t: provenance(t, offset=10**9), "provenance-outside", "outside of the chunks"),
        (lambda t: pa.concat_tables([t, t.slice(t.num_rows - 1)]), "id-twice", "there twice"),
        (lambda t: pa.concat_tables([t.slice(1), t.slice(0, 1)]), "row-order", "not in the order"),
    ],
    ids=["id", "source", "object", "version", "offset", "twice", "order"],
)  # fmt: skip
def test_deep_checks_every_row(
    root: Path, change: Callable[[pa.Table], pa.Table], code: str, words: str
) -> None:
    before = pq.read_metadata(first_file(root)).num_rows
    rewrite(root, change)
    more = pq.read_metadata(first_file(root)).num_rows - before

    def count(record: dict[str, Any]) -> None:
        record["records"]["read"] += more
        record["records"]["written"] += more

    doctor(root, count)
    assert verified(root).findings == []
    only(verified(root, deep=True), code, words)


def test_a_row_in_another_split(root: Path) -> None:
    record = json.loads((root / COMMIT).read_text())
    train, validation = (
        next(root / f["path"] for f in record["files"] if f"/{split}-" in f["path"])
        for split in ("train", "validation")
    )
    tables = pq.read_table(train), pq.read_table(validation)
    pq.write_table(tables[1], train, write_page_checksum=True)
    recommit(root, train)
    more = tables[1].num_rows - tables[0].num_rows

    def count(record: dict[str, Any]) -> None:
        record["records"]["read"] += more
        record["records"]["written"] += more

    doctor(root, count)
    report = verified(root, deep=True)
    assert "split-differs" in codes(report)


def test_a_name_in_a_footer_that_is_no_text_is_a_finding(root: Path) -> None:
    path = first_file(root)
    data = path.read_bytes()
    at = data.index(b"provenance", len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    report = verified(root, deep=True)
    assert codes(report) == {"file-digest", "file-unreadable"}
    assert report.exit_code() == 4


@pytest.mark.parametrize("seed", range(3))
def test_no_byte_of_a_footer_brings_verify_down(root: Path, seed: int) -> None:
    """Footers have no checksum, so that the reader meets what was changed in them."""
    rng = random.Random(seed)
    targets = [
        first_file(root),
        next((root / "_skyhaul/rejects").rglob("*.parquet")),
        root / layout.OBJECTS,
        root / layout.SHARDS,
    ]
    for path in targets:
        sound = path.read_bytes()
        footer = int.from_bytes(sound[-8:-4], "little") + 8
        for _ in range(6):
            data = bytearray(sound)
            data[len(data) - 1 - rng.randrange(footer)] ^= 1 << rng.randrange(8)
            path.write_bytes(data)
            report = verified(root, deep=True)
            assert report.findings or layout.PLAN in str(path), "a committed file is digested"
        path.write_bytes(sound)
