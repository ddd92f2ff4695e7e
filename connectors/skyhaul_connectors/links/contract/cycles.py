"""Billing cycles: in which one a moment lies, and when it ends."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from skyhaul_schemas.job.link_terms import Period

_EPOCH = date(1970, 1, 1)
"""From where cycles of a number of days are counted unless the job names a date: any day would do, but it
must be the same for all jobs and versions, since the ledger knows a cycle by its first day."""
_MONDAY = date(1970, 1, 5)
"""From where weeks are counted: they begin on Mondays (ISO 8601)."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """One billing cycle, [start, end).

    Attributes:
        name: Its first day (ISO 8601), as the ledger calls it.
        start: Unix seconds.
        end: Unix seconds.
    """

    name: str
    start: float
    end: float


class Cycles:
    """The billing cycles of one link.

    Args:
        period: A calendar period, or a number of days.
        start: A day of the month, or a date on which a cycle begins; None: the 1st of a month, a Monday,
            or (of a number of days) 1970-01-01. A day that a month lacks is its last.
        zone: IANA name of the time zone whose midnights count.
    """

    def __init__(self, period: Period | int, start: int | date | None, zone: str) -> None:
        self._period = period
        self._start = start
        self._zone = ZoneInfo(zone)

    def at(self, moment: float) -> Cycle:
        """The cycle that `moment` (Unix seconds) lies in."""
        today = datetime.fromtimestamp(moment, self._zone).date()
        # In days, not in seconds: a day on which the clock is changed has 23 or 25 hours.
        first, after = self._days(today)
        return Cycle(first.isoformat(), self._midnight(first), self._midnight(after))

    def _days(self, today: date) -> tuple[date, date]:
        if self._period == "month":
            return self._month(today)
        length = {"day": 1, "week": 7}.get(self._period, 1) if isinstance(self._period, str) else self._period
        default = _MONDAY if self._period == "week" else _EPOCH
        anchor = self._start if isinstance(self._start, date) else default
        # Python's % is never negative, so that a date in the future is as good a beginning as one in the
        # past.
        first = today - timedelta(days=(today - anchor).days % length)
        return first, first + timedelta(days=length)

    def _month(self, today: date) -> tuple[date, date]:
        start = self._start
        day = start.day if isinstance(start, date) else start or 1
        first = _in_month(today.year, today.month, day)
        # Months are counted from year 0, so that January and December need no case of their own.
        if first > today:
            year, month = divmod(today.year * 12 + today.month - 2, 12)
            return _in_month(year, month + 1, day), first
        year, month = divmod(today.year * 12 + today.month, 12)
        return first, _in_month(year, month + 1, day)

    def _midnight(self, day: date) -> float:
        return datetime.combine(day, time(), self._zone).timestamp()


def _in_month(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))
