"""A link's terms on their way through a forecast: hours, rates by the hour, cap and price. Sans-I/O."""

from __future__ import annotations

import math

from skyhaul_connectors.links.contract.terms import LinkTerms


class Account:
    """The state of a link's terms at a moment of a forecast. Moments are Unix seconds, and only ever rise.

    Args:
        used: Bytes that count in the present cycle already.
        wire: Bytes that are counted for each of payload.

    Attributes:
        rate: Bytes a second after `look`; 0 where the link is off, math.inf where nothing limits it.
        spent: Its cap is used up.
        until: When one of these may change, or what is counted does."""

    def __init__(self, terms: LinkTerms, *, used: int = 0, wire: float = 1.0) -> None:
        self.terms = terms
        self.rate = math.inf
        self.spent = False
        self.until = -math.inf
        self._wire = wire
        self._used = used
        self._counted = float(used)
        self._cost = 0.0
        self._cycle_end = -math.inf
        self._free = False
        self._begun = False

    def look(self, at: float) -> None:
        """Move on to the moment `at`, and set the attributes to what holds then."""
        terms = self.terms
        # A cycle's price is the cap's and the steps' of that cycle: its costs are closed before the next
        # begins.
        if terms.metered and at >= self._cycle_end:
            if self._begun:
                self._close_cycle()
            self._begun = True
            self._cycle_end = terms.cycle(at).end
        timed = terms.rate(at)
        self.rate = math.inf if timed is None else timed / 8
        self._free = terms.is_free(at)
        changes = [terms.rates_at.next_change(at)]
        if terms.hours is not None:
            changes.append(terms.hours.next_change(at))
        if terms.metered:
            changes += [self._cycle_end, terms.free.next_change(at)]
        self.until = max(min(changes), math.nextafter(at, math.inf))
        # Floats do not add up to the last byte.
        self.spent = self.room() < 1.0

    def room(self) -> float:
        """Bytes of payload that the cap leaves; math.inf without one and in free hours."""
        if self.terms.cap is None or self._free:
            return math.inf
        return max(0.0, self.terms.cap.bytes - self._counted) / self._wire

    def take(self, payload: float) -> None:
        """Count bytes of payload that came over the link."""
        if self.terms.metered and not self._free:
            self._counted += payload * self._wire
            self.spent = self.room() < 1.0

    @property
    def cost(self) -> float | None:
        """What the bytes so far cost, in the price's currency; None without a price."""
        if self.terms.price is None:
            return None
        return self._cost + self._cycle_cost()

    def _cycle_cost(self) -> float:
        before = self.terms.cost(self._used) or 0.0
        return (self.terms.cost(round(self._counted)) or 0.0) - before

    def _close_cycle(self) -> None:
        self._cost += self._cycle_cost()
        self._used, self._counted = 0, 0.0
