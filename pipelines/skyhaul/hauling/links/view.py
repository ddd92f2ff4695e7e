"""What is known of a link from outside."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from skyhaul_schemas.units import instant


@dataclass(frozen=True, slots=True)
class LinkView:
    """One link now. Rates in bit/s, moments in Unix seconds.

    state: up, down, closed, standby or, while no haul runs, idle. until: when it opens, None where nobody
    knows or it is open. rate: what may be asked for (None: not limited); set_to: a rate set while the haul
    runs (0: off). The counts of the cycle are None where the ledger does not count the link. counted:
    bytes that count, leased: those that running hauls may still take, left: of the cap.
    """

    name: str
    sources: tuple[str, ...]
    role: str
    emulate: bool
    state: str
    reason: str | None
    until: float | None
    rate: float | None
    set_to: float | None
    goodput: float | None
    payload_bytes: int | None
    account: str
    cycle_start: float | None = None
    cycle_end: float | None = None
    cap_bytes: int | None = None
    counted_bytes: int | None = None
    free_bytes: int | None = None
    leased_bytes: int | None = None
    left_bytes: int | None = None
    cost: float | None = None
    currency: str = ""

    def to_json(self) -> dict[str, Any]:
        found = dataclasses.asdict(self)
        for key in ("until", "cycle_start", "cycle_end"):
            found[key] = None if found[key] is None else instant(found[key])
        return found
