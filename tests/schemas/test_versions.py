"""docs/versions.md: its numbers are those of the code; records of 0.1.0 are read, unknown keys refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from skyhaul.certify import certificate
from skyhaul.planning.store.checked_rows import parse_header
from skyhaul.planning.versions import PLAN_FORMAT
from skyhaul_connectors.links.contract import ledger
from skyhaul_connectors.transfer.spool import journal
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import PlanDamaged

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "versions.md").read_text()

OF_0_1_0 = (
    b'{"shard":0,"plan":"60c0b435a9e994c53af11de2eee9d2e9f06f09bd4e52b2815c5f5bdfd134634b","source":"s",'
    b'"files":[{"path":"data/0000/train-0000000-000.parquet","bytes":3576,'
    b'"sha256":"73faaf5d57467a52efaa4068bed01025b888533d1bcc0e12ddee1f76633f6f02","rows":1,"raw_bytes":626}],'
    b'"rejects":null,"sources":[{"object":"1.jsonl","ranges":[[0,28]],'
    b'"sha256":"762362911b3587d2492fe11e7f5d4454392388cbc53498d61d3f8f5026d6a23c","damaged":false,'
    b'"skipped":[]}],"records":{"read":1,"written":1,"filtered":0,"rejected":0},'
    b'"filtered_by":{},"transfer":{},"started":"2026-11-28T12:00:00Z","finished":"2026-11-28T12:00:01Z",'
    b'"versions":{"pyarrow":"25.0.1","skyhaul":"0.1.0","skyhaul.shards":"2"}}'
)
"""A commit record in the form that commit 5f09159 wrote."""


@pytest.mark.parametrize(
    ("row", "number"),
    [
        ("| plan (each generation) | `format` {}", PLAN_FORMAT),
        ("| spool journal | `user_version` {}", journal.FORMAT),
        ("| ledger of a link | `user_version` {}", ledger.FORMAT),
        ("| certificate | `format` {}", certificate.FORMAT),
    ],
)
def test_the_page_states_the_formats_that_are_written(row: str, number: int) -> None:
    assert row.format(number) in PAGE


def test_a_commit_record_of_0_1_0_is_read_with_nothing_passed_over_and_no_digest() -> None:
    record = CommitRecord.model_validate_json(OF_0_1_0)
    assert record.digest is None
    assert (record.records.passed_over, record.passed_over_by, record.nulled_by) == (0, {}, {})


def test_a_record_with_a_key_that_is_not_known_is_refused() -> None:
    newer = OF_0_1_0.replace(b'{"shard":0', b'{"tomorrow":1,"shard":0')
    with pytest.raises(ValueError, match=r"(?s)tomorrow.*not permitted"):
        CommitRecord.model_validate_json(newer)


def test_a_plan_of_another_format_is_refused_as_one_that_another_version_wrote() -> None:
    with pytest.raises(PlanDamaged, match="its format is not 1; another version wrote it"):
        parse_header(b'{"format": 2}')
