"""Times as text or as numbers, to microseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Final

from pydantic import Field, field_validator

from skyhaul_connectors.formats.options import FormatOptions
from skyhaul_connectors.formats.records.iso_time import iso_micros
from skyhaul_connectors.formats.records.time_pattern import TimePattern
from skyhaul_schemas.printable import brief, printable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Integers all the way: total_seconds() is a double, and loses the microseconds of far years.
def _micros(passed: timedelta) -> int:
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


FIRST = _micros(datetime.min.replace(tzinfo=UTC) - _EPOCH)
LAST = _micros(datetime.max.replace(tzinfo=UTC) - _EPOCH)
"""Microseconds since 1970 of the years 1 to 9999: what Python, pandas and most databases read again."""

EPOCHS: Final = {"epoch_s": 0, "epoch_ms": 3, "epoch_us": 6, "epoch_ns": 9}
"""Numbers since 1970-01-01T00:00Z, by name: how many decimal digits of a second one unit is."""

HINT: Final = f"say how it counts by time_format ({', '.join(EPOCHS)}, or a pattern such as %Y%m%d)"
"""To whoever has a number where a time is wanted."""

_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*", re.ASCII)
_DIGITS = re.compile(r"\s*[+-]?[0-9]+(?:[.,][0-9]+)?\s*", re.ASCII)
_LONGEST = 400
"""Characters of a number of time."""
_MOST = 10**40
"""Far beyond the calendar in any unit. A larger integer is not multiplied, and not written into a message:
its digits may be more than the process's limit for str()."""

_EXACT = Context(prec=2 * _LONGEST + 1000)
"""Digits that any number of `_LONGEST` characters has in full, exponent (of three digits) included."""


class TimeOptions(FormatOptions):
    """How times are written in a source.

    time_format: strptime's pattern for `time` and `created`, with English names; or `epoch_s`, `epoch_ms`,
    `epoch_us`, `epoch_ns` for numbers since 1970, UTC; without it ISO 8601 and RFC 3339 (`24:00` is the next
    day's start, a leap second the first one after it; digits alone are no date). utc_offset:
    of times that state none, as `+05:30`. time_columns: columns whose values, joined by spaces, are the time
    (`[YY, MM, DD, hh, mm]` with `time_format: "%Y %m %d %H %M"`).
    """

    time_format: str | None = None
    utc_offset: str = "+00:00"
    time_columns: tuple[str, ...] = Field(default=(), max_length=16)

    @field_validator("time_format")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        try:
            if value is not None and value not in EPOCHS:
                TimePattern(value)
        except ValueError as error:
            raise ValueError(
                f"write a pattern of strptime that reads times, or one of {', '.join(EPOCHS)} ({error})"
            ) from None
        return value

    @field_validator("utc_offset")
    @classmethod
    def _offset(cls, value: str) -> str:
        zone_of(value)
        return value


class Times:
    """Reads the times of one source; messages of its errors are worded for `fields.kind_of`."""

    def __init__(self, options: TimeOptions) -> None:
        self._format = options.time_format
        self.epoch = EPOCHS.get(self._format) if self._format is not None else None
        """Of numbers: decimal digits of a second that one of them counts; None: numbers are no times."""
        named = self._format is not None and self.epoch is None
        self._pattern = TimePattern(self._format) if named and self._format is not None else None
        self._zone = zone_of(options.utc_offset)
        self.offset = round(self._zone.utcoffset(None).total_seconds()) * 1_000_000
        """Microseconds that times without an offset are ahead of UTC."""

    @property
    def iso_only(self) -> bool:
        """Whether times are ISO 8601 and UTC where they state no offset."""
        return self._format is None and self._zone == UTC

    def parse(self, text: str) -> int:
        """Microseconds since 1970, UTC. Raises ValueError: what was found, and why it is no time."""
        if self.epoch is not None:
            return self._counted(text)
        try:
            if self._pattern is None:
                found = iso_micros(text, self.offset)
            else:
                moment = self._pattern.parse(text)
                moment = moment.replace(tzinfo=self._zone) if moment.tzinfo is None else moment
                found = _micros(moment - _EPOCH)
        except ValueError:
            raise ValueError(f"{printable(text, 60)!r}, which is no {self._wanted(text)}") from None
        if not FIRST <= found <= LAST:
            raise ValueError(f"{printable(text, 60)!r}, which is beyond the calendar")
        return found

    def number(self, value: int | float) -> int:
        """Microseconds since 1970 of a number, which counts units of `time_format`.

        A double counts as the decimal that it is shortest written as: 1700000000.123 seconds end in 123,000
        microseconds. What is finer than a microsecond is cut off, to the past.

        Raises:
            ValueError: Numbers are no times here, or it lies outside of the years 1 to 9999."""
        if self.epoch is None:
            raise ValueError(f"{'an integer' if isinstance(value, int) else 'a number'}, not a time; {HINT}")
        if isinstance(value, int):
            if not -_MOST < value < _MOST:
                raise ValueError("an integer beyond the calendar")
            found = value * 10 ** (6 - self.epoch) if self.epoch <= 6 else value // 10 ** (self.epoch - 6)
            return _within(found, value)
        return self._counted(repr(value))

    def _counted(self, text: str) -> int:
        assert self.epoch is not None
        match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None:
            raise ValueError(f"{printable(text, 60)!r}, which is no number of {self._format}")
        counted = _EXACT.scaleb(Decimal(match[1].replace(",", ".")), 6 - self.epoch)
        # Before to_integral_value: 1e999 would become an integer of a thousand digits. FIRST is nearer to 0
        # than LAST is.
        if abs(counted) > LAST:
            raise ValueError(f"{printable(text, 60)!r}, which is beyond the calendar")
        return _within(int(counted.to_integral_value(ROUND_FLOOR, _EXACT)), text)

    def _wanted(self, text: str) -> str:
        if self._format is not None:
            return f"time as {printable(self._format, 60)}"
        return f"ISO 8601 time; {HINT}" if _DIGITS.fullmatch(text) else "ISO 8601 time"


def _within(micros: int, said: object) -> int:
    if not FIRST <= micros <= LAST:
        raise ValueError(f"{printable(str(said), 60)!r}, which is beyond the calendar")
    return micros


def zone_of(text: str) -> timezone:
    """`+05:30` as a timezone. Raises ValueError."""
    sign, hours, colon, minutes = text[:1], text[1:3], text[3:4], text[4:]
    digits = hours + minutes
    if sign not in "+-" or colon != ":" or len(digits) != 4 or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{brief(text)!r} is no offset; write for example +00:00 or -05:30")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset >= timedelta(hours=24) or int(minutes) > 59:
        raise ValueError(f"{brief(text)!r} is no offset within a day")
    return timezone.utc if not offset else timezone(-offset if sign == "-" else offset)  # noqa: UP017
