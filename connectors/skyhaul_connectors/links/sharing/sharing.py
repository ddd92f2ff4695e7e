"""What stands between a worker's traffic and those who grant it a part of a shared link.

A `Sharing` is one worker's side of an arrangement: a core without threads or clocks that is asked for grants
now and then. `SharedPace` is its driver: it is paced by the grants on the loop's thread, and asks for more on
a thread of its own, since the answer may take a round trip to a store.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from skyhaul_connectors.links.clock import Clock
from skyhaul_connectors.links.sharing.grants import Grant, GrantedPacer
from skyhaul_schemas.errors import SkyhaulError

_LOG = logging.getLogger("skyhaul.links")

RETRY = (0.25, 4.0)
"""Seconds between two tries of an arrangement that does not answer: at first, and at most. Chosen, not
measured: the last is what a worker may idle for after Redis is back."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a worker has to do.

    Attributes:
        backlog: Bits that wait for a grant, what was overdrawn included.
        granted: Bits that it may still use.
        until: When its last grant ends, in seconds since the epoch; `now` where it has none.
        used: Bits taken since the haul began.
        rate: bit/s of the whole link.
    """

    backlog: float
    granted: float
    until: float
    used: float
    rate: float


@dataclass(frozen=True, slots=True)
class Step:
    """The answer to a demand.

    Attributes:
        grants: What was gained, in the order of their starts.
        again: When to ask again, in seconds since the epoch; math.inf: as soon as something waits.
    """

    grants: tuple[Grant, ...]
    again: float


class Sharing(Protocol):
    """One worker's side. Called by one thread; may block for a round trip or two."""

    def step(self, now: float, demand: Demand) -> Step:
        """Raises SkyhaulError where the arrangement does not answer; grants that were made still hold."""

    def close(self) -> None:
        """Give back what is held, as far as that goes quickly."""


class SharedPace:
    """Asked like a `Pacer`, from the loop's thread; `set_rate` sets the rate of the whole link.

    Where the arrangement does not answer, what was granted is used up, and then the worker waits: the link's
    rate is never passed because somebody could not be asked.
    """

    def __init__(self, name: str, sharing: Sharing, clock: Clock, rate: float) -> None:
        self.rate = rate
        self._whole = rate
        self._name = name
        self._sharing = sharing
        self._clock = clock
        self._lock = threading.Lock()
        self._pacer = GrantedPacer()
        # Bits; written by the loop's thread alone, so it needs no lock.
        self._waiting = 0.0
        self._used = 0.0
        self._granted: Callable[[], None] = lambda: None
        self._wake = threading.Event()
        self._over = False
        self._bug: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self, granted: Callable[[], None]) -> None:
        """Begin to ask for grants.

        `granted` is called after each, from another thread; and once after a bug, which `ready_at` raises
        then."""
        self._granted = granted
        if self._thread is None:
            self._thread = threading.Thread(target=self._ask, name=f"skyhaul-share-{self._name}", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._over = True
        self._wake.set()
        # A call that hangs is left behind: the thread is a daemon, and grants end by themselves.
        if self._thread is not None:
            self._thread.join(2.0)

    def ready_at(self, now: float) -> float:
        if self._bug is not None:
            raise self._bug
        with self._lock:
            return self._pacer.ready_at(now)

    def take(self, now: float, nbytes: int) -> None:
        with self._lock:
            self._used += nbytes * 8
            self._pacer.take(now, nbytes)

    def waiting(self, nbytes: int) -> None:
        """So many bytes wait for a grant now."""
        # Only the first: a set event costs a lock, and the thread comes back for more by itself
        # (`Step.again`).
        fresh = nbytes > 0 and self._waiting == 0
        self._waiting = nbytes * 8.0
        if fresh:
            self._wake.set()

    def set_rate(self, now: float, rate: float) -> None:
        """Set the rate of the whole link, in bit/s, from the next grant on.

        At most what the link was said to carry. 0 changes nothing: that the link is closed is up to its
        rules."""
        if rate > 0:
            self.rate = min(rate, self._whole)

    def _demand(self, now: float) -> Demand:
        with self._lock:
            granted = self._pacer.granted(now)
            until = self._pacer.granted_until(now)
            debt = self._pacer.debt
            # A debt alone asks for nothing: it is paid when something waits again, or is forgotten with the
            # haul.
            backlog = self._waiting + debt if self._waiting else 0.0
            return Demand(backlog, granted, until, self._used, self.rate)

    def _ask(self) -> None:
        try:
            self._ask_on()
        except Exception as error:  # noqa: BLE001  # raised where a grant is waited for, that would never come
            self._bug = error
            self._granted()
        finally:
            self._sharing.close()

    def _ask_on(self) -> None:
        pause = RETRY[0]
        while not self._over:
            # Before the demand is read: what begins to wait in between is in it, or wakes this thread
            # again.
            self._wake.clear()
            now = self._clock.now()
            try:
                step = self._sharing.step(now, self._demand(now))
            except SkyhaulError as error:
                # Once for each time that it is gone, not for each try.
                if pause == RETRY[0]:
                    _LOG.warning("link %s: no part of it is granted now: %s", self._name, error)
                step = Step((), now + pause)
                pause = min(RETRY[1], 2 * pause)
                # Not before the pause is over, whatever waits.
                self._sleep(step.again, wakes=False)
                continue
            if pause > RETRY[0]:
                _LOG.warning("link %s: its parts are granted again", self._name)
            pause = RETRY[0]
            if step.grants:
                with self._lock:
                    for grant in step.grants:
                        self._pacer.grant(grant)
                self._granted()
            self._sleep(step.again, wakes=True)

    def _sleep(self, again: float, *, wakes: bool) -> None:
        while not self._over:
            left = again - self._clock.now()
            if left <= 0 or (self._wake.wait(None if left == math.inf else left) and wakes):
                return
            if self._over:
                return
            if not wakes:
                self._wake.clear()
