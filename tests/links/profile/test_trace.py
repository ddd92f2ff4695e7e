"""Traces of measured links carry what their files say."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_connectors.links.emulation.model import LinkModel
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.profile.trace import (
    PACKET_BYTES,
    RateTrace,
    load_delay_trace,
    load_rate_trace,
)
from skyhaul_schemas.errors import UsageError

LEOCC = Path(__file__).parents[4] / "shared/data/linktrace/leocc-starlink/leoreplayer/replayer/example/Cubic"
needs_leocc = pytest.mark.skipif(not LEOCC.exists(), reason="the LeoCC trace is not on this machine")


def _trace(path: Path, lines: str) -> RateTrace:
    path.write_text(lines)
    return load_rate_trace(str(path))


@needs_leocc
def test_a_starlink_trace_carries_what_its_file_says_second_by_second() -> None:
    lines = [int(line) for line in (LEOCC / "bw_example.txt").read_text().split()]
    trace = load_rate_trace(str(LEOCC / "bw_example.txt"))
    assert trace.packets == len(lines)
    assert trace.period == lines[-1] / 1000
    by_second = Counter((max(ms, 1) - 1) // 1000 for ms in lines)
    for second in range(120):
        carried = trace.bytes_by(second + 1) - trace.bytes_by(second)
        assert carried == pytest.approx(by_second[second] * PACKET_BYTES)


@needs_leocc
def test_a_link_on_a_starlink_trace_moves_the_traces_bytes_also_after_it_wrapped() -> None:
    trace = load_rate_trace(str(LEOCC / "bw_example.txt"))
    profile = LinkProfile(down=trace.mean_rate, up=10e6, rtt=0.05, trace=trace)
    model = LinkModel(profile)
    carried = 0
    while model.free_down < 2.5 * trace.period:
        model.admit_down(0.0, 64 * 1448)
        carried += 64 * 1500
    assert carried == pytest.approx(trace.bytes_by(model.free_down), rel=1e-6)


@needs_leocc
def test_a_delay_trace_steps_each_ten_milliseconds_and_wraps() -> None:
    lines = [int(line) for line in (LEOCC / "delay_example.txt").read_text().split()]
    trace = load_delay_trace(str(LEOCC / "delay_example.txt"))
    assert [trace.at(k / 100 + 0.005) for k in range(50)] == [ms / 1000 for ms in lines[:50]]
    assert trace.at(len(lines) / 100 + 0.005) == lines[0] / 1000


_TRACES = st.lists(st.integers(0, 3), min_size=1, max_size=30).filter(any)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(_TRACES, st.floats(0, 0.2), st.floats(1, 40_000))
def test_when_n_bytes_have_passed_is_what_walking_the_trace_finds(
    per_ms: list[int], start: float, count: float
) -> None:
    """Against the slow way: walk on, a hundredth of a millisecond at a time."""
    passed = [0]
    for packets in per_ms:
        passed.append(passed[-1] + packets)
    trace = RateTrace(array("q", passed))
    when = trace.when(start, count)
    step = 1e-5
    at, carried = start, 0.0
    while carried < count:
        carried += per_ms[int(at * 1000) % len(per_ms)] * PACKET_BYTES * step * 1000
        at += step
    assert when == pytest.approx(at, abs=3.5e-3 if carried - count > 1 else 2.5e-3)
    assert trace.bytes_by(when) - trace.bytes_by(start) == pytest.approx(count, rel=1e-6, abs=1e-3)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(_TRACES, st.floats(0, 1), st.floats(0, 1))
def test_bytes_never_go_back(per_ms: list[int], one: float, other: float) -> None:
    passed = [0]
    for packets in per_ms:
        passed.append(passed[-1] + packets)
    trace = RateTrace(array("q", passed))
    first, second = sorted((one, other))
    assert trace.bytes_by(first) <= trace.bytes_by(second) + 1e-6


def test_repeats_are_several_packets_in_one_millisecond(tmp_path: Path) -> None:
    trace = _trace(tmp_path / "bw", "1\n1\n1\n4\n")
    assert trace.bytes_by(0.001) == 3 * PACKET_BYTES
    assert trace.bytes_by(0.003) == 3 * PACKET_BYTES
    assert trace.bytes_by(0.004) == 4 * PACKET_BYTES
    assert trace.bytes_by(0.005) == 7 * PACKET_BYTES
    assert math.isclose(trace.when(0.001, 1 * PACKET_BYTES), 0.004)


def test_packets_of_millisecond_0_pass_within_the_first(tmp_path: Path) -> None:
    trace = _trace(tmp_path / "bw", "0\n0\n2\n")
    assert [trace.bytes_by(ms / 1000) / PACKET_BYTES for ms in range(5)] == [0, 2, 3, 5, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("1\nx\n", "line 2: 'x' is no whole number"),
        ("1\n\n2\n", "line 2: '' is no whole number"),
        ("1.5\n", "line 1: '1.5' is no whole number"),
        ("-1\n", "line 1: '-1' is no whole number"),
        ("3\n2\n", "line 2: 2 after 3; milliseconds never fall"),
        ("0\n0\n", "ends in millisecond 0"),
        ("99999999999999999999\n", "line 1"),
        ("1\n7300000\n", "longer than 2 hours"),
        ("\x1b[31m\n", r"'\x1b[31m' is no whole number"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        _trace(tmp_path / "bw", text)
    assert message in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_missing_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_rate_trace(str(tmp_path / "none"))


def test_a_delay_of_more_than_an_hour_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "delay"
    path.write_text("10\n3600001\n")
    with pytest.raises(UsageError, match="line 2: 3600001 ms is more than an hour"):
        load_delay_trace(str(path))
