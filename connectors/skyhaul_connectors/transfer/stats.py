"""What an engine tells of itself: a frozen snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class LinkStats:
    """One link, all sources over it together, since the engine's start.

    Attributes:
        payload_bytes: As in `TransferCounts`.
        wire_bytes: As in `TransferCounts`.
        resent_bytes: As in `TransferCounts`.
        goodput: Payload now: bit/s over the last second.
        capacity: The link's own rate now in bit/s; None where nobody knows.
        channels: Open connections.
        state: `up`, `down` (an outage: known of an emulated link, else seen as silence), `closed`, or
            `standby` (its role is not asked for).
        changes_in: Seconds until the state is known to change; None where it is not.
        outages: Seen so far.
        rtt: Seconds; None before the first answer.
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

    Attributes:
        arrived_bytes: Found in the spool, and new since.
        rate: Bytes a second over the last half minute in which it could deliver; None before there is
            something to tell.
        min_rate: Bytes a second that it should bring.
        waits: Whether something of it is wanted now.
        low_water: As the engine's, for this source.
    """

    arrived_bytes: int
    rate: float | None
    min_rate: float
    waits: bool
    low_water: int


@dataclass(frozen=True, slots=True)
class EngineStats:
    """The engine at one moment.

    Attributes:
        links: By name.
        backlog: Bytes accepted and not yet in the spool.
        resumed_bytes: Found in the spool, sound, from runs before.
        spool_bytes: Room that segments take or have been promised.
        low_water: A backlog below this many bytes runs the links dry before the next shard is claimed.
        sources: By name.
    """

    links: Mapping[str, LinkStats]
    backlog: int
    resumed_bytes: int
    spool_bytes: int
    low_water: int
    sources: Mapping[str, SourceStats] = field(default_factory=dict)
