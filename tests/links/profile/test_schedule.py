"""A link's timeline is a function of profile, seed and time alone."""

from __future__ import annotations

import itertools
import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from link_profiles import STEADY, profiles
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.presets import PRESETS
from skyhaul_connectors.links.profile.profile import Episodes, LinkProfile
from skyhaul_connectors.links.profile.quantiles import Quantiles
from skyhaul_connectors.links.profile.schedule import Phase, Piece, Schedule


def walk(schedule: Schedule, start: float, end: float) -> list[Piece]:
    pieces = []
    while start < end:
        pieces.append(schedule.piece(start))
        start = pieces[-1].until
    return pieces


def phases(pieces: list[Piece]) -> list[tuple[Phase, float, float]]:
    """(phase, down, since) without what changes nothing."""
    merged: list[tuple[Phase, float, float]] = []
    for piece in pieces:
        if not merged or merged[-1][:2] != (piece.phase, piece.down):
            merged.append((piece.phase, piece.down, piece.since))
    return merged


@settings(max_examples=40, derandomize=True, deadline=None)
@given(profiles, st.integers(0, 5))
def test_the_timeline_is_the_same_from_wherever_it_is_looked_at(profile: LinkProfile, seed: int) -> None:
    luck = random.Random(seed)
    forward = walk(Schedule(profile, seed, 0.0), 0.0, 90.0)
    jumping = Schedule(profile, seed, 0.0)
    for piece in luck.sample(forward, min(len(forward), 20)):
        middle = piece.since + (min(piece.until, 1e6) - piece.since) * luck.random()
        seen = jumping.piece(middle)
        assert (seen.phase, seen.down, seen.up) == (piece.phase, piece.down, piece.up)
        jumping.piece(luck.uniform(0, 20_000))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(profiles, st.integers(0, 5))
def test_pieces_join_without_gaps_and_carry_only_while_up(profile: LinkProfile, seed: int) -> None:
    pieces = walk(Schedule(profile, seed, 0.0), 0.0, 90.0)
    for one, two in itertools.pairwise(pieces):
        assert one.since < one.until == two.since
    for piece in pieces:
        assert (piece.down > 0) == (piece.phase is Phase.UP)
        assert piece.down <= 20e6


def test_fixed_outages_and_handovers_fall_where_they_were_put() -> None:
    profile = STEADY.with_(
        outages=((20.0, 5.0), (24.0, 2.0), (70.0, 1.0)), handover_every=15.0, handover_gap=0.5
    )
    down = [
        (piece.since, piece.until)
        for piece in walk(Schedule(profile, 1, 0.0), 0.0, 80.0)
        if piece.phase is Phase.DOWN
    ]
    assert down == [(15, 15.5), (20, 26), (30, 30.5), (45, 45.5), (60, 60.5), (70, 71), (75, 75.5)]


def test_a_contact_rules_over_everything_else() -> None:
    contacts = ContactTable((Contact(10, 20, 2e6), Contact(30, 40)))
    schedule = Schedule(STEADY.with_(contacts=contacts, outages=((12.0, 1.0), (22.0, 1.0))), 1, 0.0)
    assert phases(walk(schedule, 0.0, 60.0)) == [
        (Phase.CLOSED, 0, 0),
        (Phase.UP, 2e6, 10),
        (Phase.DOWN, 0, 12),
        (Phase.UP, 2e6, 13),
        (Phase.CLOSED, 0, 20),
        (Phase.UP, 10e6, 30),
        (Phase.CLOSED, 0, 40),
    ]
    assert schedule.next_up(0) == 10
    assert schedule.next_up(12.5) == 13
    assert schedule.next_up(25) == 30
    assert schedule.next_up(40) == math.inf


def test_random_outages_come_as_often_and_last_as_long_as_the_profile_says() -> None:
    mobile = PRESETS["leo-mobile"].with_(rate_quantiles=None)
    hours = 600
    schedule = Schedule(mobile, 3, 0.0)
    lengths = []
    at = 0.0
    while at < hours * 3600:
        piece = schedule.piece(at)
        if piece.phase is Phase.DOWN:
            end = schedule.next_up(at)
            lengths.append(end - at)
            at = end
        else:
            at = piece.until
    lengths.sort()
    assert 0.95 < len(lengths) / (38 * hours) < 1.02, "some run into each other"
    assert 0.75 < lengths[len(lengths) // 2] < 0.85
    assert 4.5 < lengths[int(len(lengths) * 0.9)] < 6
    assert 38 < lengths[int(len(lengths) * 0.99)] < 50


def test_rain_takes_its_share_and_leaves_the_link_up() -> None:
    rain = Episodes(1000, Quantiles(((0, 1.0), (1, 2.0))), down=0.62, up=0.48)
    pieces = walk(Schedule(STEADY.with_(episodes=(rain,)), 1, 0.0), 0.0, 100.0)
    assert {(piece.phase, piece.down, piece.up) for piece in pieces} == {
        (Phase.UP, 10e6, 1e6),
        (Phase.UP, 6.2e6, 0.48e6),
    }


def test_varying_rates_have_the_published_median() -> None:
    schedule = Schedule(PRESETS["leo-mobile"].with_(episodes=()), 1, 0.0)
    rates = sorted(schedule.piece(second + 0.5).down / 1e6 for second in range(5000))
    assert 224 < rates[2500] < 244
    assert 30 < rates[250] < 36
    assert 395 < rates[4750] < 406


def test_the_round_trip_spikes_for_a_second_after_each_handover() -> None:
    schedule = Schedule(PRESETS["leo"], 1, 0.0)
    assert [round(schedule.rtt(at) * 1000) for at in (0.5, 14.9, 15.0, 15.9, 16.1, 30.5)] == [
        45, 45, 85, 85, 45, 85,
    ]  # fmt: skip


def test_seeds_differ() -> None:
    def outages(seed: int) -> list[float]:
        pieces = walk(Schedule(PRESETS["leo-mobile"], seed, 0.0), 0.0, 3600.0)
        return [piece.since for piece in pieces if piece.phase is Phase.DOWN]

    assert outages(1) == outages(1)
    assert outages(1) != outages(2)


def test_a_look_gives_its_own_piece_whatever_another_thread_remembers_meanwhile() -> None:
    other = Piece(500.0, 600.0, Phase.DOWN, 0.0, 0.0)

    class Raced(Schedule):
        """Another thread's piece takes the place of each that is remembered, at once."""

        @property
        def _last(self) -> Piece:
            return other

        @_last.setter
        def _last(self, piece: Piece) -> None:
            pass

    found = Raced(STEADY, 1, 0.0).piece(10.0)
    assert found.since <= 10.0 < found.until
    assert found.phase is Phase.UP
