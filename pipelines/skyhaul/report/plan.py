"""`skyhaul plan`: what would be hauled, and how long the links need at the least."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skyhaul.report.left_out import left_out_json, left_out_lines, unchecked_json, unchecked_lines
from skyhaul.report.table import columns, plural
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.units import format_duration, format_size


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source of a plan."""

    name: str
    objects: int
    bytes: int
    needed: int
    """Of its bytes, those that are hauled."""
    chunks: int
    shards: int
    links: tuple[str, ...]
    """Its `via`."""
    seconds: float | None
    """`needed` over the rates of its links together; None where a rate is not known."""


@dataclass(frozen=True, slots=True)
class PlanReport:
    """A plan, as it is now."""

    header: PlanHeader
    dataset: str
    target: str
    """What the user typed for the job."""
    fresh: bool
    """It was made just now; otherwise the dataset held it already."""
    sources: tuple[SourceView, ...]

    @classmethod
    def of(
        cls,
        header: PlanHeader,
        *,
        dataset: str,
        target: str,
        fresh: bool,
        via: Mapping[str, tuple[str, ...]],
        rates: Mapping[str, float | None],
    ) -> PlanReport:
        """The report of a plan.

        Args:
            via: Source -> its links.
            rates: Link -> bit/s; None where its profile names none.
        """
        sources = tuple(
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
        )
        return cls(header, dataset, target, fresh, sources)

    def lines(self) -> Iterator[str]:
        header = self.header
        made = "planned" if self.fresh else "the plan there is"
        yield (
            f"{made}: {header.name}, {plural(header.objects, 'object')}, {format_size(header.source_bytes)},"
            f" {plural(header.shards, 'shard')}, into {self.dataset}"
        )
        head = ("source", "objects", "bytes", "chunks", "shards", "links", "at least")
        for line in columns(head, [_row(source) for source in self.sources], right="-rrrr-r"):
            yield f"  {line}"
        for source in self.sources:
            if source.needed < source.bytes:
                yield f"  of {source.name}, {format_size(source.needed)} are needed for the columns it takes"
        if header.unpinned:
            yield f"  {plural(header.unpinned, 'object')} pinned by size alone: the source states no version"
        if header.empty:
            yield f"  {plural(header.empty, 'object')} without a byte"
        for line in left_out_lines(header.left_out, header.left_out_names):
            yield f"  {line}"
        for line in unchecked_lines(header.unchecked, header.unchecked_names):
            yield f"  {line}"
        yield f"  digest {header.digest}"
        yield f"next: skyhaul run {shlex.quote(self.target)}"

    def to_json(self) -> dict[str, Any]:
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


def _row(source: SourceView) -> tuple[str, ...]:
    return (
        source.name,
        f"{source.objects:,}",
        format_size(source.bytes),
        f"{source.chunks:,}",
        f"{source.shards:,}",
        ", ".join(source.links) or "the plain network",
        "" if source.seconds is None else format_duration(source.seconds),
    )


def _seconds(size: int, rates: list[float | None]) -> float | None:
    # A lower bound: no round trips, no losses. One link whose rate nobody knows leaves none to be told.
    known = [rate for rate in rates if rate and math.isfinite(rate)]
    return round(size * 8 / sum(known), 1) if known and len(known) == len(rates) else None
