"""The time left is that of what is slowest, where something is slow by itself."""

from __future__ import annotations

import pytest

from skyhaul.hauling.eta import SourcePace, seconds_left

KB, MB = 1000, 1_000_000


def test_sources_that_go_side_by_side_share_what_comes() -> None:
    paces = [SourcePace(1 * MB, 50 * KB, KB), SourcePace(9 * MB, 50 * KB, KB)]
    assert seconds_left(arrived=MB, spent=10.0, sources=paces) == 100.0


def test_a_source_that_drips_takes_its_own_time() -> None:
    paces = [SourcePace(500 * KB, 4.0, KB), SourcePace(1 * MB, 100 * KB, KB)]
    assert seconds_left(arrived=10 * MB, spent=10.0, sources=paces) == 125_000.0


def test_it_takes_its_own_time_when_the_others_are_done() -> None:
    paces = [SourcePace(500 * KB, 4.0, KB), SourcePace(0, None, KB)]
    assert seconds_left(arrived=10 * MB, spent=10.0, sources=paces) == 125_000.0


def test_a_source_far_behind_the_others_is_reckoned_by_itself() -> None:
    paces = [SourcePace(10 * MB, 20 * KB, KB), SourcePace(10 * MB, 10 * MB, KB)]
    assert seconds_left(arrived=10 * MB, spent=1.0, sources=paces) == 500.0


@pytest.mark.parametrize(
    "paces",
    [
        [SourcePace(500 * KB, 0.0, KB), SourcePace(1 * MB, 100 * KB, KB)],
        [SourcePace(0, None, KB)],
        [],
    ],
    ids=["one brings nothing", "nothing is left", "no source"],
)
def test_nothing_is_said_where_nothing_can_be(paces: list[SourcePace]) -> None:
    assert seconds_left(arrived=MB, spent=10.0, sources=paces) is None


def test_before_anything_came_nothing_is_said() -> None:
    assert seconds_left(arrived=0, spent=10.0, sources=[SourcePace(MB, None, KB)]) is None
