"""Progress: bars on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from report.snapshots import finishing, link, planning, snapshot, verifying
from skyhaul.cli.progress import progress_for
from skyhaul.hauling.progress import Progress
from skyhaul.report.bars import BarProgress, drawing
from skyhaul.report.logs import JsonFormatter, TextFormatter, start_logging
from skyhaul.report.progress import PlainProgress, ProgressReport, line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(**changes: object) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(drawing(snapshot(**changes)))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_line_says_bytes_shards_rate_outages_and_what_is_left() -> None:
    assert line(snapshot()) == (
        "hauling: 16.2 MiB of 32.4 MiB (50%), 5 of 12 shards, leo 11.6 of 12.0 Mbit/s, 1 outage, 21.0s left"
    )


def test_a_link_that_is_down_is_said_to_be() -> None:
    assert "leo down" in line(snapshot(links=(link(state="down", rate=0.0),)))


def test_the_block_fits_eighty_columns_and_shows_the_same() -> None:
    text = drawn(links=(link(), link(name="a-rather-long-name", state="closed", capacity=None)))
    assert max(map(len, text.splitlines())) <= 80
    for part in (
        "50%",
        "5 of 12",
        "11.6 of 12.0 Mbit/s",
        "293.0 KiB re-sent",
        "1 outage",
        "21.0s left",
        "closed",
    ):
        assert part in text
    assert "…" in text, "the long name is cut"


def test_bars_grow_with_what_is_done() -> None:
    none, half, all_ = (drawn(source_bytes_done=n * 17_000_000).splitlines()[0].count("█") for n in (0, 1, 2))
    assert none == 0 < half < all_


def test_a_plan_of_empty_objects_is_shown_by_its_shards() -> None:
    assert "100%" in drawn(source_bytes=0, source_bytes_done=0, shards=3, shards_committed=3)


def test_planning_counts_objects() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(drawing(planning()))
    assert isinstance(console.file, io.StringIO)
    assert "1,947 objects listed" in console.file.getvalue()


def test_a_links_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in drawn(links=(link(name="\x1b[2J"),))


def test_plain_lines_come_every_ten_seconds_and_at_a_new_phase(caplog: pytest.LogCaptureFixture) -> None:
    report = PlainProgress()
    with caplog.at_level(logging.INFO, logger="skyhaul.progress"):
        for tenth in range(0, 111):
            report.progress(planning(elapsed=tenth / 10))
        for tenth in range(111, 361):
            report.progress(snapshot(elapsed=tenth / 10))
        report.progress(snapshot(finishing=True, elapsed=36.1))
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == (
        ["planning", "hauling", "hauling", "hauling", "finishing"]
    )


def test_a_json_log_line_has_the_same_thirteen_keys_in_every_phase() -> None:
    """Bytes that scripts read: `shards` counts objects while a plan is made."""
    assert logged(planning()) == (
        '{"phase": "planning", "elapsed": 12.3, "source_bytes": 34000000, "source_bytes_done": 0,'
        ' "shards": 1947, "shards_committed": 0, "shards_failed": 0, "shards_deferred": 0,'
        ' "records_read": 0, "records_written": 0, "records_rejected": 0, "links": [], "eta": null}'
    )
    assert logged(verifying()) == (
        '{"phase": "verifying", "elapsed": 12.3, "source_bytes": 34000000, "source_bytes_done": 0,'
        ' "shards": 12, "shards_committed": 5, "shards_failed": 0, "shards_deferred": 0,'
        ' "records_read": 0, "records_written": 0, "records_rejected": 0, "links": [], "eta": null}'
    )
    hauling = (
        '"elapsed": 12.3, "source_bytes": 34000000, "source_bytes_done": 17000000,'
        ' "shards": 12, "shards_committed": 5, "shards_failed": 0, "shards_deferred": 0,'
        ' "records_read": 1204, "records_written": 1200, "records_rejected": 4,'
        ' "links": [{"name": "leo", "state": "up", "rate": 11600000.0, "capacity": 12000000.0,'
        ' "payload_bytes": 21000000, "wire_bytes": 22000000, "resent_bytes": 300000, "outages": 1}],'
        ' "eta": 21.0}'
    )
    assert logged(snapshot()) == '{"phase": "hauling", ' + hauling
    assert logged(finishing()) == '{"phase": "finishing", ' + hauling


def test_phases_that_only_count_say_what_they_count() -> None:
    assert line(planning()) == "planning: 1,947 objects listed, 32.4 MiB"
    assert line(verifying()) == "verifying: 5 of 12 shards, 32.4 MiB read"
    assert line(finishing()).startswith("finishing: 16.2 MiB of 32.4 MiB (50%), 5 of 12 shards, leo ")
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(drawing(planning()))
    console.print(drawing(verifying()))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == (
        "planning  1,947 objects listed, 32.4 MiB\nverifying  5 of 12 shards, 32.4 MiB read\n"
    )


def logged(progress: Progress) -> str:
    """The event's own fields of the line that plain progress logs of a snapshot."""
    handler = logging.handlers.BufferingHandler(10)
    log = logging.getLogger("skyhaul.progress")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        report = PlainProgress()
        report.progress(replace(progress, elapsed=0.0))
        report.progress(replace(progress, elapsed=10.0))
        handler.buffer.clear()
        report.progress(replace(progress, elapsed=20.0))
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
    (record,) = handler.buffer
    text = json.dumps(json.loads(JsonFormatter().format(record))["progress"])
    return text.replace('"elapsed": 20.0', '"elapsed": 12.3')


def test_bars_only_on_a_terminal_that_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(progress_for(quiet=False, log_format="text")) is PlainProgress
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert type(progress_for(quiet=False, log_format="text")) is BarProgress
    assert type(progress_for(quiet=False, log_format="json")) is PlainProgress
    assert type(progress_for(quiet=True, log_format="text")) is ProgressReport
    monkeypatch.setenv("TERM", "dumb")
    assert type(progress_for(quiet=False, log_format="text")) is PlainProgress


def test_log_lines_scroll_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    before = logging.root.handlers[:], logging.root.level
    try:
        start_logging(log_format="text", quiet=False, verbose=False)
        with BarProgress() as bars:
            bars.progress(snapshot())
            bars.event("link leo is down")
            bars.progress(snapshot(elapsed=13.0))
    finally:
        logging.root.handlers[:], logging.root.level = before
    assert "link leo is down\n" in screen.getvalue().replace("\r\n", "\n")
    assert screen.getvalue().count("5 of 12 shards") >= 2


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("skyhaul.haul", logging.WARNING, "", 0, message, None, None)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize("attack", ["one\ntwo", "\r\x1b[1A gone", "a\u2028b", "rtl \u202e txt", "bell \x07"])
def test_an_event_is_one_line_whatever_it_quotes(formatter: logging.Formatter, attack: str) -> None:
    text = formatter.format(record(attack))
    assert len(text.splitlines()) == 1
    assert text.isprintable()


def test_a_json_line_has_time_level_and_the_events_fields() -> None:
    seen = record("hauling")
    seen.fields = {"progress": {"shards": 3}}
    value = json.loads(JsonFormatter().format(seen))
    assert value["level"] == "warning"
    assert value["message"] == "hauling"
    assert value["progress"] == {"shards": 3}
    assert value["time"].endswith("+00:00")
