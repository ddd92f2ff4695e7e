"""IntervalSet against plain sets of numbers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_connectors.transfer.intervals import IntervalSet

stretches = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1]))
steps = st.lists(st.tuples(st.sampled_from(["add", "remove"]), stretches), max_size=40)


def numbers(found: list[tuple[int, int]]) -> set[int]:
    return {n for start, stop in found for n in range(start, stop)}


@settings(deadline=None, derandomize=True, max_examples=150)
@given(steps, stretches)
def test_it_holds_what_a_set_of_numbers_would_hold(
    changes: list[tuple[str, tuple[int, int]]], asked: tuple[int, int]
) -> None:
    intervals, plain = IntervalSet(), set[int]()
    for what, (start, stop) in changes:
        span = set(range(start, stop))
        if what == "add":
            assert numbers(intervals.add(start, stop)) == span - plain
            plain |= span
        else:
            assert numbers(intervals.remove(start, stop)) == span & plain
            plain -= span
        kept = list(intervals)
        assert numbers(kept) == plain
        assert intervals.total == len(plain)
        assert all(a < b for a, b in kept)
        assert all(kept[i][1] < kept[i + 1][0] for i in range(len(kept) - 1)), "stretches touch"
    span = set(range(*asked))
    assert numbers(intervals.gaps(*asked)) == span - plain
    assert numbers(intervals.overlaps(*asked)) == span & plain
    assert intervals.covers(*asked) == (span <= plain)
