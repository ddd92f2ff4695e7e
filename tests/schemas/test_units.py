"""Sizes, rates, durations and shares as people write them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul_schemas.units import (
    NotAllowed,
    exact_size,
    format_duration,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 * 1024**2),
        ("1.5GB", 1_500_000_000),
        (" 10 kB ", 10_000),
        ("4096", 4096),
        (4096, 4096),
        ("0", 0),
        ("900719925474099.3KiB", 922337203685477683),
    ],
)
def test_a_size_is_read_exactly(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [("130Mbit/s", 130e6), ("2MB/s", 16e6), ("9600bit/s", 9600.0), ("20 Mbps", 20e6), ("1.5Gbit/s", 1.5e9)],
)
def test_a_rate_is_read_in_bits_a_second(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45ms", 0.045),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("2d", 172800.0),
        (0, 0.0),
        ("0", 0.0),
        ("1.5 s", 1.5),
    ],
)
def test_a_duration_is_read_in_seconds(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("percent", ["0.3", "1", "99", "0.4", "33.3"])
def test_a_percentage_and_its_share_are_the_same_number_and_so_the_same_plan(percent: str) -> None:
    from decimal import Decimal

    assert parse_share(f"{percent}%") == parse_share(str(Decimal(percent) / 100))


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (parse_size, "64XB"),
        (parse_size, "-1"),
        (parse_size, -1),
        (parse_size, True),
        (parse_size, 1.5),
        (parse_size, None),
        (parse_size, "9999999PiB"),
        (parse_size, "0.4"),
        (parse_size, "0.0001kB"),
        (parse_size, ""),
        (parse_rate, "13Mb"),
        (parse_rate, "0Mbit/s"),
        (parse_rate, 130),
        (parse_rate, "fast"),
        (parse_duration, 45),
        (parse_duration, "45"),
        (parse_duration, "10x"),
        (parse_duration, "10m?"),
        (parse_duration, "-5s"),
        (parse_duration, float("nan")),
        (parse_duration, True),
        (parse_duration, "9" * 24 + "d"),
        (parse_share, "101%"),
        (parse_share, "1.01"),
        (parse_share, True),
        (parse_share, float("nan")),
        (parse_share, "nan"),
        (parse_share, [1]),
    ],
)
def test_what_is_no_unit_is_refused_and_what_is_allowed_is_said(
    parse: Callable[[Any], object], value: object
) -> None:
    with pytest.raises(NotAllowed) as caught:
        parse(value)
    assert caught.value.found is value
    assert any(character.isdigit() or character == "B" for character in caught.value.allowed)


@given(
    st.sampled_from([(parse_size, " kB"), (parse_rate, "bit/s"), (parse_duration, "us"), (parse_share, "%")]),
    st.integers(1, 24),
    st.integers(1, 9),
)
def test_nothing_but_nothing_becomes_nothing(
    unit: tuple[Callable[[str], float], str], zeros: int, digit: int
) -> None:
    parse, suffix = unit
    with contextlib.suppress(NotAllowed):
        assert parse(f"0.{'0' * (zeros - 1)}{digit}{suffix}") > 0


@given(st.integers(min_value=0, max_value=(1 << 60) - 1))
def test_an_exact_size_is_read_back_without_loss(size: int) -> None:
    assert parse_size(exact_size(size)) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (64 * 1024**2, "64 MiB"),
        (500 * 1000**2, "500 MB"),
        (4097, "4097 B"),
        (0, "0 B"),
        (32 * 1024**2, "32 MiB"),
    ],
)
def test_an_exact_size_reads_as_the_job_file_writes_it(size: int, text: str) -> None:
    assert exact_size(size) == text


def test_a_duration_never_says_sixty_seconds() -> None:
    assert [format_duration(s) for s in (4.21, 59.94, 59.96, 192, 7500)] == [
        "4.2s",
        "59.9s",
        "1m00s",
        "3m12s",
        "2h05m",
    ]
