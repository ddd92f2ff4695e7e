"""Sets of half-open stretches [start, stop) of whole numbers: what has arrived, what is missing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Stretch = tuple[int, int]


class IntervalSet:
    """Disjoint stretches in rising order, none touching the next.

    Adding and removing cost a binary search and the shift of a list: cheap for the few hundred stretches
    that open ranges leave, whatever the number of bytes.
    """

    __slots__ = ("_starts", "_stops", "_total")

    def __init__(self, stretches: Iterable[Stretch] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._total = 0
        for start, stop in stretches:
            self.add(start, stop)

    def __iter__(self) -> Iterator[Stretch]:
        return iter(zip(self._starts, self._stops, strict=True))

    def __len__(self) -> int:
        return len(self._starts)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IntervalSet):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment]  # mutable, so not hashable

    def __repr__(self) -> str:
        return f"IntervalSet({list(self)})"

    @property
    def total(self) -> int:
        """How many numbers are in the set."""
        return self._total

    def add(self, start: int, stop: int) -> list[Stretch]:
        """Add [start, stop). Returns the parts that were not in the set before, in rising order."""
        if start >= stop:
            return []
        starts, stops = self._starts, self._stops
        first = bisect_left(stops, start)  # the first stretch that ends at or after `start`
        # The two usual cases, which need no search for gaps: nothing touches the new stretch, or it goes on
        # where another one ends, as each packet of a range does.
        if first == len(stops) or starts[first] > stop:
            starts.insert(first, start)
            stops.insert(first, stop)
            self._total += stop - start
            return [(start, stop)]
        if stops[first] == start and (first + 1 == len(starts) or starts[first + 1] > stop):
            stops[first] = stop
            self._total += stop - start
            return [(start, stop)]
        fresh = self.gaps(start, stop)
        last = bisect_right(starts, stop)  # one after the last stretch that starts at or before `stop`
        low, high = min(start, starts[first]), max(stop, stops[last - 1])
        starts[first:last] = [low]
        stops[first:last] = [high]
        self._total += sum(b - a for a, b in fresh)
        return fresh

    def remove(self, start: int, stop: int) -> list[Stretch]:
        """Remove [start, stop). Returns the parts that were in the set, in rising order."""
        taken = self.overlaps(start, stop)
        if not taken:
            return []
        starts, stops = self._starts, self._stops
        first = bisect_right(stops, start)
        last = bisect_left(starts, stop)
        rest: list[Stretch] = []
        if starts[first] < start:
            rest.append((starts[first], start))
        if stops[last - 1] > stop:
            rest.append((stop, stops[last - 1]))
        starts[first:last] = [a for a, _ in rest]
        stops[first:last] = [b for _, b in rest]
        self._total -= sum(b - a for a, b in taken)
        return taken

    def overlaps(self, start: int, stop: int) -> list[Stretch]:
        """The parts of [start, stop) that are in the set, in rising order."""
        found: list[Stretch] = []
        if start >= stop:
            return found
        index = bisect_right(self._stops, start)
        while index < len(self._starts) and self._starts[index] < stop:
            found.append((max(start, self._starts[index]), min(stop, self._stops[index])))
            index += 1
        return found

    def gaps(self, start: int, stop: int) -> list[Stretch]:
        """The parts of [start, stop) that are not in the set, in rising order."""
        missing: list[Stretch] = []
        at = start
        for low, high in self.overlaps(start, stop):
            if low > at:
                missing.append((at, low))
            at = high
        if at < stop:
            missing.append((at, stop))
        return missing

    def covers(self, start: int, stop: int) -> bool:
        """Whether all of [start, stop) is in the set; true for an empty stretch."""
        if start >= stop:
            return True
        index = bisect_right(self._stops, start)
        return index < len(self._starts) and self._starts[index] <= start and self._stops[index] >= stop
