"""Workers that share a link, in virtual time: each with its own arrangement, pacer, clock and appetite."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from skyhaul_connectors.links.sharing.grants import GrantedPacer
from skyhaul_connectors.links.sharing.sharing import Demand, Sharing
from skyhaul_schemas.errors import SkyhaulError

LATE = 0.004
"""Seconds by which threads and loops wake up late at most."""


class World:
    """Virtual time. A call to an arrangement takes its time by moving `at`, which only its caller sees."""

    def __init__(self, seed: int) -> None:
        self.at = 0.0
        self.dice = random.Random(seed)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        if when != math.inf:
            self._count += 1
            heapq.heappush(self._heap, (max(when, 0.0), self._count, call))

    def run(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            when, _, call = heapq.heappop(self._heap)
            self.at = when
            call()


@dataclass
class Worker:
    """busy: whether it wants bytes at a time. skew: seconds its clock is ahead. Asks for ranges of
    `range_bytes`; `taken` is (second, bytes) of each, in true time."""

    world: World
    make: Callable[[Callable[[], float]], Sharing]
    rate: float
    busy: Callable[[float], bool]
    range_bytes: int = 64 * 1024
    skew: float = 0.0
    dies_at: float = math.inf
    taken: list[tuple[float, int]] = field(default_factory=list)
    sharing: Sharing = field(init=False)

    def __post_init__(self) -> None:
        self.pacer = GrantedPacer()
        self.sharing = self.make(self.clock)
        self.used = 0.0
        self.pause = 0.25
        self.asking_at = math.inf
        self.taking_at = 0.0
        self.take_at(0.0)
        self.ask_at(0.0)

    def clock(self) -> float:
        return self.world.at + self.skew

    def late(self) -> float:
        return self.world.dice.uniform(0, LATE)

    def ask_at(self, own: float) -> None:
        """own: by the worker's clock."""
        when = max(self.world.at, own - self.skew) + self.late()
        self.asking_at = when
        self.world.call_at(when, lambda: self.ask(when))

    def ask(self, planned: float) -> None:
        if planned != self.asking_at or self.world.at >= self.dies_at:
            return
        now = self.clock()
        wanting = self.busy(self.world.at)
        backlog = 32e6 + self.pacer.debt if wanting else 0.0
        demand = Demand(backlog, self.pacer.granted(now), self.pacer.granted_until(now), self.used, self.rate)
        try:
            step = self.sharing.step(now, demand)
        except SkyhaulError:
            self.ask_at(self.clock() + self.pause)
            return
        # The call took its time; what it granted is there only now.
        after = self.world.at

        def granted() -> None:
            for grant in step.grants:
                self.pacer.grant(grant)
            self.take_at(self.world.at)

        self.world.call_at(after, granted)
        self.ask_at(step.again)

    def take_at(self, when: float) -> None:
        self.taking_at = when
        self.world.call_at(when, lambda: self.take(when))

    def take(self, planned: float) -> None:
        """Ask for ranges while the pacer lets us."""
        at = self.world.at
        if planned != self.taking_at or at >= self.dies_at:
            return
        if not self.busy(at):
            self.take_at(at + 0.1)
            return
        if self.asking_at == math.inf or self.asking_at < at:
            self.ask_at(self.clock())
        ready = self.pacer.ready_at(self.clock())
        if ready == math.inf:
            return
        if ready <= self.clock():
            self.pacer.take(self.clock(), self.range_bytes)
            self.used += 8 * self.range_bytes
            self.taken.append((at, self.range_bytes))
            ready = self.pacer.ready_at(self.clock())
            if ready == math.inf:
                return
        self.take_at(max(at, ready - self.skew) + self.late())


def windows(workers: list[Worker], since: float, until: float) -> tuple[float, float]:
    """(most of any second's window, mean) in bit/s, over all workers; windows begin at each taking."""
    takes = sorted(take for worker in workers for take in worker.taken if since <= take[0] < until)
    most, total, first = 0.0, 0.0, 0
    for at, count in takes:
        total += count * 8
        while takes[first][0] <= at - 1.0:
            total -= takes[first][1] * 8
            first += 1
        most = max(most, total)
    return most, sum(count for _, count in takes) * 8 / (until - since)
