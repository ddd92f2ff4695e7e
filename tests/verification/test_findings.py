"""Verify finds each way in which a dataset can be wrong, and says which."""

from __future__ import annotations

import hashlib
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

from dataset.hauled import Hauled, plan_small
from skyhaul.dataset.commits.record_files import read_commit, same_commit, write_failure
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import VerifyReport, verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.commit import FailureRecord
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.self_digest import digested_line

COMMIT = layout.commit_file(0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Hauled:
    hauled = plan_small(tmp_path_factory.mktemp("whole"))
    hauled.haul()
    hauled.store.close()
    return hauled


@pytest.fixture
def root(whole: Hauled, tmp_path: Path) -> Path:
    """A copy of a whole dataset, to be doctored."""
    shutil.copytree(whole.root, tmp_path / "set")
    return tmp_path / "set"


def verified(root: Path, *, deep: bool = False) -> VerifyReport:
    return verify_dataset(open_store(str(root), writable=False), deep=deep)


def codes(report: VerifyReport) -> set[str]:
    return {finding.code for finding in report.findings}


def only(report: VerifyReport, code: str, words: str) -> None:
    """The one finding there is."""
    assert [finding.code for finding in report.findings] == [code], [str(f) for f in report.findings]
    assert words in str(report.findings[0])
    assert report.exit_code() == 4


def doctor(root: Path, change: Callable[[dict[str, Any]], None], path: str = COMMIT) -> None:
    record = json.loads((root / path).read_text())
    change(record)
    (root / path).write_bytes(digested_line(record))


def first_file(root: Path) -> Path:
    return root / json.loads((root / COMMIT).read_text())["files"][0]["path"]


def recommit(root: Path, path: Path) -> None:
    """Make the commit record say what the doctored file is, so that only its content is wrong."""
    data = path.read_bytes()
    footer = pq.read_metadata(path)
    raw = sum(footer.row_group(n).total_byte_size for n in range(footer.num_row_groups))

    def change(record: dict[str, Any]) -> None:
        for file in [*record["files"], record["rejects"]]:
            if file and root / file["path"] == path:
                file.update(
                    bytes=len(data),
                    sha256=hashlib.sha256(data).hexdigest(),
                    rows=footer.num_rows,
                    raw_bytes=raw,
                )

    doctor(root, change)


def rewrite(root: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Rewrite the first file with other rows, and have the commit record agree with it."""
    path = first_file(root)
    table = change(pq.read_table(path))
    pq.write_table(table, path, write_page_checksum=True)
    recommit(root, path)


def test_a_whole_dataset_is_proved(root: Path, whole: Hauled) -> None:
    for deep in (False, True):
        report = verified(root, deep=deep)
        assert report.findings == []
        assert report.exit_code() == 0
        assert report.shards_committed == report.shards == whole.plan.header.shards
        assert report.rows == sum(record.records.written for record in map_records(whole))
        assert report.to_json()["files"] == report.files > report.shards
        assert report.bytes == sum(
            path.stat().st_size
            for folder in ("data", "_skyhaul/rejects")
            for path in (root / folder).rglob("*.parquet")
        )


def map_records(whole: Hauled) -> list[Any]:
    return [read_commit(whole.store, number) for number in range(whole.plan.header.shards)]


def test_an_unfinished_dataset_that_is_sound_says_75(root: Path) -> None:
    (root / COMMIT).unlink()
    report = verified(root, deep=True)
    assert (report.findings, report.exit_code(), report.shards_left) == ([], 75, 1)


def test_failed_shards_of_a_finished_dataset_say_3(root: Path, whole: Hauled) -> None:
    (root / COMMIT).unlink()
    failure = FailureRecord(
        shard=0, plan=whole.plan.header.digest, source="lines", kind="ObjectMissing", reason="gone",
        attempts=1, where="a", final=True, at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    write_failure(open_store(str(root), writable=True), failure)
    report = verified(root)
    assert (report.findings, report.exit_code(), report.shards_failed) == ([], 3, 1)


def test_a_folder_without_a_plan_is_a_matter_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no plan"):
        verified(tmp_path)


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


def test_a_doctored_count_that_does_not_add_up(root: Path) -> None:
    doctor(root, lambda record: record["records"].update(written=1))
    only(verified(root), "counts-differ", "records do not add up")


def test_a_doctored_count_that_adds_up(root: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        record["records"]["read"] += 1
        record["records"]["written"] += 1

    doctor(root, change)
    only(verified(root), "counts-differ", "rows written, its files hold")


def test_a_doctored_count_of_a_file(root: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        for counts in (record["records"], record["files"][0]):
            counts["written" if "written" in counts else "rows"] += 1
        record["records"]["read"] += 1

    doctor(root, change)
    only(verified(root), "counts-differ", "its commit record says")


def test_doctored_rejects_raw_bytes_and_rules(root: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        record["files"][0]["raw_bytes"] += 1
        record["records"]["rejected"] += 1
        record["records"]["filtered"] += 1
        record["records"]["read"] += 2

    doctor(root, change)
    report = verified(root)
    assert codes(report) == {"counts-differ"}
    text = " ".join(map(str, report.findings))
    assert all(words in text for words in ("raw bytes", "records rejected", "records filtered"))


def test_a_source_range_that_the_record_did_not_take(root: Path) -> None:
    taken = json.loads((root / COMMIT).read_text())["sources"][0]
    offset, length = taken["ranges"][0]
    doctor(root, lambda record: record["sources"][0].update(ranges=[[offset, length - 10]]))
    only(
        verified(root),
        "range-missing",
        f"bytes {offset + length - 10} to {offset + length} of {taken['object']}",
    )


def test_a_source_range_that_the_record_took_twice(root: Path) -> None:
    doctor(root, lambda record: record["sources"].append(record["sources"][0]))
    only(verified(root), "range-twice", "are 2 times in its commit record")


def test_a_source_range_of_another_shard(root: Path) -> None:
    other = json.loads((root / layout.commit_file(1)).read_text())["sources"][0]
    doctor(root, lambda record: record["sources"].append(other))
    report = verified(root)
    assert codes(report) == {"range-twice"}
    assert "planned for another shard" in str(report.findings[0])


def test_chunks_in_another_order(root: Path) -> None:
    doctor(root, lambda record: record["sources"].reverse())
    only(verified(root), "range-order", "in another order")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"plan": "0" * 64}, "commit-of-another-plan", "it is of plan 0000000000000000"),
        ({"source": "texts"}, "commit-of-another-source", "it is of source texts, and the shard is"),
        ({"shard": 1}, "commit-misplaced", "it is the record of shard 1"),
        ({"extra": 1}, "commit-unreadable", "extra"),
    ],
)
def test_a_record_of_something_else(root: Path, change: dict[str, Any], code: str, words: str) -> None:
    doctor(root, lambda record: record.update(change))
    report = verified(root)
    assert code in codes(report)
    assert words in " ".join(map(str, report.findings))
    assert report.exit_code() == 4


def test_a_record_that_is_cut(root: Path) -> None:
    os.truncate(root / COMMIT, 100)
    only(verified(root), "commit-unreadable", "commit record of shard 0")


def test_a_record_beyond_the_plan(root: Path) -> None:
    shutil.copy(root / COMMIT, root / layout.commit_file(700))
    only(verified(root), "commit-unplanned", "shard 700 is committed, but the plan ends with shard")


def test_a_file_that_the_record_names_otherwise(root: Path) -> None:
    path = first_file(root)
    other = path.with_name("train-0000000-777.parquet")
    path.rename(other)
    doctor(root, lambda record: record["files"][0].update(path=str(other.relative_to(root))))
    report = verified(root)
    assert codes(report) == {"file-misnamed"}
    assert "where data/0000/train-0000000-000.parquet is due" in str(report.findings[0])


def test_a_file_outside_of_the_dataset_is_never_opened(root: Path) -> None:
    doctor(root, lambda record: record["files"][0].update(path="../../../../etc/hostname"))
    report = verified(root, deep=True)
    assert "file-misnamed" in codes(report)
    assert all("has" not in f.message for f in report.findings if f.path and ".." in f.path)


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


def rewrite_plan(root: Path, path: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rewrite the rows of one of the plan's files under its old header."""
    footer = pq.read_metadata(root / path).metadata
    table = pq.read_table(root / path)
    rows = table.to_pylist()
    change(rows)
    with pq.ParquetWriter(root / path, table.schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=table.schema), row_group_size=8192)
        writer.add_key_value_metadata({k: v for k, v in footer.items() if k.startswith(b"skyhaul")})


def test_a_plan_whose_objects_were_changed(root: Path) -> None:
    rewrite_plan(root, layout.OBJECTS, lambda rows: rows[-1].update(version="mtime:1"))
    report = verified(root)
    assert codes(report) == {"plan-digest", "plan-pin-differs"}
    assert "pins another version of" in " ".join(map(str, report.findings))


def test_a_plan_whose_objects_are_out_of_order(root: Path) -> None:
    rewrite_plan(root, layout.OBJECTS, lambda rows: rows.reverse())
    assert codes(verified(root)) == {"plan-digest", "plan-order"}


def test_a_plan_without_one_of_its_objects(root: Path) -> None:
    rewrite_plan(root, layout.OBJECTS, lambda rows: rows.pop())
    assert codes(verified(root)) == {"plan-digest", "plan-counts", "plan-object-unknown"}


def longest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return max((row for row in rows if row["offset"] > 0), key=lambda row: row["length"])


def test_a_plan_that_covers_a_range_twice(root: Path) -> None:
    rewrite_plan(
        root,
        layout.SHARDS,
        lambda rows: longest(rows).update(
            offset=longest(rows)["offset"] - 5, length=longest(rows)["length"] + 5
        ),
    )
    report = verified(root)
    assert "plan-range-twice" in codes(report)
    assert "are in 2 chunks of the plan" in " ".join(map(str, report.findings))


def test_a_plan_that_covers_a_range_not_at_all(root: Path) -> None:
    rewrite_plan(root, layout.SHARDS, lambda rows: longest(rows).update(length=longest(rows)["length"] - 5))
    report = verified(root)
    assert "plan-range-missing" in codes(report)
    assert "are in no shard of the plan" in " ".join(map(str, report.findings))


def test_a_plan_that_cannot_be_trusted(root: Path) -> None:
    os.truncate(root / layout.SHARDS, 200)
    only(verified(root), "plan-damaged", layout.SHARDS)


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


def test_rot_in_failure_run_and_certificate_is_found(root: Path) -> None:
    (root / layout.commit_file(0)).unlink()
    record = FailureRecord(
        shard=0, plan="p", source="lines", kind="K", reason="r", attempts=1, where="w", final=True, at="a"
    )
    kept = {layout.failure_file(0): record.to_line(indent=2), layout.CERTIFICATE: digested_line({"rows": 1})}
    for path, data in kept.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    assert verified(root).exit_code() == 3
    doctored = {layout.failure_file(0): "failure-unreadable", layout.CERTIFICATE: "certificate-damaged"}
    for path, code in doctored.items():
        (root / path).write_bytes(kept[path].replace(b"1", b"2", 1))
        only(verified(root), code, path)
        (root / path).write_bytes(kept[path])


def test_what_was_passed_over_adds_up_by_reason(root: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        record["records"]["read"] += 2
        record["records"]["passed_over"] += 2
        record["passed_over_by"]["a link"] = 1

    doctor(root, change)
    only(verified(root), "counts-differ", "records passed over, its reasons count")


def test_findings_are_counted_beyond_those_that_are_kept() -> None:
    report = VerifyReport()
    for number in range(2500):
        report.add("stray-file", f"{number}\n")
    assert (len(report.findings), report.findings_total) == (1000, 2500)
    assert str(report.findings[0]) == "stray-file: 0\\n"
    assert report.to_json()["findings_total"] == 2500
