"""What an engine is made of: sources with their lanes, and the settings of a haul."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.protocol import Route, Source

PLAIN_ROUTE = Route()


@dataclass(frozen=True, slots=True)
class Lane:
    """One link to one source. link: its name in counts and statistics, `net` for the plain network.
    shared: the link's state, where there is one to be known."""

    link: str
    source: Source
    route: Route = PLAIN_ROUTE
    shared: SharedLink | None = None


@dataclass(frozen=True, slots=True)
class SourceLanes:
    """The ways to one source, best first. `max_connections` holds over all of them together. min_rate: bytes
    a second that the source must bring as a mean over the patience; 0 asks for nothing."""

    lanes: tuple[Lane, ...]
    max_connections: int
    min_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """spool: folder of all spools. spool_limit: bytes. patience, give_up_after: seconds of silence until a
    source's shards are deferred, and of errors until they fail. plan: digest; names the spool's
    subfolder. wait_for_contact: sleep through closed contacts instead of deferring."""

    spool: Path
    spool_limit: int
    patience: float
    plan: str
    give_up_after: float = 120.0
    wait_for_contact: bool = False
    seed: int = 0
