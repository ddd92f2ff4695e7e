"""`max_rejects`: a share, a count or both; the source's own counts before the job's; part of the plan."""

from __future__ import annotations

import pytest

from schemas.job.job_texts import FULL, changed
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.digest import digested_part, job_difference
from skyhaul_schemas.job.fieldtypes import Ceiling
from skyhaul_schemas.job.file import parse_job

PATTERNS = {"stdlib": ["**/*.py"]}


def parsed(line: str, source: str = ""):  # type: ignore[no-untyped-def]
    text = changed(FULL, "seed: 7", f"seed: 7\n{line}")
    if source:
        text = changed(text, "    format: text", f"    format: text\n    {source}")
    return parse_job(text, "job.yaml", {}).job


@pytest.mark.parametrize(
    ("value", "ceiling"),
    [
        ("5%", Ceiling(share=0.05)),
        ("0.05", Ceiling(share=0.05)),
        ("'0.05'", Ceiling(share=0.05)),
        ("0", Ceiling(count=0)),
        ("1000", Ceiling(count=1000)),
        ("'1000'", Ceiling(count=1000)),
        ("100%", Ceiling(share=1.0)),
        ("{share: 5%, count: 1000}", Ceiling(0.05, 1000)),
        ("{count: 7}", Ceiling(count=7)),
    ],
)
def test_what_it_may_say(value: str, ceiling: Ceiling) -> None:
    assert parsed(f"max_rejects: {value}").max_rejects == ceiling


@pytest.mark.parametrize("value", ["-1", "101%", "1.5", "many", "{}", "{shares: 5%}", "[5%]", "true"])
def test_what_it_may_not_say(value: str) -> None:
    with pytest.raises(UsageError, match=r"job.yaml:\d+:\d+: max_rejects: found .* allowed: "):
        parsed(f"max_rejects: {value}")


def test_the_source_outranks_the_job_and_the_plan_says_which_holds() -> None:
    def part(job):  # type: ignore[no-untyped-def]
        return digested_part(job, PATTERNS)

    job_wide, own = parsed("max_rejects: 5%"), parsed("max_rejects: 5%", "max_rejects: 10")
    assert part(job_wide)["sources"]["stdlib"]["max_rejects"] == {"share": 0.05}
    assert part(own)["sources"]["stdlib"]["max_rejects"] == {"count": 10}
    assert part(parsed("", "max_rejects: 5%")) == part(job_wide)
    assert job_difference(part(job_wide), part(own)) == [
        "sources.stdlib.max_rejects.count: plan has nothing, job says 10",
        "sources.stdlib.max_rejects.share: plan has 0.05, job says nothing",
    ]
    assert "max_rejects" not in part(parsed(""))["sources"]["stdlib"], "plans made before it stay valid"
