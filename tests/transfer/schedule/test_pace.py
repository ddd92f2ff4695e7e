"""What is measured of a lane, and what follows from it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_connectors.transfer.schedule.error_policy import BUDGET, cost, made_progress, wait
from skyhaul_connectors.transfer.schedule.pace import (
    LARGEST_RANGE,
    MAX_CONNECTIONS,
    MIN_CONNECTIONS,
    SMALLEST_RANGE,
    STEADY_RANGE,
    Concurrency,
    Estimate,
    RateMeter,
    outstanding_limit,
    pipeline_depth,
    range_size,
)
from skyhaul_schemas.errors import (
    ConnectFailed,
    ConnectionLost,
    LinkClosed,
    ServerBusy,
    ServerError,
    StalledError,
)


def measured(rtt: float, rate: float) -> Estimate:
    estimate = Estimate()
    estimate.saw_first_byte(0.0, rtt)
    estimate.sample(rate)
    return estimate


def test_a_meter_forgets_what_is_older_than_its_window() -> None:
    meter = RateMeter(1.0)
    for step in range(10):
        meter.add(step / 10, 1000)
    assert meter.rate(0.9) == 10_000
    assert meter.rate(1.45) == pytest.approx(5000, abs=1000)
    assert meter.rate(3.0) == 0
    assert meter.total == 10_000


def test_the_round_trip_is_the_least_of_the_last_minute() -> None:
    estimate = Estimate()
    for second in range(0, 60, 2):
        estimate.saw_first_byte(second, 0.6 if second else 0.045)
    assert estimate.rtt == 0.045
    assert estimate.slow_rtt == 0.6
    for second in range(60, 140, 2):
        estimate.saw_first_byte(second, 0.5)
    assert estimate.rtt == 0.5


@pytest.mark.parametrize(
    ("rtt", "mbit", "connections"),
    [(0.045, 200, 78), (0.6, 50, 256), (0.01, 10, MIN_CONNECTIONS), (0.6, 5000, MAX_CONNECTIONS)],
)
def test_connections_follow_rate_times_round_trip(rtt: float, mbit: float, connections: int) -> None:
    target = Concurrency(1024).target(0.0, measured(rtt, mbit * 1e6 / 8))
    assert target == pytest.approx(connections, rel=0.05)
    assert Concurrency(16).target(0.0, measured(rtt, mbit * 1e6 / 8)) == min(16, target)


def test_connections_climb_while_goodput_follows_and_then_stay() -> None:
    """A lossy link: each connection brings 100 kB/s, up to 10 MB/s in all."""
    concurrency, estimate, now, seen = Concurrency(256), measured(0.1, 1.0), 0.0, []
    channels = 8
    for _ in range(400):
        now += 0.1
        estimate.meter.add(now, int(min(10e6, channels * 100e3) * 0.1))
        concurrency.observe(now, estimate, channels, busy=True)
        channels = concurrency.target(now, estimate)
        seen.append(channels)
    assert 90 <= seen[-1] <= 220
    assert len(set(seen[-200:])) == 1, "no oscillation"


def test_a_server_that_asks_for_less_gets_less_and_more_again_later() -> None:
    concurrency, estimate = Concurrency(64), measured(0.1, 100e6)
    assert concurrency.target(0.0, estimate) == 64
    concurrency.refused(10.0, 64)
    concurrency.refused(10.5, 64)
    assert concurrency.target(10.5, estimate) == 32, "at most one step a second"
    concurrency.refused(11.5, 32)
    assert concurrency.target(11.5, estimate) == 16
    assert concurrency.target(31.5, estimate) == 20
    assert concurrency.target(1000.0, estimate) == 64


def test_a_server_that_asks_for_less_is_heard_also_after_a_connection_was_refused() -> None:
    concurrency, estimate = Concurrency(64), measured(0.1, 100e6)
    concurrency.target(0.0, estimate)
    concurrency.capped(10.0, 40)
    assert concurrency.target(10.0, estimate) == 40
    concurrency.refused(10.1, 40)
    assert concurrency.target(10.1, estimate) == 20
    concurrency.refused(10.5, 20)
    assert concurrency.target(10.5, estimate) == 20, "at most one step a second"
    concurrency.refused(11.2, 20)
    assert concurrency.target(11.2, estimate) == 10
    assert concurrency.target(39.0, estimate) == 10, "the cap stays in mind"
    assert concurrency.target(1000.0, estimate) == 64


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-4, 3), st.floats(100, 1e10), st.integers(1, 1024), st.integers(0, 1 << 40), st.booleans())
def test_sizes_stay_within_their_bounds(
    rtt: float, rate: float, channels: int, remaining: int, known: bool
) -> None:
    estimate = measured(rtt, rate) if known else Estimate()
    size = range_size(estimate, channels, remaining)
    assert SMALLEST_RANGE <= size <= LARGEST_RANGE
    assert size & (size - 1) == 0 or size == STEADY_RANGE
    assert size in (SMALLEST_RANGE, STEADY_RANGE) or size <= remaining / (8 * channels)
    assert size != STEADY_RANGE or size <= remaining / (2 * channels)
    assert size // 2 <= pipeline_depth(estimate, channels, size)
    assert outstanding_limit(estimate, channels) >= SMALLEST_RANGE


def test_ranges_are_what_was_measured_best_on_leo_and_geo() -> None:
    mib = 1024 * 1024
    assert range_size(measured(0.6, 6.25e6), 160, 4 * mib) == 16 * 1024
    assert range_size(measured(0.6, 6.25e6), 256, 64 * mib) == 20 * 1024, "with 16 KiB TLS leaves gaps"
    assert range_size(measured(0.6, 6.25e6), 256, 8 * mib) == 16 * 1024
    assert range_size(measured(0.045, 25e6), 64, 64 * mib) in (64 * 1024, 128 * 1024)


def test_outages_closed_links_and_polite_refusals_cost_no_budget() -> None:
    alive = {"first_of_channel": True, "source_alive": True, "link_up": True}
    assert cost(ServerError("500"), **alive) == 1
    assert cost(StalledError("slow"), **alive) == 3
    assert cost(ConnectionLost("reset"), **alive) == 1
    assert cost(ConnectionLost("reset"), **{**alive, "first_of_channel": False}) == 0
    assert cost(StalledError("slow"), **{**alive, "source_alive": False}) == 0
    assert cost(ServerBusy("503"), **alive) == 0
    assert cost(ConnectFailed("refused"), **alive) == 0
    assert cost(LinkClosed("closed"), **alive) == 0
    for error in (ServerError("500"), StalledError("slow"), ConnectionLost("reset")):
        assert cost(error, **{**alive, "link_up": False}) == 0


def test_retries_back_off_and_a_whole_budget_of_them_ends_within_a_minute() -> None:
    draw = random.Random(1)
    waits = [wait(tries, draw) for tries in range(1, BUDGET + 1)]
    assert waits[0] == 0
    assert waits[1] < 0.3
    assert max(waits) <= 5.0
    assert 15 < sum(waits) < 60


def test_progress_gives_the_budget_back_and_a_drip_does_not() -> None:
    assert made_progress(16 * 1024, 1 << 20)
    assert made_progress(50, 100)
    assert not made_progress(100, 1 << 20)
    assert not made_progress(0, 1)
