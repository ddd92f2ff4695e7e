"""Hours of the week in a time zone: whether a moment is within them, and when that changes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from skyhaul_schemas.job.link_terms import DAY_MINUTES, Hours

_LOOK_AHEAD = 9
"""Days: a window of one day a week comes up within eight, counted from the middle of today."""


class Timetable:
    """Hours of the week. Moments are Unix seconds.

    Hours are by the local clock: on the day that it is put back an hour counts twice, where it is put forward
    what it leaves out is left out.

    Args:
        hours: The hours, in the order in which they are tried.
        zone: IANA name of the time zone."""

    def __init__(self, hours: Iterable[Hours], zone: str) -> None:
        self.hours = tuple(hours)
        self._zone = ZoneInfo(zone)
        # 24:00 is 0:00 of the next day, which is tried as well.
        self._edges = sorted({edge for h in self.hours for edge in (h.start, h.stop % DAY_MINUTES)})

    def which(self, at: float) -> int | None:
        """The index of the first hours that hold `at`, or None."""
        if not self.hours:
            return None
        local = datetime.fromtimestamp(at, self._zone)
        minute = local.hour * 60 + local.minute
        day = local.weekday()
        for index, hours in enumerate(self.hours):
            if hours.start < hours.stop:
                inside = day in hours.days and hours.start <= minute < hours.stop
            else:
                inside = (day in hours.days and minute >= hours.start) or (
                    (day - 1) % 7 in hours.days and minute < hours.stop
                )
            if inside:
                return index
        return None

    def holds(self, at: float) -> bool:
        """Whether `at` is within any of the hours."""
        return self.which(at) is not None

    def next_change(self, at: float) -> float:
        """When `which` changes next; math.inf where it never does. To the minute."""
        if not self.hours:
            return math.inf
        now = self.which(at)
        today = datetime.fromtimestamp(at, self._zone).date()
        for ahead in range(_LOOK_AHEAD):
            for moment in self._edges_of(today + timedelta(days=ahead)):
                # Not every edge is a change: hours may touch, overlap, or not hold on that day.
                if moment > at and self.which(moment) != now:
                    return moment
        return math.inf

    def _edges_of(self, day: date) -> list[float]:
        """When hours may begin or end on that day, in order."""
        # An edge within the hour that a clock put back repeats comes twice (PEP 495). The change of the clock
        # itself is one, too: it may jump into hours or out of them.
        found = {self._moment(day, edge, fold) for edge in self._edges for fold in (0, 1)}
        start, stop = self._moment(day, 0, 0), self._moment(day + timedelta(days=1), 0, 0)
        if self._offset(start) != self._offset(stop):
            found.add(self._clock_change(start, stop))
        return sorted(found)

    def _clock_change(self, start: float, stop: float) -> float:
        """The second at which the offset from UTC becomes that of `stop`."""
        before, after = int(start), int(stop)
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(middle) == self._offset(start):
                before = middle
            else:
                after = middle
        return float(after)

    def _offset(self, at: float) -> timedelta | None:
        return datetime.fromtimestamp(at, self._zone).utcoffset()

    def _moment(self, day: date, minute: int, fold: int) -> float:
        local = datetime(
            day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=self._zone, fold=fold
        )
        return local.timestamp()
