"""What a contract says of a link, as people write it in a job file: caps, prices, hours, rates by the hour.

Caps: `1TB/month`, `50GB/week`, `2GB/day`, `100GB/30d`. Prices: `0.25/GB` or `0.25 USD/GB`, a GB being 10^9
bytes. Hours: `23:00-07:00`, `Mon-Fri 08:00-18:00`, `Sat,Sun 00:00-24:00`; what ends before it begins runs
past midnight and belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import PlainValidator, WithJsonSchema

from skyhaul_schemas.job.fieldtypes import Kind
from skyhaul_schemas.units import NotAllowed, exact_size, parse_duration, parse_rate, parse_size

GB = 1000**3
"""Bytes: operators bill by powers of ten."""
DAY_MINUTES = 24 * 60
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))

CAPS = "a size a day, week, month or a number of days, such as 1TB/month, 50GB/week or 100GB/30d"
PRICES = "a price for 10^9 bytes, such as 0.25/GB or 0.25 USD/GB"
HOURS = "hours such as 23:00-07:00 or Mon-Fri 08:00-18:00, or a list of them"
RATES = "hours and a rate or off, such as {08:00-18:00: 20Mbit/s, 12:00-13:00: off}"
CYCLE_STARTS = "a day of the month from 1 to 31, or a date such as 2026-11-15 in quotes"
ZONES = "UTC or a name of the time zone database, such as Europe/Berlin"
DEADLINES = "a duration such as 6h, counted from the start of the run, or a time such as 2026-11-23T06:00Z"

_HOURS = re.compile(r"(?:([a-z,\s-]+?)\s+)?(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)", re.IGNORECASE)
_PRICE = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([A-Za-z]{1,8})?\s*(?:/\s*(GB|TB|MB))?\s*")
_UNITS = {"MB": 1000**2, "GB": GB, "TB": 1000**4}
# A duration never begins with four digits and a dash, so this tells the two apart.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")

Role = Literal["primary", "overflow", "last-resort"]
Period = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes [start, stop) of the local day, on some days of the week."""

    days: frozenset[int]
    """0 is Monday, as `date.weekday` has it. Hours past midnight are of the day on which they begin."""
    start: int
    stop: int
    """Of the next day where it is not after `start`."""

    def __str__(self) -> str:
        days = "" if self.days == EVERY_DAY else ",".join(DAYS[d].title() for d in sorted(self.days)) + " "
        return f"{days}{_clock(self.start)}-{_clock(self.stop)}"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `bytes` in each cycle: a calendar period, or that many days."""

    bytes: int
    period: Period | int = "month"

    def __str__(self) -> str:
        return (
            f"{exact_size(self.bytes)}/{self.period if isinstance(self.period, str) else f'{self.period}d'}"
        )


@dataclass(frozen=True, slots=True)
class Price:
    """`per_gb` for 10^9 bytes, in `currency` (empty: whatever the user counts in)."""

    per_gb: float
    currency: str = ""


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def parse_hours(text: Any) -> Hours:
    """Hours as a job file writes them: `Mon-Fri 08:00-18:00`. Raises NotAllowed."""
    match = _HOURS.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise NotAllowed(text, HOURS)
    start = int(match[2]) * 60 + int(match[3])
    stop = int(match[4]) * 60 + int(match[5])
    # 24:00 only ends a day. Equal ends are refused: they would say nothing, or all of the day.
    if (
        int(match[3]) > 59
        or int(match[5]) > 59
        or start >= DAY_MINUTES
        or stop > DAY_MINUTES
        or start == stop
    ):
        raise NotAllowed(text, HOURS)
    return Hours(_days(text, match[1]), start, stop)


def _days(text: str, named: str | None) -> frozenset[int]:
    if named is None:
        return EVERY_DAY
    days: set[int] = set()
    for part in named.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first[:3] not in DAYS or (dash and last[:3] not in DAYS):
            raise NotAllowed(text, HOURS)
        a = DAYS.index(first[:3])
        b = DAYS.index(last[:3]) if dash else a
        # Over the end of the week, too: `Sat-Mon`.
        days.update((a + i) % 7 for i in range((b - a) % 7 + 1))
    return frozenset(days)


def parse_cap(text: Any) -> Cap:
    """A cap as a job file writes it: `1TB/month`, `100GB/30d`. Raises NotAllowed."""
    # Taken as it is: a validator also sees values that code made, not a file.
    if isinstance(text, Cap):
        return text
    size, slash, per = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not slash:
        raise NotAllowed(text, CAPS)
    try:
        count = parse_size(size)
    except NotAllowed:
        raise NotAllowed(text, CAPS) from None
    per = per.strip()
    if per in ("day", "week", "month"):
        return Cap(count, per)  # type: ignore[arg-type]  # one of the Literal's values
    try:
        days = parse_duration(per) / 86400
    except NotAllowed:
        raise NotAllowed(text, CAPS) from None
    # Cycles begin at local midnights, so they are whole days; ten years is as good as no cycle.
    if days != int(days) or not 1 <= days <= 3660:
        raise NotAllowed(text, CAPS)
    return Cap(count, int(days))


def parse_price(value: Any) -> Price:
    """A price as a job file writes it: `0.25 USD/GB`. Raises NotAllowed."""
    if isinstance(value, Price):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Not str(): a small float would come as `1e-05`, which is no price. By way of Decimal, which keeps
        # all its digits: `f` of a float keeps six, and would make nothing of a small one.
        value = f"{Decimal(repr(value)):f}"
    match = _PRICE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise NotAllowed(value, PRICES)
    return Price(float(match[1]) * GB / _UNITS[match[3] or "GB"], (match[2] or "").upper())


def _many_hours(value: Any) -> tuple[Hours, ...]:
    if isinstance(value, tuple) and all(isinstance(item, Hours) for item in value):
        return value
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise NotAllowed(value, HOURS)
    return tuple(parse_hours(text) for text in texts)


def _rates(value: Any) -> tuple[tuple[Hours, float], ...]:
    """(hours, bit/s) in the order of the file, for the first that fits holds; 0 where the link is off."""
    if isinstance(value, tuple):
        return value
    if not isinstance(value, dict) or not value:
        raise NotAllowed(value, RATES)
    return tuple((parse_hours(hours), parse_pace(rate)) for hours, rate in value.items())


def parse_pace(text: Any) -> float:
    """bit/s; 0 for `off` (which YAML 1.1 reads as false). Raises NotAllowed."""
    # `skyhaul links --set` reads its rates here, too, so that `off` means the same in both places.
    if text is False or (isinstance(text, str) and text.strip().lower() == "off"):
        return 0.0
    return parse_rate(text)


def _cycle_start(value: Any) -> int | date:
    if isinstance(value, date):
        return value
    # Two digits: int() refuses thousands of them with an error of its own.
    if isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) <= 2:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 31:
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise NotAllowed(value, CYCLE_STARTS) from None


def _zone(value: Any) -> str:
    try:
        ZoneInfo(value)
    # ZoneInfo looks for a file of that name: a path out of its folder is a ValueError, and a folder in it an
    # OSError in some versions of Python.
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise NotAllowed(value, ZONES) from None
    return str(value)


def parse_deadline(value: Any) -> float | str:
    """Seconds from the start of a run, or an ISO 8601 time with its offset. Raises NotAllowed."""
    if isinstance(value, float):
        return value
    if isinstance(value, str) and _MOMENT.fullmatch(value.strip()):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise NotAllowed(value, DEADLINES) from None
        # The machine's own zone is no answer: a job is run on others, too.
        if moment.tzinfo is None:
            raise NotAllowed(value, f"{DEADLINES} (with Z or its offset from UTC)")
        return moment.isoformat()
    try:
        seconds = parse_duration(value)
    except NotAllowed:
        raise NotAllowed(value, DEADLINES) from None
    if seconds <= 0:
        raise NotAllowed(value, DEADLINES)
    return seconds


def due_at(deadline: float | str, started: float) -> float:
    """Unix seconds of a deadline, for a run that started at `started`."""
    if isinstance(deadline, str):
        return datetime.fromisoformat(deadline).timestamp()
    return started + deadline


_TEXT = {"type": "string"}

CapPerCycle = Annotated[
    Cap, PlainValidator(parse_cap), WithJsonSchema(_TEXT), Kind("a size a cycle", "bytes")
]
PricePerGB = Annotated[
    Price,
    PlainValidator(parse_price),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "number", "minimum": 0}]}),
    Kind("a price", "for 10^9 bytes"),
]
ManyHours = Annotated[
    tuple[Hours, ...],
    PlainValidator(_many_hours),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
    Kind("hours, or a list of them"),
]
RatesByHour = Annotated[
    tuple[tuple[Hours, float], ...],
    PlainValidator(_rates),
    WithJsonSchema({"type": "object", "additionalProperties": {"anyOf": [_TEXT, {"const": False}]}}),
    Kind("a mapping of hours to a rate", "bit/s"),
]
CycleStart = Annotated[
    int | date,
    PlainValidator(_cycle_start),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 31}, _TEXT]}),
    Kind("a day of the month, or a date"),
]
ZoneName = Annotated[str, PlainValidator(_zone), WithJsonSchema(_TEXT), Kind("a time zone")]
Deadline = Annotated[
    float | str,
    PlainValidator(parse_deadline),
    WithJsonSchema(_TEXT),
    Kind("a time, or a duration", "seconds"),
]
