"""A forecast as a value: when, over which links, and what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from skyhaul_schemas.errors import EXIT_INCOMPLETE, EXIT_OK
from skyhaul_schemas.units import moment_text


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Over all seeds: one in ten is below p10, half are below p50, nine in ten below p90; inf means never."""

    p10: float
    p50: float
    p90: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quantiles:
        """Of at least one value; the nearest rank, so that each is one that came out."""
        ordered = sorted(values)
        return cls(*(ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in (0.1, 0.5, 0.9)))

    def to_json(self) -> dict[str, float | None]:
        """JSON has no infinity: null is never."""
        return {name: _finite(getattr(self, name)) for name in ("p10", "p50", "p90")}


@dataclass(frozen=True, slots=True)
class SourceOutlook:
    """One source."""

    name: str
    shards: int
    bytes: int
    """Of the source, that are left to haul."""
    links: tuple[str, ...]
    """Its `via`."""
    seconds: Quantiles
    limits: tuple[tuple[str, float], ...]
    """(what it waits for, share of its time), the most first."""
    hint: str = ""
    """What would make it faster, or empty."""


@dataclass(frozen=True, slots=True)
class LinkOutlook:
    """What one link carries, in bytes, in the middle of all seeds."""

    name: str
    payload: float
    wire: float
    resent: float
    role: str = "primary"
    price: float | None = None
    """What the bytes cost beyond what is spent already, in `currency`; None if the job file gives no
    price."""
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast."""

    name: str
    dataset: str
    planned: bool
    """The dataset has a plan; else the sources were listed for this alone."""
    shards: int
    bytes: int
    seeds: int
    start: float
    """Unix seconds."""
    dated: bool
    seconds: Quantiles
    sources: tuple[SourceOutlook, ...]
    links: tuple[LinkOutlook, ...]
    limits: tuple[tuple[str, float], ...]
    """Those of the source that is done last."""
    deadline: float | None = None
    """Seconds after the start, None without one."""
    in_time: float = 1.0
    """The share of seeds that meet it."""
    unfinished: float = 0.0
    """The share of seeds in which something is left for ever (no further contact)."""
    bytes_left: float = 0.0
    """How much that is, in the middle of these seeds."""
    unlinked: tuple[str, ...] = ()
    """Sources that go over no link, of whose time nothing is said."""
    notes: tuple[str, ...] = ()

    def exit_code(self) -> int:
        """75 where the haul is not done in most of the seeds."""
        return EXIT_INCOMPLETE if math.isinf(self.seconds.p50) else EXIT_OK

    def date(self, seconds: float) -> datetime | None:
        """The date `seconds` after the start, to the second; None for never."""
        if math.isinf(seconds):
            return None
        # A start far in the future, and two years more, may be beyond what a date can say.
        try:
            return datetime.fromtimestamp(self.start, UTC) + timedelta(seconds=round(seconds))
        except (OverflowError, ValueError):
            return None

    def to_json(self) -> dict[str, Any]:
        return {
            "exit_code": self.exit_code(),
            "name": self.name,
            "dataset": self.dataset,
            "planned": self.planned,
            "shards": self.shards,
            "bytes": self.bytes,
            "seeds": self.seeds,
            "start": _iso(datetime.fromtimestamp(self.start, UTC)),
            "seconds": self.seconds.to_json(),
            "done": {name: _iso(self.date(getattr(self.seconds, name))) for name in ("p10", "p50", "p90")},
            "limits": dict(self.limits),
            "deadline": _iso(None if self.deadline is None else self.date(self.deadline)),
            "in_time": self.in_time if self.deadline is not None else None,
            "unfinished": self.unfinished,
            "bytes_left": round(self.bytes_left),
            "sources": {
                source.name: {
                    "shards": source.shards,
                    "bytes": source.bytes,
                    "links": list(source.links),
                    "seconds": source.seconds.to_json(),
                    "limits": dict(source.limits),
                    "hint": source.hint,
                }
                for source in self.sources
            },
            "links": {
                link.name: {
                    "payload_bytes": round(link.payload),
                    "wire_bytes": round(link.wire),
                    "resent_bytes": round(link.resent),
                    "role": link.role,
                    "currency": link.currency,
                    "price": None if link.price is None else round(link.price, 2),
                }
                for link in self.links
            },
            "unlinked": list(self.unlinked),
            "notes": list(self.notes),
        }


def _finite(value: float) -> float | None:
    return round(value, 1) if math.isfinite(value) else None


def _iso(at: datetime | None) -> str | None:
    return None if at is None else moment_text(at, "seconds")
