"""What an engine is made of: sources with their lanes, and the settings of a haul."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.protocol import Route, Source

PLAIN_ROUTE = Route()


@dataclass(frozen=True, slots=True)
class Lane:
    """One link to one source.

    Attributes:
        link: The link's name in counts and statistics, `net` for the plain network.
        source: What is reached over it.
        route: How its channels leave this machine.
        shared: The link's state, where there is one to be known.
    """

    link: str
    source: Source
    route: Route = PLAIN_ROUTE
    shared: SharedLink | None = None


@dataclass(frozen=True, slots=True)
class SourceLanes:
    """The ways to one source.

    Attributes:
        lanes: Best first.
        max_connections: Over all lanes together.
        min_rate: Bytes a second that the source must bring as a mean over the patience; 0 asks for nothing.
    """

    lanes: tuple[Lane, ...]
    max_connections: int
    min_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What holds for all sources of a haul.

    Attributes:
        spool: Folder of all spools.
        spool_limit: Bytes.
        patience: Seconds of silence until a source's shards are deferred.
        plan: The plan's digest, which names the spool's subfolder.
        give_up_after: Seconds of nothing but errors until a source's shards fail.
        wait_for_contact: Sleep through closed contacts instead of deferring.
        seed: Of what is drawn by chance, such as the waits before repeats.
    """

    spool: Path
    spool_limit: int
    patience: float
    plan: str
    give_up_after: float = 120.0
    wait_for_contact: bool = False
    seed: int = 0
