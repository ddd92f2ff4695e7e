"""What is known of a link from outside."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from skyhaul_schemas.units import instant


@dataclass(frozen=True, slots=True)
class LinkView:
    """One link now. Rates are in bit/s, moments in Unix seconds.

    What concerns the billing cycle is None where the ledger does not count the link."""

    name: str
    sources: tuple[str, ...]
    role: str
    emulate: bool
    state: str
    """`up`, `down`, `closed`, `standby` or, while no haul runs, `idle`."""
    reason: str | None
    until: float | None
    """When it opens; None where nobody knows, or it is open."""
    rate: float | None
    """What may be asked for; None where it is not limited."""
    set_to: float | None
    """A rate that was set while the haul runs; 0 for off."""
    goodput: float | None
    payload_bytes: int | None
    account: str
    cycle_start: float | None = None
    cycle_end: float | None = None
    cap_bytes: int | None = None
    counted_bytes: int | None = None
    """Bytes that count against the cap and are paid for."""
    free_bytes: int | None = None
    """Bytes in free hours."""
    leased_bytes: int | None = None
    """Bytes that running hauls may still take."""
    left_bytes: int | None = None
    """What the cap leaves."""
    cost: float | None = None
    currency: str = ""

    def to_json(self) -> dict[str, Any]:
        value = dataclasses.asdict(self)
        for key in ("until", "cycle_start", "cycle_end"):
            value[key] = None if value[key] is None else instant(value[key])
        return value
