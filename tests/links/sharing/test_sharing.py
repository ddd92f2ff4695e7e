"""Workers on one link, in virtual time: never above its rate, hardly below it, whoever idles or dies."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from links.sharing.workers import Worker, World, windows
from skyhaul_connectors.links.sharing.grants import Grant, GrantedPacer
from skyhaul_connectors.links.sharing.leases import (
    MOST,
    SKEW,
    LeaseSharing,
    max_min_shares,
    note_of,
    parse_notes,
)
from skyhaul_connectors.links.sharing.sharing import Sharing
from skyhaul_connectors.links.sharing.slots import Slot, SlotSharing
from skyhaul_schemas.errors import ConnectFailed

RATE = 100e6
EPOCH = 1.7e9 + 0.37


class Book:
    """A book of slots that answers after a while, or not at all."""

    def __init__(self, world: World, latency: float) -> None:
        self.world = world
        self.latency = latency
        self.free = 0.0
        self.down: Callable[[float], bool] = lambda at: False

    def reserve(self, seconds: float, ahead: float) -> Slot:
        self.world.at += self.world.dice.uniform(0, self.latency)
        if self.down(self.world.at):
            self.world.at += 2.0
            raise ConnectFailed("the book is gone")
        now = self.world.at
        self.free = max(self.free, now)
        if self.free - now > ahead:
            slot = Slot(self.free - now - ahead, granted=False)
        else:
            slot = Slot(self.free - now)
            self.free += seconds
        self.world.at += self.world.dice.uniform(0, self.latency)
        return slot

    def close(self) -> None:
        """Nothing."""


class Notes:
    """A board whose calls take their time; a note is seen from some moment within its posting on."""

    def __init__(self, world: World, latency: float) -> None:
        self.world = world
        self.latency = latency
        self.up: dict[str, float] = {}
        self.down: Callable[[float], bool] = lambda at: False

    def _wait(self) -> None:
        self.world.at += self.world.dice.uniform(0, self.latency)
        if self.down(self.world.at):
            raise ConnectFailed("the store is gone")

    def post(self, note: str) -> None:
        self._wait()
        self.up[note] = self.world.at
        self._wait()

    def notes(self) -> list[str]:
        self._wait()
        found = [note for note, at in self.up.items() if at <= self.world.at]
        self._wait()
        return found

    def drop(self, note: str) -> None:
        self.up.pop(note, None)


def by_slots(world: World, latency: float) -> tuple[Book, Callable[[Callable[[], float]], Sharing]]:
    book = Book(world, latency)
    return book, lambda clock: SlotSharing(book, clock)


def by_leases(world: World, latency: float) -> tuple[Notes, Callable[[Callable[[], float]], Sharing]]:
    board = Notes(world, latency)
    return board, lambda clock: LeaseSharing(board, f"w{world.dice.getrandbits(40):x}", EPOCH, clock)


WAYS = {"slots": by_slots, "leases": by_leases}


SEEDS = [0, 1, 2, 3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 40))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_four_workers_keep_the_rate_while_one_idles_and_one_dies(way: str, seed: int) -> None:
    world = World(seed)
    _, make = WAYS[way](world, 0.002 if way == "slots" else 0.1)
    skews = [world.dice.uniform(-SKEW / 2, SKEW / 2) for _ in range(4)]
    sizes = [world.dice.choice([32, 64, 128]) * 1024 for _ in range(4)]
    workers = [
        Worker(world, make, RATE, lambda at: True, sizes[0], skews[0]),
        Worker(world, make, RATE, lambda at: True, sizes[1], skews[1]),
        Worker(world, make, RATE, lambda at: at < 20, sizes[2], skews[2]),
        Worker(world, make, RATE, lambda at: True, sizes[3], skews[3], dies_at=40.0),
    ]
    world.run(66.0)
    begun = min(worker.taken[0][0] for worker in workers)
    assert begun < 5
    most, mean = windows(workers, begun, begun + 60)
    print(f"{way} seed {seed}: most {most / RATE:.4f}, mean {mean / RATE:.4f}")
    assert most <= 1.02 * RATE
    assert mean >= 0.90 * RATE
    shares = [sum(n for at, n in worker.taken if 5 < at < 19) for worker in workers]
    assert max(shares) < 1.25 * min(shares), "all that want the same get about the same"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_rate_is_never_passed_however_workers_come_and_go(way: str, seed: int) -> None:
    world = World(1_000 + seed)
    _, make = WAYS[way](world, 0.3 if way == "leases" else 0.02)
    dice = random.Random(seed)

    def moody() -> Callable[[float], bool]:
        period, share, phase = dice.uniform(1, 12), dice.uniform(0.2, 1), dice.uniform(0, 9)
        return lambda at: (at + phase) % period < share * period

    workers = [
        Worker(
            world,
            make,
            RATE,
            moody(),
            skew=dice.uniform(-SKEW / 2, SKEW / 2),
            dies_at=dice.choice([math.inf, dice.uniform(5, 40)]),
        )
        for _ in range(6)
    ]
    world.run(45.0)
    most, mean = windows(workers, 0, 45)
    print(f"{way} seed {seed}: most {most / RATE:.4f}, mean {mean / RATE:.4f}")
    assert most <= 1.02 * RATE
    assert mean > 0.2 * RATE


@pytest.mark.parametrize("way", WAYS)
def test_workers_wait_while_nobody_answers_and_go_on_afterwards(way: str) -> None:
    world = World(5)
    place, make = WAYS[way](world, 0.002)
    place.down = lambda at: 10 <= at < 20
    workers = [Worker(world, make, RATE, lambda at: True) for _ in range(3)]
    world.run(40.0)
    most, _ = windows(workers, 0, 40)
    assert most <= 1.02 * RATE
    assert windows(workers, 15, 20)[1] == 0
    assert windows(workers, 30, 39)[1] > 0.9 * RATE


def test_an_idle_worker_asks_for_nothing() -> None:
    for way in WAYS.values():
        world = World(1)
        _, make = way(world, 0.001)
        Worker(world, make, RATE, lambda at: False)
        busy = Worker(world, make, RATE, lambda at: True)
        world.run(20.0)
        assert windows([busy], 6, 19)[1] > 0.95 * RATE


def test_leases_leave_no_notes_behind() -> None:
    world = World(2)
    board, make = by_leases(world, 0.001)
    workers = [Worker(world, make, RATE, lambda at: at < 30) for _ in range(3)]
    workers.append(Worker(world, make, RATE, lambda at: True, dies_at=8.0))
    world.run(29.0)
    assert len(board.up) <= 3 * 3, "what the dead left is taken down by the living"


# The division


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, MOST), min_size=1))
def test_shares_never_pass_the_whole_and_nobody_gets_more_than_they_want(wants: dict[str, int]) -> None:
    shares = max_min_shares(wants)
    assert sum(shares.values()) <= 1 + 1e-9
    assert all(shares[name] <= want / MOST + 1e-9 for name, want in wants.items())
    if sum(wants.values()) >= MOST:
        assert sum(shares.values()) == pytest.approx(1)
    else:
        assert {name: round(share * MOST) for name, share in shares.items()} == wants


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, MOST), min_size=2),
    st.sampled_from("abcdefgh"),
)
def test_whoever_sees_one_worker_less_gets_no_less_than_before(wants: dict[str, int], gone: str) -> None:
    """So a note that some see and others do not is harmless as long as its writer does not use it."""
    fewer = {name: want for name, want in wants.items() if name != gone}
    before, after = max_min_shares(wants), max_min_shares(fewer)
    assert all(after[name] >= before[name] - 1e-9 for name in fewer)


def test_notes_are_read_back_and_other_names_passed_over() -> None:
    notes = [note_of(7, "ab", 100), note_of(7, "cd", 3), note_of(12, "ab", 50)]
    assert parse_notes([*notes, "x", "7-a-101", "-", "a-b-c"]) == {
        7: {"ab": 100, "cd": 3},
        12: {"ab": 50},
    }


# The pacer


Gaps = st.lists(st.tuples(st.floats(0, 0.5), st.floats(0.01, 1), st.floats(1e6, 1e8)), max_size=12)


@given(Gaps, st.data())
def test_what_is_taken_never_passes_what_was_granted_by_more_than_one_range(
    gaps: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    grants: list[Grant] = []
    at = 0.0
    for gap, length, rate in gaps:
        grants.append(Grant(at + gap, at + gap + length, rate))
        at += gap + length
    pacer = GrantedPacer()
    for grant in grants:
        pacer.grant(grant)
    now, taken, size = 0.0, 0.0, 8_000
    while True:
        ready = pacer.ready_at(now)
        if ready == math.inf:
            break
        now = max(now, ready) + data.draw(st.sampled_from([0.0, 0.0, 0.0003, 0.01, 0.3]))
        if pacer.ready_at(now) > now:
            continue
        assert any(grant.start <= now <= grant.until for grant in grants), "only within a grant"
        pacer.take(now, size)
        taken += 8 * size
        granted = sum(Grant(g.start, min(g.until, now), g.rate).bits for g in grants if g.start <= now)
        assert taken <= granted + 8 * size + 1
        if taken > 3e6:
            break


def test_a_grant_that_was_not_used_in_its_time_is_lost() -> None:
    pacer = GrantedPacer()
    pacer.grant(Grant(1.0, 2.0, 1e6))
    assert pacer.ready_at(0.0) == 1.0
    assert pacer.ready_at(2.5) == math.inf
    pacer.grant(Grant(3.0, 4.0, 1e6))
    assert pacer.ready_at(2.5) == 3.0
    pacer.take(3.0, 25_000)
    assert pacer.ready_at(3.0) == pytest.approx(3.2)
    assert pacer.granted(3.5) == pytest.approx(0.5e6)
    assert pacer.granted_until(3.5) == 4.0
