"""What the engine and the reports ask of a link."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.presets import PRESETS
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.links.shared_link import LinkState, LinkTimes, SharedLink
from skyhaul_schemas.job.model import LinkSpec

CONTACTS = ContactTable((Contact(10, 20, 2e6), Contact(30, 40)))
PROFILE = LinkProfile(down=10e6, up=1e6, rtt=0.05, contacts=CONTACTS, outages=((12.0, 3.0),))


class Hand:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def link(profile: LinkProfile = PROFILE, *, emulate: bool = True, pace: float | None = None) -> SharedLink:
    clock = MonotonicClock(100.0, monotonic=Hand(), wall=lambda: 100.0)
    return SharedLink("west", profile, clock, emulate=emulate, pace=pace)


def test_an_emulated_link_tells_its_state_and_when_it_changes() -> None:
    west = link()
    assert west.state(0) == LinkState(Phase.CLOSED, 10)
    assert west.state(10) == LinkState(Phase.UP, 12)
    assert west.state(13) == LinkState(Phase.DOWN, 15)
    assert west.state(16) == LinkState(Phase.UP, 20)
    assert west.state(50) == LinkState(Phase.CLOSED, math.inf)
    assert [west.rate(at) for at in (0, 11, 13, 35)] == [0, 2e6, 0, 10e6]
    assert [west.closed_until(at) for at in (0, 11, 13, 25, 50)] == [10, None, None, 30, math.inf]
    assert [west.closes_at(at) for at in (5, 11, 13, 35)] == [5, 20, 20, 40]


def test_a_real_link_knows_its_contacts_and_no_outages() -> None:
    west = link(emulate=False, pace=1.5e6)
    assert west.state(13) == LinkState(Phase.UP, 20)
    assert west.state(5) == LinkState(Phase.CLOSED, 10)
    assert [west.rate(at) for at in (5, 11, 35)] == [0, 1.5e6, 1.5e6]
    assert link(emulate=False).rate(11) == 2e6
    free = link(LinkProfile(down=math.inf, up=math.inf, rtt=0.0), emulate=False)
    assert free.state(0) == LinkState(Phase.UP, math.inf)
    assert free.rate(0) == math.inf


def test_times_add_up_however_often_they_are_asked_for() -> None:
    often, once = link(), link()
    for step in range(451):
        often.times(step / 10)
    assert once.times(45) == LinkTimes(up=17, down=3, closed=25, outages=1)
    asked = often.times(45)
    assert (asked.up, asked.down, asked.closed) == pytest.approx((17, 3, 25))
    assert asked.outages == 1


def test_processes_with_one_epoch_see_the_same_outages() -> None:
    def outages(started_late_by: float) -> list[float]:
        hand = Hand()
        clock = MonotonicClock(100.0, monotonic=hand, wall=lambda: 100.0 + started_late_by)
        west = SharedLink("west", PRESETS["leo-mobile"], clock, seed=3)
        hand.at = 5000 - started_late_by
        found: list[float] = []
        at = clock.now()
        while len(found) < 5:
            state = west.state(at)
            if state.phase is Phase.DOWN:
                found.append(at)
            at = state.until
        return found

    assert outages(0.0) == pytest.approx(outages(1234.5))


def test_two_links_of_one_preset_and_seed_fail_apart() -> None:
    def downs(name: str) -> set[int]:
        clock = MonotonicClock(100.0, monotonic=Hand(), wall=lambda: 100.0)
        shared = SharedLink(name, PRESETS["leo-mobile"], clock, seed=3)
        return {second for second in range(3600) if shared.state(second).phase is Phase.DOWN}

    east, west = downs("east"), downs("west")
    assert len(east & west) < len(east | west) / 4


def test_a_job_files_link_becomes_a_shared_link(tmp_path: Path) -> None:
    clock = MonotonicClock()
    emulated = SharedLink.from_spec(
        "west", LinkSpec.model_validate({"preset": "leo", "emulate": True, "down": "50Mbit/s"}), clock
    )
    assert (emulated.name, emulated.emulate, emulated.profile.down) == ("west", True, 50e6)
    assert emulated.pacer.rate == math.inf, "an emulated link is not paced on top"
    real = SharedLink.from_spec("west", LinkSpec.model_validate({"preset": "leo"}), clock)
    assert (real.emulate, real.pacer.rate) == (False, math.inf), (
        "a preset alone does not throttle a real link"
    )
    paced = SharedLink.from_spec("west", LinkSpec.model_validate({"down": "5Mbit/s"}), clock)
    assert paced.pacer.rate == 5e6
