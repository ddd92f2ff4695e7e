"""The closing summary says what was done, what is left, and what to type next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyhaul.report.link_use import LinkUse
from skyhaul.report.report import show
from skyhaul.report.run import RunReport
from skyhaul_schemas.commit import RecordCounts, RunRecord, TransferCounts

USE = LinkUse("leo", 34_000_000, 36_000_000, 1_700_000, 2, 25.0, 11.5e6, 12e6, 0.957)


def summary(exit_code: int = 0, **changes: Any) -> RunReport:
    run = RunRecord(
        id="20261122T120000Z-0badcafe",
        plan="f" * 64,
        runner="DirectRunner",
        started="2026-11-22T12:00:00.000Z",
        finished="2026-11-22T12:00:31.000Z",
        seconds=31.2,
        outcome="done",
        shards_planned=12,
        shards_committed=12,
        shards_failed=0,
        shards_deferred=0,
        shards_left=0,
        objects=1947,
        source_bytes=34_000_000,
        dataset_bytes=9_000_000,
        records=RecordCounts(read=1930, written=1905, filtered=0, rejected=25),
        damaged_objects=0,
        transfer={
            "leo": TransferCounts(payload_bytes=34_000_000, wire_bytes=36_000_000, resent_bytes=1_700_000)
        },
    ).model_copy(update=changes)
    return RunReport(run, "my job.yaml", "out/x", exit_code, run.shards_committed, (USE,), ("a message",))


def text_of(shown: RunReport, capsys: pytest.CaptureFixture[str]) -> str:
    show(shown, as_json=False)
    return capsys.readouterr().out


def test_it_has_everything_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(summary(), capsys)
    for part in (
        "all is committed: 12 of 12 shards, after 31.2s",
        "1,947",
        "32.4 MiB",
        "34.3 MiB",
        "1.6 MiB",
        "1,930 read, 1,905 written, 25 rejected",
        "12 committed",
        "96% of 12.0 Mbit/s used while up, 2 outages",
        "out/x, 8.6 MiB",
        "a message",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("exit_code", "changes", "command"),
    [
        (0, {}, "skyhaul verify 'my job.yaml'"),
        (75, {"shards_left": 3}, "skyhaul run 'my job.yaml'"),
        (130, {"shards_left": 3}, "skyhaul run 'my job.yaml'"),
        (3, {"shards_failed": 1}, "skyhaul failures 'my job.yaml'"),
        (3, {"damaged_objects": 1}, "skyhaul verify 'my job.yaml'"),
    ],
)
def test_it_says_what_to_type_next(
    exit_code: int, changes: dict[str, Any], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"next: {command}" in text_of(summary(exit_code, **changes), capsys)


def test_only_a_full_dataset_is_called_committed(capsys: pytest.CaptureFixture[str]) -> None:
    for code in (3, 75, 130, 143):
        assert "all is committed" not in text_of(summary(code), capsys)


def test_a_run_with_nothing_to_do_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = RecordCounts(read=0, written=0, filtered=0, rejected=0)
    text = text_of(summary(shards_committed=0, objects=0, source_bytes=0, records=nothing), capsys)
    assert text.startswith("all is committed: 12 of 12 shards; nothing to haul\n")


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    show(summary(75, shards_left=3), as_json=True)
    value = json.loads(capsys.readouterr().out)
    assert value["exit_code"] == 75
    assert value["shards_left"] == 3
    assert value["records"] == {
        "read": 1930,
        "written": 1905,
        "filtered": 0,
        "rejected": 25,
        "passed_over": 0,
    }
    assert value["links"][0]["utilisation"] == 0.957
    assert value["next"] == ["skyhaul run 'my job.yaml'"]
