"""One link as all of a process sees it: what it is, how it is doing, and its traffic."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import suppress
from dataclasses import dataclass

from skyhaul_connectors.links.clock import Clock
from skyhaul_connectors.links.contract.allowance import Allowance
from skyhaul_connectors.links.contract.rules import LOOK_EVERY, Closure, LinkRules
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.emulation.model import LinkModel
from skyhaul_connectors.links.emulation.traffic import Traffic
from skyhaul_connectors.links.pacer import Pacer
from skyhaul_connectors.links.profile.contacts import ContactPlan
from skyhaul_connectors.links.profile.indexed_random import seed_for
from skyhaul_connectors.links.profile.presets import profile_from
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.links.sharing.sharing import SharedPace, Sharing
from skyhaul_schemas.job.model import LinkSpec


@dataclass(frozen=True, slots=True)
class LinkState:
    """How a link is doing.

    Attributes:
        phase: Up, down or closed.
        until: When that may change: seconds since the epoch; math.inf: never.
        closure: Why it is closed by its rules; None where it is not.
    """

    phase: Phase
    until: float
    closure: Closure | None = None


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """What a link went through so far.

    Attributes:
        up: Seconds.
        down: Seconds of outages and handovers.
        closed: Seconds without a contact, or closed by its rules.
        outages: How many began.
    """

    up: float = 0.0
    down: float = 0.0
    closed: float = 0.0
    outages: int = 0


class SharedLink:
    """One link of a process, by its name in the job file.

    Times are seconds since `clock.epoch`; `now` defaults to `clock.now()`. What asks (`state`, `rate`,
    `times`, ...) may be called from any thread; `traffic` and `set_pace` belong to the loop's.

    Args:
        name: As in the job file.
        profile: What the link is like.
        clock: Shared by all processes of the haul.
        emulate: Rate, delay, loss and outages are imposed. Else the link is real: only `pace` and the
            contacts hold, and an outage is not foreseen, so that `state` is UP or CLOSED.
        pace: bit/s to ask for at most; None: no limit.
        seed: Of what is random about it; each link's name is mixed in.
        rules: Hours, rates and caps; None: none.
        sharing: How this process comes by its part where others use the link too. It is then paced by what
            it is granted, also where it is emulated.
    """

    def __init__(
        self,
        name: str,
        profile: LinkProfile,
        clock: Clock,
        *,
        emulate: bool = True,
        pace: float | None = None,
        seed: int = 0,
        rules: LinkRules | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self.name = name
        self.profile = profile
        self.clock = clock
        self.emulate = emulate
        self.rules = rules
        self._seed = seed_for(seed, name)
        self.model = LinkModel(profile, self._seed, clock.epoch)
        self.pacer: Pacer | SharedPace = Pacer() if pace is None or emulate else Pacer(pace)
        # The rate of this hour. An emulated link is held to its `down` by the model; only its rules pace it.
        if rules is not None and rules.rate(clock.epoch + clock.now()) > 0:
            self.pacer = Pacer(rules.rate(clock.epoch + clock.now()))
        if sharing is not None:
            whole = profile.down if pace is None else pace
            # Also an emulated link: every worker emulates the whole link, and its grants are its part of it.
            self.pacer = SharedPace(name, sharing, clock, whole)
            self.pacer.set_rate(clock.now(), rules.rate(clock.epoch + clock.now()) if rules else whole)
        self._traffic: Traffic | None = None
        self._plan: ContactPlan | None = self.model.schedule.plan
        self._counting = threading.Lock()
        # Not from the epoch: a worker that starts late tells of the time that it was there for.
        self._counted_to = clock.now()
        self._times = LinkTimes()
        self._was = Phase.UP

    @classmethod
    def from_spec(cls, name: str, spec: LinkSpec, clock: Clock, sharing: Sharing | None = None) -> SharedLink:
        """Make the link that the job file calls `name`.

        Raises:
            UsageError: The link cannot be meant, or a file that it names cannot be read."""
        profile = profile_from(spec, name)
        terms = LinkTerms.of(name, spec)
        # An emulated link's `down` is in the profile. As a rule, too, it would be paced twice.
        base = math.inf if spec.down is None or spec.emulate else spec.down
        allowance = Allowance(capped=terms.cap is not None) if terms.metered else None
        return cls(
            name,
            profile,
            clock,
            emulate=spec.emulate,
            pace=spec.down,
            seed=spec.seed,
            rules=LinkRules(terms, base, allowance),
            sharing=sharing,
        )

    @property
    def plan(self) -> ContactPlan | None:
        """The contact plan in seconds since the epoch, None without one."""
        return self._plan

    def state(self, now: float | None = None) -> LinkState:
        """Up, down or closed, and until when that holds at least (a varying rate shortens `until`)."""
        at = self.clock.now() if now is None else now
        state = self._open_state(at)
        if self.rules is None or state.phase is Phase.CLOSED:
            return state
        # A rate that is set, or a grant of the ledger, comes without notice: whoever sleeps until `until`
        # must wake up often enough to see it.
        until = min(state.until, at + LOOK_EVERY)
        closure = self.rules.closure(self.clock.epoch + at)
        return LinkState(state.phase if closure is None else Phase.CLOSED, until, closure)

    def _open_state(self, at: float) -> LinkState:
        """As far as contacts, outages and handovers go."""
        if self.emulate:
            piece = self.model.schedule.piece(at)
            return LinkState(piece.phase, piece.until)
        if self._plan is None:
            return LinkState(Phase.UP, float("inf"))
        if self._plan.state(at) is None:
            return LinkState(Phase.CLOSED, self._plan.next_opening(at))
        return LinkState(Phase.UP, self._plan.next_closing(at))

    def rate(self, now: float | None = None) -> float:
        """bit/s down, headers included, that the link gives now.

        0 while the link is not up; math.inf where neither profile, pace nor contact limits it."""
        at = self.clock.now() if now is None else now
        if self.emulate:
            return min(self.model.rate(at), self.pacer.rate)
        if self.state(at).phase is not Phase.UP:
            return 0.0
        contact = self._plan.state(at) if self._plan is not None else None
        rates = [self.profile.down, self.pacer.rate]
        if contact is not None and contact.rate is not None:
            rates.append(contact.rate)
        return min(rates)

    def rtt(self, now: float | None = None) -> float:
        """Seconds of a round trip as the profile says; 0 where it says nothing."""
        return self.model.rtt(self.clock.now() if now is None else now)

    def closed_until(self, now: float | None = None) -> float | None:
        """None while a contact is open; else when the next one opens (math.inf: never again)."""
        at = self.clock.now() if now is None else now
        if self._plan is None or self._plan.state(at) is not None:
            return None
        return self._plan.next_opening(at)

    def closes_at(self, now: float | None = None) -> float:
        """When the open contact closes; math.inf without a plan; `now` where none is open."""
        at = self.clock.now() if now is None else now
        return float("inf") if self._plan is None else self._plan.next_closing(at)

    def traffic(self) -> Traffic:
        """What goes over the link on the running loop. Call it on that loop's thread."""
        loop = asyncio.get_running_loop()
        # Streams and timers belong to their loop. The model, and with it the link's queue, is the link's own
        # and goes on with the next one.
        if self._traffic is None or self._traffic.loop is not loop:
            self._traffic = Traffic(self.name, self.model, self.pacer, self.clock, self._seed, loop)
            if isinstance(self.pacer, SharedPace):
                self.pacer.start(self._granted)
        return self._traffic

    def _granted(self) -> None:
        """Called by the thread that asks for grants."""
        traffic = self._traffic
        if traffic is not None:
            # A loop that is closed has nothing to release.
            with suppress(RuntimeError):
                traffic.loop.call_soon_threadsafe(traffic.repace)

    def close(self) -> None:
        """Ask for no further part of the link."""
        if isinstance(self.pacer, SharedPace):
            self.pacer.close()

    def set_pace(self, rate: float) -> None:
        """Ask for at most `rate` bit/s from now on (above 0; math.inf: no limit).

        Call it on the loop's thread. A rate of 0 closes the link by its rules, and is no pace."""
        self.pacer.set_rate(self.clock.now(), rate)
        if self._traffic is not None:
            self._traffic.repace()

    def times(self, now: float | None = None) -> LinkTimes:
        """What the link went through since this object was made, up to `now`."""
        at = self.clock.now() if now is None else now
        with self._counting:
            self._count(at)
            return self._times

    def _count(self, at: float) -> None:
        seconds = {Phase.UP: self._times.up, Phase.DOWN: self._times.down, Phase.CLOSED: self._times.closed}
        outages = self._times.outages
        # Piece by piece: an outage that began and ended between two calls counts as well, and the sums are
        # the same however often anybody asks.
        while self._counted_to < at:
            state = self.state(self._counted_to)
            until = min(at, state.until)
            seconds[state.phase] += until - self._counted_to
            if state.phase is Phase.DOWN and self._was is not Phase.DOWN:
                outages += 1
            self._was = state.phase
            self._counted_to = until
        self._times = LinkTimes(seconds[Phase.UP], seconds[Phase.DOWN], seconds[Phase.CLOSED], outages)
