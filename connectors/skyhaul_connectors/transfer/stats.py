"""What an engine tells of itself: a frozen snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LinkStats:
    """One link, all sources over it together, since the engine's start.

    payload, wire, resent: bytes as in `TransferCounts`. goodput: payload now, bit/s over the last second.
    capacity: the link's own rate now in bit/s, None where nobody knows. channels: open connections.
    state: `up`, `down` (an outage: known of an emulated link, else seen as silence), `closed`, or
    `standby` (its role is not asked for).
    changes_in: seconds until the state is known to change, None where it is not. outages: seen so far.
    rtt: seconds, None before the first answer.
    """

    payload_bytes: int
    wire_bytes: int
    resent_bytes: int
    goodput: float
    capacity: float | None
    channels: int
    state: Literal["up", "down", "closed", "standby"]
    changes_in: float | None
    outages: int
    rtt: float | None


@dataclass(frozen=True, slots=True)
class EngineStats:
    """links: by name. backlog: bytes accepted and not yet in the spool. resumed_bytes: found in the spool,
    sound, from runs before. spool_bytes: room that segments take or have been promised. low_water: a
    backlog below this many bytes runs the links dry before the next shard is claimed."""

    links: Mapping[str, LinkStats]
    backlog: int
    resumed_bytes: int
    spool_bytes: int
    low_water: int
