"""A plan for people: what would be hauled, and how long the links need at the least."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skyhaul.report.left_out import left_out_json, unchecked_json
from skyhaul_schemas.plan import PlanHeader


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source of a plan. `needed`: of its bytes, those that are hauled. `links`: its `via`; `seconds`:
    what is needed over their rates together, or None where a rate is not known."""

    name: str
    objects: int
    bytes: int
    needed: int
    chunks: int
    shards: int
    links: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class PlanView:
    """fresh: it was made just now; otherwise the dataset held it already."""

    header: PlanHeader
    dataset: str
    target: str
    fresh: bool
    sources: tuple[SourceView, ...]

    def as_json(self) -> dict[str, Any]:
        header = self.header
        return {
            "digest": header.digest,
            "name": header.name,
            "dataset": self.dataset,
            "fresh": self.fresh,
            "objects": header.objects,
            "bytes": header.source_bytes,
            "chunks": header.chunks,
            "shards": header.shards,
            "unpinned": header.unpinned,
            "empty": header.empty,
            **left_out_json(header.left_out, header.left_out_names),
            **unchecked_json(header.unchecked, header.unchecked_names),
            "fingerprint": dict(header.fingerprint),
            "sources": {
                source.name: {
                    "objects": source.objects,
                    "bytes": source.bytes,
                    "needed_bytes": source.needed,
                    "chunks": source.chunks,
                    "shards": source.shards,
                    "links": list(source.links),
                    "seconds_at_least": source.seconds,
                }
                for source in self.sources
            },
        }


def view_plan(
    header: PlanHeader,
    *,
    dataset: str,
    target: str,
    fresh: bool,
    via: Mapping[str, tuple[str, ...]],
    rates: Mapping[str, float | None],
) -> PlanView:
    """`via`: source -> its links. `rates`: link -> bit/s, None where its profile names none."""
    return PlanView(
        header=header,
        dataset=dataset,
        target=target,
        fresh=fresh,
        sources=tuple(
            SourceView(
                name=name,
                objects=counts["objects"],
                bytes=counts["bytes"],
                needed=counts["needed"],
                chunks=counts["chunks"],
                shards=counts["shards"],
                links=via.get(name, ()),
                seconds=_seconds(counts["needed"], [rates.get(link) for link in via.get(name, ())]),
            )
            for name, counts in header.by_source.items()
        ),
    )


def _seconds(size: int, rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate and math.isfinite(rate)]
    return round(size * 8 / sum(known), 1) if known and len(known) == len(rates) else None
