"""Fields that are null since their values do not fit: counted in the commit, shown where records are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.hauling.living import Living

from skyhaul_schemas import layout
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import parse_job

LINES = b'{"text":"a","created":"2024-01-01"}\n{"text":"b","created":"soon"}\n{"text":7}\n'
COUNTED = {"created: no ISO 8601 time": 1}


def test_it_is_counted_by_field_and_reason(tmp_path: Path) -> None:
    living = Living(tmp_path, sources={"s": {"url": f"{tmp_path}/region/*"}}, on_drift=None)
    (living.region / "a.jsonl").write_bytes(LINES)
    run = living.program("run", "--json", "-q")
    assert (run.returncode, json.loads(run.stdout)["nulled_by"]) == (0, COUNTED)
    record = json.loads((living.dataset / layout.commit_file(0)).read_bytes())
    assert record["nulled_by"] == COUNTED
    assert record["records"] == {"read": 3, "written": 2, "filtered": 0, "rejected": 1, "passed_over": 0}
    assert living.status().to_json()["records"]["nulled_by"] == COUNTED
    assert "1 created: no ISO 8601 time" in living.program("status").stdout
    verify = living.program("verify")
    assert verify.returncode == 0
    assert "1 field made null" in verify.stdout
    assert "created: no ISO 8601 time 1" in (living.dataset / "README.md").read_text()
    again = living.program("run", "--json", "-q")
    assert json.loads(again.stdout)["nulled_by"] == {}, "nothing was hauled"


JOB = "version: 1\nname: j\ndataset: out\nsources: {s: {url: in/*}}\non_drift: "


@pytest.mark.parametrize("written", ["null", "~", "", '"null"'])
def test_yaml_may_take_it_for_its_own_null(written: str) -> None:
    assert parse_job(JOB + written, "job.yaml", {}).job.on_drift == "null"


def test_other_words_are_refused() -> None:
    with pytest.raises(UsageError, match="on_drift"):
        parse_job(JOB + "none", "job.yaml", {})
