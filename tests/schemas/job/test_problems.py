"""Whatever stands at a key of the job file, the line that refuses it says what is allowed there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.job.model import AboutSpec, Job, LinkSpec, ShardsSpec, SourceSpec
from skyhaul_schemas.job.transforms import RULES

PARTS: dict[str, tuple[type[BaseModel], tuple[str, ...]]] = {
    "job": (Job, ()),
    "source": (SourceSpec, ("sources", "here")),
    "link": (LinkSpec, ("links", "leo")),
    "shards": (ShardsSpec, ("shards",)),
    "about": (AboutSpec, ("about",)),
    **{f"rule {kind}": (model, ("transforms", "0")) for kind, model in RULES.items()},
}
ODD: list[object] = [
    None, True, 0, -1, 1.5, 1e300, 10**39, "", "x", " ", "1", "\0", "x" * 2100, "\u0662" * 4400,
    "1e5", "01:00", "2026-13-45", "2026-11-22", "0%", "-5%", "1/2", "://", "redis://[", "http://[::1",
    [], [None], ["x"], [[]], [1, 2], {}, {"x": 1}, {"": None}, {"list": 1}, {"share": "x"}, {"count": -1},
    {"08:00-18:00": "x"}, {"x": {"y": "z"}},
]  # fmt: skip


def keys() -> Iterator[tuple[str, str]]:
    for part, (model, _) in PARTS.items():
        for name, field in model.model_fields.items():
            yield part, field.alias or name


def job_with(part: str, key: str, value: object) -> str:
    """A job file that is sound but for what stands at one key."""
    job: dict[str, object] = {
        "version": 1,
        "name": "odd",
        "dataset": "out",
        "sources": {"here": {"url": "data/*.txt"}},
    }
    _, where = PARTS[part]
    if where == ("transforms", "0"):
        kind = part.removeprefix("rule ")
        rule = {kind: "text" if kind != "min_length" else 1, key: value}
        job["transforms"] = [rule]
    else:
        at: dict[str, object] = job
        for step in where:
            at = at.setdefault(step, {})  # type: ignore[assignment]  # each step is a mapping
        at[key] = value
    return json.dumps(job, ensure_ascii=True)


@pytest.mark.parametrize(("part", "key"), list(keys()))
def test_a_refusal_says_what_is_allowed(part: str, key: str) -> None:
    for value in ODD:
        try:
            parse_job(job_with(part, key, value), "job.yaml", {})
        except UsageError as error:
            for line in str(error).split("\n"):
                assert line.startswith("job.yaml:"), (value, line)
                assert "another kind of value" not in line, (value, line)


@pytest.mark.parametrize(
    ("link", "line"),
    [
        ("{shared: store}", "links.l.shared: found 'store', allowed: beside `down`, the rate that workers "),
        ("{shared: 'redis://h', rtt: 1s}", "links.l.shared: found 'redis://…', allowed: beside `down`"),
        ("{shared: '${R}'}", "links.l.shared: found the value of ${R}, allowed: beside `down`"),
    ],
)
def test_a_shared_link_without_its_rate_is_told_what_is_missing(link: str, line: str) -> None:
    text = "version: 1\nname: odd\ndataset: out\nsources: {here: {url: a}}\nlinks:\n  l: " + link
    with pytest.raises(UsageError) as caught:
        parse_job(text, "job.yaml", {"R": "redis://:CANARY@host"})
    assert str(caught.value).startswith(f"job.yaml:6:15: {line}")
    assert "CANARY" not in str(caught.value)


def test_an_expression_that_is_too_long_is_told_how_long_it_may_be() -> None:
    with pytest.raises(UsageError, match=r"transforms\.0\.keep: found .* at most 2000 characters"):
        parse_job(job_with("rule keep", "keep", "x" * 2001), "job.yaml", {})
