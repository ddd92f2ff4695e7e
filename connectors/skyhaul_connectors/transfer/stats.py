"""What an engine tells of itself: a frozen snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class SourceStats:
    """One source, over all its links together.

    arrived_bytes: found in the spool, and new since. rate: bytes a second over the last half minute in which
    it could deliver, None before there is something to tell; min_rate: what it should bring. waits: something
    of it is wanted now. low_water: as the engine's, for this source.
    """

    arrived_bytes: int
    rate: float | None
    min_rate: float
    waits: bool
    low_water: int


@dataclass(frozen=True, slots=True)
class EngineStats:
    """links: by name. backlog: bytes accepted and not yet in the spool. resumed_bytes: found in the spool,
    sound, from runs before. spool_bytes: room that segments take or have been promised. low_water: a
    backlog below this many bytes runs the links dry before the next shard is claimed. sources: by name."""

    links: Mapping[str, LinkStats]
    backlog: int
    resumed_bytes: int
    spool_bytes: int
    low_water: int
    sources: Mapping[str, SourceStats] = field(default_factory=dict)
