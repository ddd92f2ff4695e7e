"""The profile of ISO 8601 and RFC 3339, and numbers since 1970."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import polars
import pytest
from tests.formats.decoding import decode

from skyhaul_connectors.formats.options import parse_options
from skyhaul_connectors.formats.records.iso_time import iso_micros
from skyhaul_connectors.formats.records.times import EPOCHS, TimeOptions, Times
from skyhaul_schemas.errors import UsageError

READ = {
    "2024-01-01": "2024-01-01T00:00:00",
    "2024-01-01t01:02:03z": "2024-01-01T01:02:03",
    "2024-01-01 01:02": "2024-01-01T01:02:00",
    "2024-01-01T01": "2024-01-01T01:00:00",
    "2024-01-01T01:02:03.1": "2024-01-01T01:02:03.100000",
    "2024-01-01T01:02:03,123456789Z": "2024-01-01T01:02:03.123456",
    "1969-12-31T23:59:59.9999999Z": "1969-12-31T23:59:59.999999",
    "2024-01-01T01:02:03+05": "2023-12-31T20:02:03",
    "2024-01-01T01:02:03-0530": "2024-01-01T06:32:03",
    "2024-01-01T01:02:03+05:30": "2023-12-31T19:32:03",
    "2024-01-01T01:02:03-00:00": "2024-01-01T01:02:03",
    "20240101T010203Z": "2024-01-01T01:02:03",
    "20240101T0102+0100": "2024-01-01T00:02:00",
    "2024-W01-1": "2024-01-01T00:00:00",
    "2020-W53-5T12:00": "2021-01-01T12:00:00",
    "2024-366": "2024-12-31T00:00:00",
    "2024-02-29T24:00:00.000Z": "2024-03-01T00:00:00",
    "2023-12-31T24:00": "2024-01-01T00:00:00",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00",
    "2016-12-31T23:59:60.25Z": "2017-01-01T00:00:00.250000",
    "1990-12-31T15:59:60-08:00": "1991-01-01T00:00:00",
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999",
}
REFUSED = [
    "1700000000", "1700101201234", "20240101", "240101", "2024", "2024-01", "2024-1-1", "-2024-01-01",
    "+2024-01-01", "+12024-01-01", "2024-W01", "2024-W53-1", "2024-W01-8", "2024-W00-1", "2023-366",
    "2024-000", "2024-02-30", "2023-02-29", "0000-01-01", "2024-13-01", "2024-01-00", "2024-01-01T",
    "2024-01-01T24:00:01", "2024-01-01T24:01", "2024-01-01T24:00:00.5", "2024-01-01T25:00",
    "2024-01-01T23:60", "2024-01-01T00:00:61Z", "2016-12-31T12:59:60Z", "2016-12-30T23:59:60Z",
    "2016-12-31T23:59:60+01:00", "2024-01-01Z", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+00:60",
    "2024-01-01T00:00:00+1", "2024-01-01T00:00:00ZZ", "2024-01-01T00:00:00.", "2024-01-01T00:00.5",
    "2024-01-01X00:00", "2024-01-01T00:00:00+01:00:00", "２０２４-01-01", "2024/01/01", "9999-12-31T24:00Z",
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "NaT", "now",
]  # fmt: skip


def moment(micros: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=micros)).isoformat()


@pytest.mark.parametrize("text", READ)
def test_a_time_of_the_profile_is_read(text: str) -> None:
    assert moment(Times(TimeOptions()).parse(text)) == READ[text]


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"which is (no ISO 8601 time|beyond the calendar)"):
        Times(TimeOptions()).parse(text)


def test_digits_alone_bring_the_way_out() -> None:
    with pytest.raises(ValueError, match="epoch_ms"):
        Times(TimeOptions()).parse("1700101201234")


def test_an_offset_of_the_source_is_for_times_without_one() -> None:
    times = Times(TimeOptions(utc_offset="+05:30"))
    assert moment(times.parse("2024-W01-1T06")) == "2024-01-01T00:30:00"
    assert moment(times.parse("2024-01-01")) == "2023-12-31T18:30:00"
    assert moment(times.parse("2017-01-01T05:29:60")) == "2017-01-01T00:00:00"
    assert moment(times.parse("2024-01-01T00:00:00Z")) == "2024-01-01T00:00:00"


def test_every_form_of_a_moment_is_that_moment() -> None:
    """Written by Python, read by the profile."""
    rng = random.Random(8601)
    for _ in range(2000):
        at = datetime(1, 1, 3, tzinfo=UTC) + timedelta(microseconds=rng.randrange(3 * 10**17))
        at = at.replace(microsecond=rng.choice([0, at.microsecond, at.microsecond // 1000 * 1000]))
        zone = timezone(timedelta(minutes=rng.randrange(-1439, 1440)))
        local = at.astimezone(zone)
        year, week, day = local.isocalendar()
        clock = local.strftime("%H:%M:%S.%f%z")
        offset = local.strftime("%z")
        forms = [
            local.isoformat(),
            f"{local:%Y}".zfill(4) + f"{local:-%m-%d} {clock}",
            f"{local:%Y}".zfill(4) + f"{local:-%j}t{clock}",
            f"{year:04}-W{week:02}-{day}T{clock}",
            f"{local:%Y}".zfill(4) + f"{local:%m%d}T{local:%H%M%S},{local:%f}{offset[:3]}:{offset[3:]}",
        ]
        expected = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        assert {iso_micros(form, 0) for form in forms} == {expected}, forms


@pytest.mark.parametrize("name", EPOCHS)
def test_numbers_are_times_where_the_job_says_so(name: str) -> None:
    """Judged by Polars, which reads integers of seconds, milli-, micro- and nanoseconds."""
    times = Times(TimeOptions(time_format=name))
    numbers = [0, 1, -1, 1_700_000_000, 1_700_000_000_123, -62_135_596_800, 1_234_567_890_123_456_789]
    numbers = [n for n in numbers if -62_135_596_800 <= n // 10 ** EPOCHS[name] < 253_402_300_800]
    read = polars.Series(numbers).cast(polars.Int64)
    unit = name.removeprefix("epoch_")
    expected = polars.from_epoch(read, time_unit=unit).dt.epoch("us").to_list()
    assert [times.number(number) for number in numbers] == expected
    assert [times.parse(f" {number} ") for number in numbers] == expected
    assert times.parse("1e3") == times.number(1000) == times.number(1000.0)


def test_fractions_of_numbers_are_decimal_and_cut_to_the_past() -> None:
    seconds = Times(TimeOptions(time_format="epoch_s"))
    assert seconds.number(1700000000.123) == seconds.parse("1700000000,123") == 1_700_000_000_123_000
    assert seconds.parse("-0.0000001") == -1
    assert Times(TimeOptions(time_format="epoch_ns")).number(-1) == -1
    for bad in ("", "x", "1 2", "0x10", "nan", "inf", "1e400", "1" * 500, "253402300800", "-62135596801"):
        with pytest.raises(ValueError, match=r"which is (no number of epoch_s|beyond the calendar)"):
            seconds.parse(bad)
    for far in (10**300, -(10**300), 253_402_300_800, 1e300, float("nan")):
        with pytest.raises(ValueError, match=r"beyond the calendar|no number of"):
            seconds.number(far)


@pytest.mark.parametrize("bad", ["epoch", "epoch_m", "epoch_S", "seconds"])
def test_another_name_is_refused(bad: str) -> None:
    with pytest.raises(UsageError, match="epoch_s, epoch_ms, epoch_us, epoch_ns"):
        parse_options(TimeOptions, "csv", {"time_format": bad})


def times_of(raw: bytes, path: str, **more: Any) -> list[Any]:
    found = decode(raw, path, **more)
    return [row["created"] and row["created"].timestamp() for row in found.rows] + found.reasons


def test_json_numbers_are_times_only_where_the_job_says_so() -> None:
    lines = b'{"text":"a","created":1700000000}\n{"text":"b","created":1.5}\n{"text":"c","created":"-1"}\n'
    assert times_of(lines, "x.jsonl", time_format="epoch_s") == [1_700_000_000.0, 1.5, -1.0]
    many = lines[:34] * 500  # in columns
    assert times_of(many, "x.jsonl", time_format="epoch_ms") == [1_700_000.0] * 500
    assert times_of(many, "x.jsonl", time_format="epoch_ns") == [1.7] * 500
    refused = times_of(lines, "x.jsonl")
    assert len(refused) == 3
    assert all("time_format (epoch_s" in reason for reason in refused)
    far = times_of(b'{"text":"a","created":253402300800}\n' * 3, "x.jsonl", time_format="epoch_s")
    assert far == ["created: column 'created' holds '253402300800', which is beyond the calendar"] * 3
