"""How much of a link was used is measured against what it offered while it was up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.snapshots import link, snapshot
from skyhaul.hauling.progress import LinkProgress
from skyhaul.report.link_use import LinkMeter, LinkUse

MBIT = 1_000_000


def use_of(moments: list[tuple[float, LinkProgress]]) -> LinkUse:
    meter = LinkMeter()
    for at, seen in moments:
        meter.add(snapshot(elapsed=at, links=(seen,)))
    (use,) = meter.uses()
    return use


def at_rate(
    seconds: int, share: float, capacity: float | None = 8 * MBIT
) -> list[tuple[float, LinkProgress]]:
    """A second a snapshot: `share` of 1 MB/s flows."""
    return [
        (float(t), link(wire_bytes=int(t * MBIT * share), capacity=capacity, outages=0))
        for t in range(seconds + 1)
    ]


def test_a_full_link_is_used_in_full() -> None:
    use = use_of(at_rate(10, 1.0))
    assert use.utilisation == pytest.approx(1.0)
    assert use.rate == pytest.approx(8 * MBIT)
    assert use.seconds == 10


def test_half_of_it_is_half() -> None:
    assert use_of(at_rate(10, 0.5)).utilisation == pytest.approx(0.5)


def test_time_without_the_link_is_not_held_against_it_but_lowers_the_rate() -> None:
    down = [(10.0 + t, link(wire_bytes=10 * MBIT, state="down", capacity=8 * MBIT)) for t in range(10)]
    after = [(20.0 + t, link(wire_bytes=(10 + t) * MBIT, capacity=8 * MBIT)) for t in range(11)]
    use = use_of([*at_rate(9, 1.0), *down, *after])
    assert use.rate == pytest.approx(20 * 8 * MBIT / 30)
    assert use.utilisation is not None
    assert use.utilisation > 0.9


def test_the_wait_for_the_last_shards_encoding_does_not_count() -> None:
    tail = [(10.0 + t, link(wire_bytes=10 * MBIT, capacity=8 * MBIT)) for t in range(60)]
    assert use_of([*at_rate(10, 1.0), *tail]).utilisation == pytest.approx(1.0)


def test_the_wait_before_the_first_byte_does_not_count() -> None:
    idle = [(float(t), link(wire_bytes=0, capacity=8 * MBIT)) for t in range(60)]
    busy = [(60 + at, seen) for at, seen in at_rate(10, 1.0)]
    assert use_of([*idle, *busy]).utilisation == pytest.approx(1.0)


def test_an_unknown_capacity_gives_a_rate_and_no_share() -> None:
    use = use_of(at_rate(10, 1.0, capacity=None))
    assert use.rate == pytest.approx(8 * MBIT)
    assert use.capacity is None
    assert use.utilisation is None


def test_less_than_a_second_says_nothing() -> None:
    use = use_of([(0.0, link(wire_bytes=0)), (0.5, link(wire_bytes=100))])
    assert (use.rate, use.utilisation) == (None, None)
    assert use.wire_bytes == 100


@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 10**7), st.booleans()), max_size=40))
def test_any_course_of_things_gives_sane_figures(steps: list[tuple[float, int, bool]]) -> None:
    at, wire = 0.0, 0
    moments = [(0.0, link(wire_bytes=0))]
    for step, grown, up in steps:
        at, wire = at + step, wire + grown
        moments.append((at, link(wire_bytes=wire, state="up" if up else "down")))
    use = use_of(moments)
    assert use.wire_bytes == wire
    assert 0 <= use.seconds <= at + 0.001
    assert use.utilisation is None or use.utilisation >= 0
    assert use.capacity is None or use.capacity == pytest.approx(12 * MBIT)
