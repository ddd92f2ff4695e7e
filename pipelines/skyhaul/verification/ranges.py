"""How two sets of byte ranges cover an object differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Interval = tuple[int, int]
"""(offset, length)."""


def differences(
    expected: Iterable[Interval], actual: Iterable[Interval]
) -> Iterator[tuple[int, int, int, int]]:
    """(start, stop, times expected, times found) of each stretch that differs, in order.

    A range of length 0 counts as the stretch [offset, offset)."""
    # A sweep over the borders: what starts adds one, what stops takes one away.
    steps: dict[int, list[int]] = {}
    empty: dict[int, list[int]] = {}
    for which, intervals in enumerate((expected, actual)):
        for offset, length in intervals:
            if length == 0:
                empty.setdefault(offset, [0, 0])[which] += 1
            else:
                steps.setdefault(offset, [0, 0])[which] += 1
                steps.setdefault(offset + length, [0, 0])[which] -= 1
    for offset, (wanted, found) in sorted(empty.items()):
        if wanted != found:
            yield offset, offset, wanted, found
    wanted = found = 0
    start: int | None = None
    for position in sorted(steps):
        if start is not None:
            yield start, position, wanted, found
        wanted += steps[position][0]
        found += steps[position][1]
        start = position if wanted != found else None
