"""Patterns of strptime, read the same in every language and zone: held against Python's in the C locale."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from skyhaul_connectors.formats.records.time_pattern import TimePattern

SEED = 1
PATTERNS = (
    "%d %b %Y %I:%M %p", "%Y-%m-%d %H:%M:%S.%f", "%A, %d %B %Y", "%Y%m%dT%H%M%S%z", "%y%j %H",
    "%a %b %d %H:%M:%S %Y", "%Y-W%W-%w", "%G-W%V-%u", "%d/%m/%y %H:%M", "%Y %U %a", "%I%p", "%b%d%Y%%",
    "%H:%M:%S  %d.%m.%Y", "%G %V %A", "%c", "%x %X",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_reads_what_strptime_reads_in_the_c_locale(pattern: str) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    ours = TimePattern(pattern)
    read = 0
    for _ in range(60):
        moment = datetime(1970, 1, 1) + timedelta(seconds=rng.randrange(2 * 10**9))
        text = moment.strftime(pattern.replace("%z", "+0130"))
        for way in (text, text.lower(), text.replace("0", ""), text + " ", text.replace(" ", "  ")):
            try:
                expected = datetime.strptime(way, pattern)
            except ValueError:
                with pytest.raises(ValueError, match=r"match|unconverted|day|range"):
                    ours.parse(way)
                continue
            assert ours.parse(way) == expected, way
            read += 1
    assert read >= 60


def test_a_zone_is_utc_or_no_time() -> None:
    pattern = TimePattern("%Y-%m-%d %H:%M %Z")
    assert pattern.parse("2024-03-01 06:00 gmt") == datetime(2024, 3, 1, 6, tzinfo=UTC)
    with pytest.raises(ValueError, match="match"):
        pattern.parse("2024-03-01 06:00 CET")


@pytest.mark.parametrize("pattern", ["%Q", "%Y %Y", "%", "no directive", "%V"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"%|directive"):
        TimePattern(pattern)
