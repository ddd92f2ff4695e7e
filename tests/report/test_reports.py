"""Every report has lines for people and JSON for scripts, and what it quotes cannot steer a terminal."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil

import pytest

import skyhaul.report
from skyhaul.report.failures import FailuresReport
from skyhaul.report.report import Report, show
from skyhaul_schemas.commit import FailureRecord

HOSTILE = "gone\x1b[2J\nskyhaul: error: \u202e forged"


def report_classes() -> list[type]:
    """The classes named `...Report` of all modules of `skyhaul.report`, but for the protocol and progress."""
    modules = [
        importlib.import_module(f"skyhaul.report.{module.name}")
        for module in pkgutil.iter_modules(skyhaul.report.__path__)
    ]
    return [
        kind
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if name.endswith("Report") and kind.__module__ == module.__name__
        if kind is not Report and name != "ProgressReport"
    ]


def test_each_report_has_lines_and_json() -> None:
    found = report_classes()
    assert len(found) >= 12
    assert [kind for kind in found if not (hasattr(kind, "lines") and hasattr(kind, "to_json"))] == []


def test_what_a_report_quotes_is_seen_as_it_is_and_takes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    record = FailureRecord(
        shard=3,
        plan="f" * 64,
        source="corpus",
        kind="SourceFailing",
        reason=HOSTILE,
        attempts=2,
        where="source or link",
        final=True,
        at="2026-11-22T12:00:00.000Z",
    )
    report = FailuresReport([record], "my job.yaml")
    show(report, as_json=False)
    assert capsys.readouterr().out == (
        "shard  source  class          attempts  next    reason\n"
        "    3  corpus  SourceFailing         2  replay"
        "  gone\\x1b[2J\\nskyhaul: error: \\u202e forged\n"
        "next: skyhaul replay 'my job.yaml'\n"
    )
    show(report, as_json=True)
    assert json.loads(capsys.readouterr().out) == [record.model_dump(mode="json")]
