"""The terms of a link: its role, when it may be used and how fast, what its bytes cost, its cap."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from skyhaul_connectors.links.contract.cycles import Cycle, Cycles
from skyhaul_connectors.links.contract.timetable import Timetable
from skyhaul_schemas.job.link_terms import GB, Cap, Price, Role
from skyhaul_schemas.job.model import LinkSpec


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """What the job file says of a link's use. Moments are Unix seconds.

    Attributes:
        account: The ledger's name for the link. A rehearsal (an emulated link) has an account of its own,
            since its bytes cost nothing.
        role: Whether the link is used always, or only when it is needed.
        price: Of a gigabyte (10^9 bytes); None: free.
        included: Bytes of a cycle before the price counts.
        cap: Bytes of a cycle after which the link closes; None: no cap.
        cycles: The billing cycles.
        free: Hours whose bytes do not count.
        hours: Hours in which the link may be used; None: always.
        rates_at: Hours with rates of their own; the first that hold a moment count.
        rates: bit/s, one for each of `rates_at`'s hours; 0: off.
    """

    account: str
    role: Role = "primary"
    price: Price | None = None
    included: int = 0
    cap: Cap | None = None
    cycles: Cycles = field(default=Cycles("month", None, "UTC"), compare=False)
    free: Timetable = field(default=Timetable((), "UTC"), compare=False)
    hours: Timetable | None = field(default=None, compare=False)
    rates_at: Timetable = field(default=Timetable((), "UTC"), compare=False)
    rates: tuple[float, ...] = ()

    @classmethod
    def of(cls, name: str, spec: LinkSpec) -> LinkTerms:
        account = spec.account or name
        return cls(
            # Not by a flag in the ledger: a rehearsal with a cap then behaves like the haul, and costs it
            # nothing.
            account=f"rehearsal of {account}" if spec.emulate else account,
            role=spec.role,
            price=spec.price,
            included=spec.included,
            cap=spec.cap,
            cycles=Cycles(spec.cap.period if spec.cap else "month", spec.cycle_start, spec.timezone),
            free=Timetable(spec.free, spec.timezone),
            hours=None if spec.hours is None else Timetable(spec.hours, spec.timezone),
            rates_at=Timetable((hours for hours, _ in spec.rates), spec.timezone),
            rates=tuple(rate for _, rate in spec.rates),
        )

    @property
    def metered(self) -> bool:
        """Whether its bytes are counted in the ledger."""
        return self.cap is not None or self.price is not None

    def cycle(self, at: float) -> Cycle:
        """The billing cycle that `at` lies in."""
        return self.cycles.at(at)

    def is_free(self, at: float) -> bool:
        """Whether bytes that cross at `at` do not count."""
        return self.free.holds(at)

    def rate(self, at: float) -> float | None:
        """The timetable's rate in bit/s; 0 where the link is off, None where nothing is said."""
        if self.hours is not None and not self.hours.holds(at):
            return 0.0
        # `hours` rules over `rates`: outside of them no rate makes the link usable.
        index = self.rates_at.which(at)
        return None if index is None else self.rates[index]

    def opens_at(self, at: float) -> float:
        """The first moment from `at` on at which the timetable does not say off.

        math.inf after a week without one."""
        # Timetables repeat weekly, and a change of the clock moves them by an hour.
        end = at + 8 * 86400
        while self.rate(at) == 0:
            at = self.next_rate_change(at)
            if at > end:
                return math.inf
        return at

    def next_rate_change(self, at: float) -> float:
        """When `rate` may change next; math.inf where it never does."""
        change = self.rates_at.next_change(at)
        return change if self.hours is None else min(change, self.hours.next_change(at))

    def cost(self, counted: int) -> float | None:
        """What `counted` bytes of one cycle cost, in the price's currency; None without a price."""
        if self.price is None:
            return None
        return max(0, counted - self.included) / GB * self.price.per_gb
