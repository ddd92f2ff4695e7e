"""Times as text, to microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from pydantic import Field, field_validator

from skyhaul_connectors.formats.options import FormatOptions
from skyhaul_connectors.formats.printable import printable
from skyhaul_connectors.formats.time_pattern import TimePattern

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(passed: timedelta) -> int:
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


FIRST = _micros(datetime.min.replace(tzinfo=UTC) - _EPOCH)
LAST = _micros(datetime.max.replace(tzinfo=UTC) - _EPOCH)
"""Microseconds since 1970 of the years 1 to 9999: what Python, pandas and most databases read again."""


class TimeOptions(FormatOptions):
    """How times are written in a source.

    time_format: strptime's pattern for `time` and `created`, with English names; without it ISO 8601 and
    RFC 3339. utc_offset:
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
            if value is not None:
                TimePattern(value)
        except ValueError as error:
            raise ValueError(f"write a pattern of strptime that reads times ({error})") from None
        return value

    @field_validator("utc_offset")
    @classmethod
    def _offset(cls, value: str) -> str:
        zone_of(value)
        return value


class Times:
    """Reads the times of one source."""

    def __init__(self, options: TimeOptions) -> None:
        self._format = options.time_format
        self._pattern = TimePattern(self._format) if self._format is not None else None
        self._zone = zone_of(options.utc_offset)

    @property
    def offset(self) -> int:
        """Microseconds that times without an offset are ahead of UTC."""
        return round(self._zone.utcoffset(None).total_seconds()) * 1_000_000

    @property
    def iso_only(self) -> bool:
        """Whether times are ISO 8601 and UTC where they state no offset."""
        return self._format is None and self._zone == UTC

    def parse(self, text: str) -> int:
        """Microseconds since 1970, UTC. Raises ValueError: what was found, and why it is no time."""
        try:
            read = datetime.fromisoformat if self._pattern is None else self._pattern.parse
            moment = read(text)
        except ValueError:
            wanted = "ISO 8601 time" if self._format is None else f"time as {printable(self._format, 60)}"
            raise ValueError(f"{printable(text, 60)!r}, which is no {wanted}") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        found = _micros(moment - _EPOCH)
        if not FIRST <= found <= LAST:
            raise ValueError(f"{printable(text, 60)!r}, which is beyond the calendar")
        return found


def zone_of(text: str) -> timezone:
    """`+05:30` as a timezone. Raises ValueError."""
    sign, hours, colon, minutes = text[:1], text[1:3], text[3:4], text[4:]
    digits = hours + minutes
    if sign not in "+-" or colon != ":" or len(digits) != 4 or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{printable(text)!r} is no offset; write for example +00:00 or -05:30")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset >= timedelta(hours=24) or int(minutes) > 59:
        raise ValueError(f"{printable(text)!r} is no offset within a day")
    return timezone.utc if not offset else timezone(-offset if sign == "-" else offset)  # noqa: UP017
