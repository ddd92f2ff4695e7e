"""Shard numbers as ranges: what a lot covers, and parts of it."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence

from skyhaul_schemas import layout


class Stretches:
    """Ranges (first, stop) of shard numbers, which must rise and not meet.

    A number also has an index, its place among them all."""

    def __init__(self, spans: Iterable[Sequence[int]] = ()) -> None:
        self.spans = tuple((first, stop) for first, stop in spans if first < stop)
        lengths = (stop - first for first, stop in self.spans)
        self._starts = list(itertools.accumulate(lengths, initial=0))

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Stretches:
        """Of rising numbers."""
        spans: list[list[int]] = []
        for number in numbers:
            if spans and spans[-1][1] == number:
                spans[-1][1] = number + 1
            else:
                spans.append([number, number + 1])
        return cls(spans)

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[int]:
        for first, stop in self.spans:
            yield from range(first, stop)

    def index(self, number: int) -> int:
        """Of a number that is among them."""
        place = bisect.bisect_right(self.spans, (number, number)) - 1
        if place + 1 < len(self.spans) and self.spans[place + 1][0] == number:
            place += 1
        return self._starts[place] + number - self.spans[place][0]

    def part(self, start: int, stop: int) -> Stretches:
        """Those with start <= index < stop."""
        found = []
        for (first, end), before in zip(self.spans, self._starts, strict=False):
            a, b = max(first, first + start - before), min(end, first + stop - before)
            found.append((a, b))
        return Stretches(found)

    def common(self, other: Stretches) -> Stretches:
        """Those that are in both."""
        found, mine, theirs = [], 0, 0
        while mine < len(self.spans) and theirs < len(other.spans):
            (a, b), (c, d) = self.spans[mine], other.spans[theirs]
            found.append((max(a, c), min(b, d)))
            if b <= d:
                mine += 1
            else:
                theirs += 1
        return Stretches(found)

    def groups(self) -> Iterator[tuple[int, list[int]]]:
        """(group, those of its numbers that are here), rising."""
        group = -1
        numbers: list[int] = []
        for first, stop in self.spans:
            while first < stop:
                if layout.group_of(first) != group:
                    if numbers:
                        yield group, numbers
                    group, numbers = layout.group_of(first), []
                until = min(stop, layout.shards_of(group).stop)
                numbers.extend(range(first, until))
                first = until
        if numbers:
            yield group, numbers
