"""The link model: rates hold, nothing is faster than the link, nothing arrives while it is down."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from link_profiles import STEADY, profiles
from skyhaul_connectors.links.emulation.model import LinkModel, LossRuns
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.indexed_random import IndexedRandom, RandomSequence
from skyhaul_connectors.links.profile.presets import PRESETS
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.profile.schedule import Phase

sends = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 200_000)), min_size=1, max_size=40)
"""(pause before, bytes)."""


@pytest.mark.parametrize("size", [1448, 16 * 1024, 64 * 1024, 128 * 1024])
def test_a_200_mbit_link_carries_its_physical_limit_in_every_second(size: int) -> None:
    model = LinkModel(LinkProfile(down=200e6, up=20e6, rtt=0.045))
    arrivals: list[float] = []
    while not arrivals or arrivals[-1] < 5:
        arrivals.append(model.admit_down(0.0, size))
    for second in (1, 2, 3):
        payload = sum(size for at in arrivals if second <= at < second + 1) * 8
        assert payload == pytest.approx(200e6 * 1448 / 1500, rel=0.01)


def test_headers_are_counted_so_payload_is_96_and_a_half_percent() -> None:
    model = LinkModel(LinkProfile(down=100e6, up=10e6, rtt=0.0))
    for _ in range(1000):
        last = model.admit_down(0.0, 144_800)
    assert 144_800_000 * 8 / last == pytest.approx(96.53e6, rel=1e-3)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(profiles, st.integers(0, 3), sends)
def test_no_stretch_of_time_carries_more_than_its_rate_allows(
    profile: LinkProfile, seed: int, steps: list[tuple[float, int]]
) -> None:
    """What left the queue between any two moments fits the sum of rate times length of the pieces."""
    model = LinkModel(profile, seed)
    now, left = 0.0, [(0.0, 0.0)]
    for pause, size in steps:
        now += pause
        model.admit_down(now, size)
        if model.free_down == math.inf:
            break
        left.append((model.free_down, max(size * 1500 / 1448, size + 52) * 8))
    for (start, _), (end, bits) in itertools.pairwise(left):
        capacity, at = 0.0, start
        while at < end:
            piece = model.schedule.piece(at)
            until = min(end, piece.until)
            capacity += piece.down * (until - at)
            at = until
        assert bits <= capacity * (1 + 1e-6) + 1e-3


@settings(max_examples=150, derandomize=True, deadline=None)
@given(profiles, st.integers(0, 3), sends, st.floats(0, 0.3), st.booleans())
def test_nothing_arrives_while_the_link_is_down_or_faster_than_light(
    profile: LinkProfile, seed: int, steps: list[tuple[float, int]], jitter: float, upwards: bool
) -> None:
    model = LinkModel(profile.with_(jitter=jitter), seed)
    now = 0.0
    for pause, size in steps:
        now += pause
        at = (model.admit_up if upwards else model.admit_down)(now, size)
        if at == math.inf:
            assert profile.contacts is not None
            continue
        assert model.schedule.piece(at).phase is Phase.UP
        assert at >= now + profile.rtt / 2


@settings(max_examples=100, derandomize=True, deadline=None)
@given(profiles, st.integers(0, 3), sends)
def test_without_jitter_first_in_is_first_out(
    profile: LinkProfile, seed: int, steps: list[tuple[float, int]]
) -> None:
    model = LinkModel(profile, seed)
    now, last = 0.0, 0.0
    for pause, size in steps:
        now += pause
        at = model.admit_down(now, size)
        assert at >= last
        last = at


@settings(max_examples=50, derandomize=True, deadline=None)
@given(profiles, st.integers(0, 3), sends)
def test_the_same_calls_get_the_same_answers(
    profile: LinkProfile, seed: int, steps: list[tuple[float, int]]
) -> None:
    def play() -> list[float]:
        model = LinkModel(profile.with_(jitter=0.02), seed)
        moments = itertools.accumulate(pause for pause, _ in steps)
        return [model.admit_down(now, size) for now, (_, size) in zip(moments, steps, strict=True)]

    assert play() == play()


def test_an_outage_holds_bytes_back_and_loses_no_rate_after_it() -> None:
    model = LinkModel(LinkProfile(down=8e6, up=1e6, rtt=0.1, outages=((1.0, 2.0),)))
    last = 0.0
    for _ in range(100):
        last = model.admit_down(0.0, 28_960)
    assert last == pytest.approx(100 * 30_000 * 8 / 8e6 + 2.0 + 0.05)


def test_a_link_without_a_later_contact_delivers_never() -> None:
    contacts = ContactTable((Contact(0, 1),))
    model = LinkModel(STEADY.with_(contacts=contacts))
    assert model.admit_down(0.0, 1448) < 1
    assert model.admit_down(0.0, 2_000_000) == math.inf
    assert model.admit_down(5.0, 1) == math.inf
    assert model.next_up(5.0) == math.inf


def test_requests_ride_the_thin_side_behind_acknowledgements() -> None:
    free = LinkModel(LinkProfile(down=100e6, up=1e6, rtt=0.0))
    busy = LinkModel(LinkProfile(down=100e6, up=1e6, rtt=0.0))
    for _ in range(100):
        busy.acknowledge(0.0, 20)
    assert free.admit_up(0.0, 320) == pytest.approx((320 + 52) * 8 / 1e6)
    assert 0.05 < busy.admit_up(0.0, 320) < 0.06, "thinned out beyond 50 ms of the uplink"


@pytest.mark.parametrize(("share", "burst"), [(0.0001, 1), (0.01, 1), (0.02, 8), (0.3, 3), (0.5, 1)])
def test_losses_have_their_share_and_their_runs(share: float, burst: float) -> None:
    """Packet by packet, and in groups of any size: the same packets are lost."""
    total = int(min(4e6, 40_000 * burst / share))
    losses = LossRuns(share, burst, RandomSequence(IndexedRandom(1, "loss")))
    luck = random.Random(5)
    lost = seen = 0
    while seen < total:
        packets = luck.randrange(1, 90)
        first, count = losses.take(packets)
        assert 0 <= first < packets
        assert count <= packets - first
        seen += packets
        lost += count
    assert lost / seen == pytest.approx(share, rel=0.06 if share > 0.001 else 0.12)
    single = LossRuns(share, burst, RandomSequence(IndexedRandom(1, "loss")))
    marks = [single.take(1)[1] for _ in range(min(total, 200_000))]
    grouped = LossRuns(share, burst, RandomSequence(IndexedRandom(1, "loss")))
    for start in range(0, len(marks) - 50, 50):
        group = marks[start : start + 50]
        expected = (group.index(1), sum(group)) if any(group) else (0, 0)
        assert grouped.take(50) == expected
    if burst > 1:
        runs = [len(list(group)) for mark, group in itertools.groupby(marks) if mark]
        assert sum(runs) / len(runs) == pytest.approx(burst / (1 - 1 / _good(share, burst)), rel=0.1)


def _good(share: float, burst: float) -> float:
    """Trials until the next run: runs that touch are seen as one."""
    return 1 + burst * (1 - share) / share


def test_no_loss_loses_nothing() -> None:
    losses = LossRuns(0.0, 1.0, RandomSequence(IndexedRandom(1, "loss")))
    assert losses.take(10**9) == (0, 0)


def test_a_preset_delivers_its_rate_in_the_long_run() -> None:
    for name in ("fibre", "leo", "meo", "geo"):
        preset = PRESETS[name].with_(episodes=())
        model = LinkModel(preset)
        total = 0
        while model.free_down < 30:
            model.admit_down(0.0, 64 * 1024)
            total += 64 * 1024
        share_up = 1 - (preset.handover_gap / preset.handover_every if preset.handover_gap else 0)
        assert total * 8 / model.free_down == pytest.approx(preset.payload_rate * share_up, rel=0.01)
