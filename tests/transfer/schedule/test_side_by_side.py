"""What the scheduler owes others and the link, in virtual time: two hauls share one, a link that is back is
filled again, and a steady one is used steadily."""

from __future__ import annotations

import itertools

import pytest

from skyhaul_connectors.links.profile.profile import LinkProfile

from ..rig import MIB
from .side_by_side import TICK, Haul, Seen, side_by_side

MBIT = 1e6
LEO = LinkProfile(down=100 * MBIT, up=10 * MBIT, rtt=0.045, loss=0.004, loss_up=0.004)
GEO = LinkProfile(down=50 * MBIT, up=5 * MBIT, rtt=0.6, loss=0.01, loss_up=0.01)

LINKS = [
    pytest.param(LEO, id="leo"),
    pytest.param(LEO.with_(sender="cubic"), id="leo-cubic"),
    pytest.param(GEO, id="geo"),
    pytest.param(GEO.with_(sender="cubic"), id="geo-cubic"),
]


def ramp(profile: LinkProfile) -> float:
    """Seconds after which a haul has found its pace."""
    return 3 + 6 * profile.rtt


def share_of_second(first: Seen, second: Seen, start: float) -> float:
    """Of what arrived from `start` on, as long as both had work."""
    end = min(first.took, second.took)
    assert end - start > 1.0, "both have to have work for a while"
    both = [seen.bytes_in(start, end) for seen in (first, second)]
    return both[1] / sum(both)


@pytest.mark.parametrize("profile", LINKS)
def test_two_hauls_on_one_link_get_a_third_each_at_least_and_fill_it(profile: LinkProfile) -> None:
    work = Haul([4 * MIB] * 20, connections=128)
    first, second = side_by_side(profile, [work, work])
    start, end = ramp(profile), min(first.took, second.took)
    assert 0.33 <= share_of_second(first, second, start) <= 0.67
    assert first.rate(start, end) + second.rate(start, end) >= 0.9 * profile.payload_rate


@pytest.mark.parametrize("profile", LINKS)
def test_a_haul_that_comes_late_gets_a_quarter_at_least(profile: LinkProfile) -> None:
    late = 4.0 if profile.rtt < 0.1 else 9.0
    early = Haul([4 * MIB] * 30, connections=128)
    first, second = side_by_side(profile, [early, Haul([4 * MIB] * 12, connections=128, start=late)])
    assert 0.25 <= share_of_second(first, second, late + ramp(profile) / 2) <= 0.75


@pytest.mark.parametrize("profile", LINKS)
@pytest.mark.parametrize("length", [2.0, 20.0])
def test_bytes_come_again_within_two_round_trips_and_a_second_of_the_link(
    profile: LinkProfile, length: float
) -> None:
    down_at = 8.0
    (seen,) = side_by_side(
        profile.with_(outages=((down_at, length),)), [Haul([4 * MIB] * 40, connections=128)]
    )
    back = down_at + length
    assert seen.first_after(back) - back <= 2 * profile.rtt + 1.0
    # Full again a few seconds later; windows that losses hold back grow anew from ten segments.
    full = back + 1.0 + 10 * profile.rtt
    share = 0.5 if profile.sender == "cubic" and profile.rtt > 0.5 else 0.8
    assert seen.rate(full, full + 2) >= share * seen.rate(down_at - 2, down_at)


@pytest.mark.parametrize("profile", LINKS)
def test_a_steady_link_is_used_steadily(profile: LinkProfile) -> None:
    (seen,) = side_by_side(profile, [Haul([4 * MIB] * 40, connections=128)])
    start, end = ramp(profile), seen.took - ramp(profile)
    windows = [seen.rate(at, at + 2) for at in itertools.takewhile(lambda at: at + 2 < end, _seconds(start))]
    assert len(windows) >= 3
    mean = sum(windows) / len(windows)
    assert min(windows) >= 0.75 * mean, "goodput swings by a quarter at most, over two seconds"
    assert max(windows) <= 1.25 * mean
    channels = seen.channels[int(start / TICK) : int(end / TICK)]
    assert max(channels) - min(channels) <= 0.25 * max(channels)


def _seconds(start: float) -> itertools.count[float]:
    return itertools.count(start)
