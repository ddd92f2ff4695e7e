"""Verify finds each way in which records of a dataset can be wrong, and says which."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dataset.hauled import Hauled
from skyhaul.dataset.commits.record_files import read_commit, write_failure
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import VerifyReport
from skyhaul_schemas import layout
from skyhaul_schemas.commit import FailureRecord
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.self_digest import digested_line
from verification.doctored import COMMIT, codes, doctor, first_file, only, verified
from verification.doctored import root as root
from verification.doctored import whole as whole


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
