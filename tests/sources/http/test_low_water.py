"""Gathering bytes in the kernel: it never waits for what may not come, nor on a slow connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skyhaul_connectors.sources.http.patience import LARGEST, PARTS, SMALLEST, TLS_MARGIN, LowWater

READS = st.lists(st.tuples(st.floats(0.0001, 2.0), st.integers(0, 300_000), st.integers(0, 300_000)))


@given(READS, st.sampled_from([0, TLS_MARGIN]))
def test_the_mark_is_never_above_what_must_come(reads: list[tuple[float, int, int]], margin: int) -> None:
    low, now = LowWater(margin), 0.0
    for pause, left, length in reads:
        now += pause
        before = low.mark
        changed = low.read(now, left, max(left, length))
        assert changed == (low.mark != before)
        assert low.mark == 1 or SMALLEST <= low.mark <= min(
            LARGEST, left - margin, max(left, length) // PARTS
        )


def test_between_bodies_every_byte_wakes() -> None:
    low = LowWater()
    low.read(0.0, 100_000, 200_000)
    assert low.mark == SMALLEST
    assert low.read(0.01, 0, 200_000)
    assert low.mark == 1


def test_a_quick_connection_gathers_more_and_a_slow_one_is_read_packet_by_packet() -> None:
    quick, slow = LowWater(), LowWater()
    for step in range(20):
        quick.read(step * 0.001, 500_000, 1_000_000)
        slow.read(step * 0.5, 500_000, 1_000_000)
    assert quick.mark == LARGEST
    assert slow.mark == 1


def test_small_answers_are_looked_at_as_they_come() -> None:
    low = LowWater()
    low.read(0.0, 16_000, 16_384)
    assert low.mark == 1


def test_what_came_of_a_connection_that_died_is_not_left_in_the_kernel() -> None:
    low = LowWater()
    low.read(0.0, 100_000, 200_000)
    assert not low.look(0.01)
    assert low.look(0.1)
    assert low.mark == 1
