"""Every collected file whose suffix states a format goes through its decoder, and the records add up."""

from __future__ import annotations

import csv
import time
from collections import Counter
from pathlib import Path

import pytest

from formats.decoding import decode
from skyhaul_connectors.formats.registry import format_of

SECONDS = 30
"""No object may take longer, on a busy machine; the largest takes about one."""

ELSEWHERE = ("parquet/", "webarchive/", "malformed/JSONTestSuite/", "malformed/libarchive/", "text/udhr/")
"""Held by test_tables, test_warc, test_json_policy, test_tar and test_html."""

REJECTED = {
    # Bytes that are not UTF-8, where no encoding is declared.
    "text/nltk-inaugural/inaugural/2005-Bush.txt": "invalid utf-8",
    "text/nltk-state_union/state_union/1954-Eisenhower.txt": "invalid utf-8",
    "text/nltk-state_union/state_union/1970-Nixon.txt": "invalid utf-8",
    "text/nltk-state_union/state_union/1971-Nixon.txt": "invalid utf-8",
    "text/nltk-state_union/state_union/1972-Nixon.txt": "invalid utf-8",
    "text/nltk-state_union/state_union/1973-Nixon.txt": "invalid utf-8",
    "text/nltk-state_union/state_union/1974-Nixon.txt": "invalid utf-8",
    # The stress test holds a NUL on purpose.
    "malformed/utf8-kuhn/UTF-8-test.txt": "a NUL character",
    # The header of 7 cells is a line about the station; the names are in the second (skip_lines: 1).
    "sensor/pvlib/703165TY.csv": "68 cells where the header has 7",
}
LINES_NOT_RECORDS = ("sensor/siphon-ndbc/", "linktrace/", "malformed/csv-spectrum/")
"""Counted in lines by the notes: texts are one record here, and quoted line breaks end none."""


def _notes(shared_data: Path) -> list[tuple[str, str]]:
    with (shared_data / "SOURCES.tsv").open() as file:
        rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if len(row) >= 7]
    return [(row[0], row[5]) for row in rows[1:] if row[6] != "doc"]


def test_every_collected_file_of_a_text_format_has_the_records_that_its_notes_say(shared_data: Path) -> None:
    seen: Counter[str] = Counter()
    for path, records in _notes(shared_data):
        format = format_of(path)
        if format is None or path.startswith(ELSEWHERE) or not (shared_data / path).exists():
            continue
        seen[format] += 1
        table = format in ("csv", "tsv", "json", "jsonl")
        began = time.monotonic()
        found = decode((shared_data / path).read_bytes(), path, fields={"text": "@path"} if table else {})
        assert time.monotonic() - began < SECONDS, path
        wanted = int(records) - (format in ("csv", "tsv"))
        if path in REJECTED:
            assert found.rows == [], path
            assert all(reason.startswith(REJECTED[path]) for reason in found.reasons), path
        else:
            assert found.rejects == [], (path, found.reasons[:3])
        if path.endswith("earthquakes.json"):
            wanted = 1  # one GeoJSON object; its features are records with `records: features`
        if not path.startswith(LINES_NOT_RECORDS):
            assert len(found.rows) + len(found.rejects) == wanted, path
        assert not found.damaged, path
    assert seen["text"] > 130
    assert seen["json"] > 80
    assert seen["csv"] > 30
    assert seen["jsonl"] >= 6


def test_every_collected_file_is_a_blob(shared_data: Path) -> None:
    types: Counter[str | None] = Counter()
    for path, _ in _notes(shared_data)[::5]:
        file = shared_data / path
        if not file.exists():
            continue
        found = decode(file.read_bytes(), path, schema="blob")
        assert len(found.rows) == (1 if file.stat().st_size else 0), path
        types.update(row["media_type"] for row in found.rows)
    assert types["image/png"] > 50
    assert types["text/html"] > 50
    assert types[None] < 60


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("ndbc_latest_0.txt", {"station": "STN"}, 840),
        ("ndbc_realtime_txt_0.txt", {}, 6560),
        ("ndbc_realtime_rain_0.txt", {}, 1038),
    ],
)
def test_the_collected_buoys_melt_to_readings(
    name: str, options: dict[str, str], count: int, shared_data: Path
) -> None:
    raw = (shared_data / "sensor" / "siphon-ndbc" / name).read_bytes()
    latest = name.startswith("ndbc_latest")
    year = "YYYY" if latest else "YY"
    measured = "ACCUM" if "rain" in name else "WSPD"
    found = decode(
        raw,
        name,
        format="csv",
        schema="reading",
        delimiter="whitespace",
        comment="#",
        units_row=True,
        missing=["MM"],
        time_columns=[year, "MM", "DD", "hh", "mm"],
        time_format="%Y %m %d %H %M",
        melt={measured: "measured"},
        fields=options,
    )
    assert found.counts == (count, 0, False)
    assert found.rows[0]["unit"] in ("m/s", "mm")
    assert all(row["time"].year == 2018 for row in found.rows)
