"""ISO 8601 times as text, by one profile on every Python.

A date `YYYY-MM-DD`, `YYYY-DDD` (day of the year) or `YYYY-Www-D` (week and its day); or a date and a time,
with `T`, `t` or a space between. The time is `hh:mm:ss`, `hh:mm` or `hh`, and may state its offset: `Z`, `z`,
`±hh:mm`, `±hhmm` or `±hh` (`-00:00` is UTC, as RFC 3339 says). Before a time the date may be written in the
basic format, `YYYYMMDD`, and the time as `hhmmss` or `hhmm`. So all of RFC 3339 is read. Digits alone are no
date. The years are 0001 to 9999. A year, month or week alone is no time, nor is one with a sign before its
year, without its date, or with other separators.

- A fraction follows the seconds, after a point or a comma; what is beyond its sixth digit is cut off.
- `24:00` (also `24:00:00`, with zeros after it) is the end of its day: 00:00 of the next one.
- `23:59:60` UTC on the last day of a month is a leap second, read as the first second of the next day (as
  seconds since 1970 count it); any other second 60 is none.

Sources: ISO 8601-1:2019, RFC 3339.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_START, _START_UTC = datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)

_COMMON = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3}(?:[0-9]{3})?)?(?:Z|[+-][01][0-9]:[0-5][0-9])?)?",
    re.ASCII,
)
"""Forms that `datetime.fromisoformat` reads alike in every version, and ten times as fast."""

_common = _COMMON.fullmatch
# Digits are `[0-9]`, since `\d` is any script's. Python's own reader of all forms is not used for what is
# left: which forms it takes differs between its versions, and a record must not.
_PROFILE = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})|-(?P<nth>[0-9]{3})"
    r"|-W(?P<week>[0-9]{2})-(?P<weekday>[0-9])|(?P<basic>[0-9]{4})(?=[Tt ]))"
    r"(?:[Tt ](?P<hour>[0-9]{2})"
    r"(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?)?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<ahead>[0-9]{2})(?::?(?P<minutes>[0-9]{2}))?)?)?",
    re.ASCII,
)


def iso_micros(text: str, offset: int) -> int:
    """Microseconds since 1970, UTC, of `text`.

    Args:
        text: A time of the profile.
        offset: Microseconds that it is ahead of UTC where it states none.

    Returns:
        The microseconds; they may lie outside of the years 1 to 9999.

    Raises:
        ValueError: `text` is not of the profile."""
    if _common(text) is not None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass  # the last hour of a day, a leap second, or no time
        else:
            passed = moment - _START if moment.tzinfo is None else moment - _START_UTC
            # Not total_seconds(): a double cannot hold the microseconds of far years.
            micros = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
            return micros - offset if moment.tzinfo is None else micros
    found = _PROFILE.fullmatch(text)
    if found is None:
        raise ValueError("no time of the profile")
    micros = (_day(found).toordinal() - _EPOCH) * _DAY
    if found["hour"] is None:
        return micros - offset
    if found["zone"] is not None:
        offset = _offset(found)
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    fraction = found["fraction"] or ""
    if minute > 59 or second > 60 or hour > 24 or (hour == 24 and (minute or second or fraction.strip("0"))):
        raise ValueError("no time of day")
    whole = micros + (hour * 3600 + minute * 60 + second) * 1_000_000 - offset
    # A leap second ends a month of UTC (ITU-R TF.460), so that it is looked at without the offset. Which
    # months had one is not asked: that table grows.
    if second == 60 and not _ends_month(whole):
        raise ValueError("no leap second")
    return whole + int(fraction[:6].ljust(6, "0"))


def _day(found: re.Match[str]) -> date:
    year = int(found["year"])
    if found["nth"] is not None:
        day = date(year, 1, 1) + timedelta(days=int(found["nth"]) - 1)
        if day.year != year:
            raise ValueError("no day of the year")
        return day
    if found["week"] is not None:
        return date.fromisocalendar(year, int(found["week"]), int(found["weekday"]))
    month, day_of_month = found["month"], found["day"]
    if found["basic"] is not None:
        month, day_of_month = found["basic"][:2], found["basic"][2:]
    return date(year, int(month), int(day_of_month))


def _offset(found: re.Match[str]) -> int:
    if found["sign"] is None:
        return 0
    hours, minutes = int(found["ahead"]), int(found["minutes"] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no offset within a day")
    return (hours * 60 + minutes) * 60_000_000 * (-1 if found["sign"] == "-" else 1)


def _ends_month(micros: int) -> bool:
    """Whether it is the start of a month, UTC."""
    days, rest = divmod(micros, _DAY)
    return not rest and date.fromordinal(days + _EPOCH).day == 1
