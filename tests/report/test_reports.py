"""Every report has lines for people and JSON for scripts, and what it quotes cannot steer a terminal."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import pkgutil
from pathlib import Path

import pytest

import skyhaul.report
from skyhaul.dataset.intact import fault_in_file
from skyhaul.dataset.storage.opening import open_store
from skyhaul.report.failures import FailuresReport
from skyhaul.report.logs import JsonFormatter
from skyhaul.report.repair import RepairReport
from skyhaul.report.report import Report, show
from skyhaul.verification.damage import BrokenFile
from skyhaul_schemas.commit import CommittedFile, FailureRecord

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
    assert json.loads(capsys.readouterr().out) == [record.model_dump(mode="json", exclude={"digest"})]


def test_json_on_a_terminal_holds_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    class Quoting:
        def lines(self) -> list[str]:
            return []

        def to_json(self) -> dict[str, str]:
            return {"name": f"{HOSTILE}\x7f"}

    show(Quoting(), as_json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": f"{HOSTILE}\x7f"}
    assert all(c.isprintable() or c == "\n" for c in out)

    record = logging.LogRecord("skyhaul", logging.INFO, "", 0, "haul", None, None)
    record.fields = {"source": f"{HOSTILE}\x7f"}
    assert JsonFormatter().format(record).isprintable()


@pytest.mark.parametrize(("is_there", "kept"), [(False, False), (True, True)])
def test_of_a_file_that_was_not_there_nothing_is_said_to_be_kept(
    tmp_path: Path, is_there: bool, kept: bool
) -> None:
    path = "data/0000/train-0000000-000.parquet"
    if is_there:
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(b"rotten")
    entry = CommittedFile(path=path, bytes=6, sha256="0" * 64, rows=1, raw_bytes=1)
    fault = fault_in_file(open_store(str(tmp_path), writable=False), entry)
    assert fault is not None
    report = RepairReport("job.yaml", "out", (BrokenFile(0, path, fault),), (), 0)
    assert any("what was there is kept" in line for line in report.lines()) == kept
