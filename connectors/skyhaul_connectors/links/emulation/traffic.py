"""The traffic of one link on one asyncio loop: its timeline, its streams, its contacts, its pace."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from skyhaul_connectors.links.clock import Clock
from skyhaul_connectors.links.emulation.contact_gate import ContactGate
from skyhaul_connectors.links.emulation.downlink import TIMEOUT_MARGIN, Downlink, retry_at
from skyhaul_connectors.links.emulation.model import LinkModel
from skyhaul_connectors.links.emulation.timeline import SLACK, LoopTimeline
from skyhaul_connectors.links.pacer import Pacer
from skyhaul_connectors.links.profile.indexed_random import IndexedRandom, RandomSequence
from skyhaul_connectors.links.sharing.sharing import SharedPace

CONNECT_TRIES = (0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0)
"""Seconds after which a client asks again for a connection: Linux's tcp_syn_retries of 6, from 1 s on,
doubled (RFC 6298)."""


class Traffic:
    """All sources that go through the link meet here. Everything runs on the loop's thread."""

    def __init__(
        self,
        name: str,
        model: LinkModel,
        pacer: Pacer | SharedPace,
        clock: Clock,
        seed: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.loop = loop
        self.model = model
        self.clock = clock
        self.timeline = LoopTimeline(loop, clock)
        self._random = RandomSequence(IndexedRandom(seed, "streams"))
        self.downlink = Downlink(model, self.timeline, clock.now, self._random)
        self.gate = ContactGate(name, model.schedule.plan, self.timeline, clock.now)
        self._pacer = pacer
        self._paced: deque[tuple[int, Callable[[], bool]]] = deque()
        self._waiting = 0
        self._pacing_at: float | None = None

    def send_up(self, nbytes: int, not_before: float) -> float:
        """When `nbytes` that leave here now (behind what arrives at `not_before`) reach the far end.

        Args:
            nbytes: Payload bytes of a request.
            not_before: Seconds since the epoch: requests of one connection arrive in their order."""
        model = self.model
        now = self.clock.now()
        start = retry_at(now, model.next_up(now), model.rtt(now))
        at = model.admit_up(start, nbytes)
        rtt = model.rtt(now)
        _, lost = model.up_losses.take(1)
        if lost:
            # A request is the tail of its stream: no later packet shows that it is missing, a probe after
            # two round trips does (RFC 8985).
            at += max(2 * rtt, TIMEOUT_MARGIN)
        return max(at, not_before)

    def connect_up(self) -> float:
        """When the first packet of a connection that is opened now reaches the far end.

        At once where the link is up, else with the first retry that gets through; math.inf where none does.
        """
        model = self.model
        now = self.clock.now()
        for wait in CONNECT_TRIES:
            if model.is_up(now + wait) and not model.up_losses.take(1)[1]:
                return model.arrival(now + wait)
        return float("inf")

    def pace(self, nbytes: int, go: Callable[[], bool]) -> None:
        """Call `go` when the pace allows for `nbytes` more, in the order of asking.

        That may be at once, within this very call.

        Args:
            nbytes: What the pace is charged.
            go: Asks for them. Where it returns False it asked for nothing, and nothing is charged."""
        self._paced.append((nbytes, go))
        self._waiting += nbytes
        # Others that wait have a timer, or a grant to come, and this one stands behind them.
        if len(self._paced) == 1:
            self._release()
        else:
            # Others' shares of the link, and ours, go by what waits.
            self._pacer.waiting(self._waiting)

    def repace(self) -> None:
        """The pacer's rate was changed, or it was granted more."""
        self._release()

    def _release(self) -> None:
        self._let_go()
        self._pacer.waiting(self._waiting)

    def _let_go(self) -> None:
        now = self.clock.now()
        while self._paced:
            ready = self._pacer.ready_at(now)
            if ready > now + SLACK:
                # No time at all where a grant is missing: `repace` is called when there is one.
                if ready != math.inf and (self._pacing_at is None or ready < self._pacing_at):
                    self._pacing_at = ready
                    self.timeline.at(ready, self._again, ready)
                return
            # One at a time: each take may overdraw the pace, and puts off the next.
            nbytes, go = self._paced.popleft()
            self._waiting -= nbytes
            if go():
                self._pacer.take(now, nbytes)

    def _again(self, planned: float) -> None:
        # A rate that was raised plans an earlier call; the later one, which stays in the heap, says nothing.
        if planned == self._pacing_at:
            self._pacing_at = None
            self._release()
