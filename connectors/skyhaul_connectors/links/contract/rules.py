"""What may go over a link now: its terms, what the ledger has granted, and what was changed while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from skyhaul_connectors.links.contract.allowance import LEAST, Allowance
from skyhaul_connectors.links.contract.terms import LinkTerms

LOOK_EVERY = 0.25
"""Seconds after which a state under rules is looked at anew: rates and grants change from outside. Chosen,
not measured: as often as `hauling.links.accounting` settles with the ledger."""

_PAYLOAD_SHARE = 0.9
"""Payload of what small ranges cost with the heads of their answers and the network's headers. Chosen, not
measured as such: it has to be below the least that `docs/transfer.md` shows, about 1 / 1.11 with TLS."""


@dataclass(frozen=True, slots=True)
class Closure:
    """Why a link is closed by its rules.

    Attributes:
        reason: As people are told it.
        until: Unix seconds; math.inf: nobody knows.
        spent: Whether its cap closed it.
    """

    reason: str
    until: float
    spent: bool = False


class LinkRules:
    """What holds for one link now. Moments are Unix seconds; any thread may ask.

    Args:
        terms: What the job file says.
        base: The job file's own rate in bit/s; math.inf without one.
        allowance: What the ledger granted; None where bytes are not counted.

    Attributes:
        override: bit/s that were set while the haul runs; 0: off; None: as the job says.
        needed: Whether help was called in; counts for the role overflow alone.
    """

    def __init__(self, terms: LinkTerms, base: float = math.inf, allowance: Allowance | None = None) -> None:
        self.terms = terms
        self.base = base
        self.allowance = allowance
        self.override: float | None = None
        self.needed = False

    def rate(self, at: float) -> float:
        """bit/s that may be asked for; 0 where the link is off, math.inf where nothing limits it."""
        # Whoever sets a rate while the haul runs means now, whatever the job says of the hour. Read once:
        # another thread takes it back.
        override = self.override
        if override is not None:
            return override
        timed = self.terms.rate(at)
        return self.base if timed is None else timed

    def closure(self, at: float) -> Closure | None:
        """Why the link must not be used now, None where it may be."""
        override = self.override
        if override == 0:
            return Closure("it was set to off", math.inf)
        if override is None and self.terms.rate(at) == 0:
            opens = self.terms.opens_at(at)
            return Closure(f"its hours are over until {moment(opens)}", opens)
        # The cap comes last: until the hours begin it does not matter.
        if self.allowance is not None and self.allowance.closed and not self.terms.is_free(at):
            cycle = self.terms.cycle(at)
            opens = min(cycle.end, self.terms.free.next_change(at))
            what = "free hours begin" if opens < cycle.end else "the next cycle begins"
            return Closure(f"its cap of {self.terms.cap} is used up; {what} {moment(opens)}", opens, True)
        return None

    def take(self, at: float, nbytes: int) -> None:
        """Bytes were read off the link."""
        if self.allowance is not None:
            self.allowance.take(nbytes, free=self.terms.is_free(at))

    def room(self, at: float) -> float:
        """Payload bytes that may be asked for beyond what is out.

        Chosen so that with all heads and headers the cap is not passed; 0 where too little is left to ask
        for, math.inf where nothing is capped or the hour is free."""
        if self.allowance is None or self.terms.is_free(at):
            return math.inf
        left = self.allowance.room()
        return 0.0 if left < LEAST else left * _PAYLOAD_SHARE


def moment(at: float) -> str:
    """A Unix time as people read it; `further notice` for math.inf."""
    if at == math.inf:
        return "further notice"
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
