"""Clock, pacer, dice and spread."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.emulation.congestion_window import CongestionWindow
from skyhaul_connectors.links.pacer import Pacer
from skyhaul_connectors.links.profile.indexed_random import IndexedRandom, RandomSequence
from skyhaul_connectors.links.profile.quantiles import Quantiles


class Hand:
    """A clock's hand that the test moves."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def test_processes_that_share_an_epoch_tell_the_same_time() -> None:
    wall, one, two = Hand(1000.0), Hand(50.0), Hand(7.0)
    first = MonotonicClock(monotonic=one, wall=wall)
    wall.at += 30
    one.at += 30
    second = MonotonicClock(first.epoch, monotonic=two, wall=wall)
    assert (first.now(), second.now()) == (30.0, 30.0)


def test_a_jump_of_the_wall_clock_moves_nothing() -> None:
    wall, steady = Hand(1000.0), Hand(0.0)
    clock = MonotonicClock(monotonic=steady, wall=wall)
    wall.at -= 7200
    steady.at += 5
    assert clock.now() == 5.0
    assert clock.epoch == 1000.0


def test_an_epoch_that_lies_ahead_counts_as_now() -> None:
    assert MonotonicClock(2000.0, monotonic=Hand(0.0), wall=Hand(1000.0)).now() == 0.0


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 300_000)), min_size=5, max_size=60))
def test_a_pacer_never_lets_more_through_than_rate_and_burst(takes: list[tuple[float, int]]) -> None:
    rate = 8e6
    pacer = Pacer(rate, burst=0.05)
    now, gone = 0.0, []
    for pause, size in takes:
        now = pacer.ready_at(now + pause)
        pacer.take(now, size)
        gone.append((now, size))
    for first in range(len(gone)):
        for last in range(first + 1, len(gone)):
            span = gone[last][0] - gone[first][0]
            between = sum(size for _, size in gone[first:last]) * 8
            assert between <= rate * (span + 0.05) + 1


def test_a_pacer_holds_its_rate_within_one_percent() -> None:
    pacer = Pacer(20e6)
    now, taken = 0.0, 0
    while now < 10:
        now = pacer.ready_at(now)
        pacer.take(now, 65_536)
        taken += 65_536
    assert taken * 8 / now == pytest.approx(20e6, rel=0.01)


def test_a_pacers_rate_can_be_changed_while_it_is_in_debt() -> None:
    pacer = Pacer(1e6)
    pacer.take(0.0, 1_000_000)
    assert pacer.ready_at(0.0) == pytest.approx(8.0)
    pacer.set_rate(1.0, 7e6)
    assert pacer.ready_at(1.0) == pytest.approx(2.0)
    pacer.set_rate(1.0, float("inf"))
    assert pacer.ready_at(1.0) == 1.0


def test_a_pacer_without_a_limit_never_waits() -> None:
    pacer = Pacer()
    pacer.take(0.0, 10**12)
    assert pacer.ready_at(0.0) == 0.0
    with pytest.raises(ValueError, match="above 0"):
        Pacer(0)


def test_dice_are_even_and_differ_by_seed_and_name() -> None:
    dice = IndexedRandom(1, "a")
    numbers = [dice.at(index) for index in range(20_000)]
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.01)
    assert sum(number < 0.1 for number in numbers) / len(numbers) == pytest.approx(0.1, abs=0.01)
    assert dice.at(7) == IndexedRandom(1, "a").at(7)
    assert len({dice.at(7), IndexedRandom(2, "a").at(7), IndexedRandom(1, "b").at(7)}) == 3


def test_a_geometric_roll_has_its_mean() -> None:
    roll = RandomSequence(IndexedRandom(1, "g"))
    assert sum(roll.geometric(0.05) for _ in range(20_000)) / 20_000 == pytest.approx(20, rel=0.03)
    assert roll.geometric(1.0) == 1


def test_a_spread_goes_through_its_points_and_rises_between() -> None:
    spread = Quantiles(((0, 1.0), (0.5, 10.0), (0.9, 20.0), (1, 100.0)))
    assert [spread.at(share) for share in (-1, 0, 0.5, 0.9, 1, 2)] == [1, 1, 10, 20, 100, 100]
    values = [spread.at(step / 100) for step in range(101)]
    assert values == sorted(values)
    assert spread.at(0.25) == pytest.approx(10**0.5)
    with pytest.raises(ValueError, match="rise from 0 to 1"):
        Quantiles(((0.1, 1.0), (1, 2.0)))
    with pytest.raises(ValueError, match="never fall"):
        Quantiles(((0, 3.0), (1, 2.0)))


def test_a_window_doubles_each_round_trip_until_a_loss_halves_it() -> None:
    window = CongestionWindow(1000)
    sizes = []
    now = 0.0
    for _ in range(4):
        room = window.room(now)
        sizes.append(room)
        window.sent(room, now + 1.0)
        now += 1.0
    assert sizes == [10_000, 20_000, 40_000, 80_000]
    window.sent(window.room(now), now + 1.0)
    window.lost(now, 1.0)
    window.lost(now + 0.5, 1.0)
    halved = window.room(now + 1.0)
    assert halved == pytest.approx(80_000, rel=0.03)
    window.sent(halved, now + 2.0)
    assert window.room(now + 2.0) == halved + 1000, "one segment a round trip from there"
    window.timed_out()
    assert window.room(now + 2.0) == 1000
