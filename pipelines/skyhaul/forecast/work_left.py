"""What of a plan is left to haul, by source, with the first segments of it for a rehearsal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from skyhaul.dataset.commits.valid_commits import committed_shards, failures
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.forecast.feeding import cut_to, length_of
from skyhaul.hauling.chunk_access import SegmentMap
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.transfer.segment import Segment

MOST_SEGMENTS = 4000
"""Segments in a rehearsal; small files beyond them are like those before, for shards are dealt by a hash.
Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class SourceLeft:
    """One source's shards that are neither committed nor failed for good."""

    source: str
    shards: int
    bytes: int
    """Of the source."""
    fetched: float
    """Bytes to fetch for each of these: more than one, since chunks of some formats need the head of their
    object or look beyond their border; or fewer, where not all columns are wanted."""
    first: list[list[Segment]]
    """Shards to rehearse with, as segments; all of them where `whole`."""
    whole: bool

    @property
    def to_fetch(self) -> int:
        """Bytes that have to come over the links."""
        return round(self.bytes * self.fetched)


def work_left(plan: Plan, store: DatasetStore, recipe: Recipe, sample: dict[str, int]) -> list[SourceLeft]:
    """By source, in the plan's order; sources with nothing left are missing.

    Args:
        plan: The plan.
        store: The dataset.
        recipe: How the job reads its objects.
        sample: Source -> bytes to rehearse with at most. Reads three columns of the plan, and of the shards
            as many as it needs.

    Raises:
        PlanDamaged: The plan is not what was written.
        StorageError: The storage fails otherwise."""
    committed = committed_shards(plan, store)
    failed = {f.shard for f in failures(plan, store) if f.final and not plan.outdates(f)}
    first: dict[str, list[int]] = {}
    shards: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for number, source, size in plan.summaries():
        if number in committed or number in failed:
            continue
        shards[source] = shards.get(source, 0) + 1
        sizes[source] = sizes.get(source, 0) + size
        if len(first.setdefault(source, [])) < MOST_SEGMENTS:
            first[source].append(number)
    return [
        _source_left(plan, recipe, source, first[source], shards[source], size, sample.get(source, 0))
        for source, size in sizes.items()
        if size
    ]


def _source_left(
    plan: Plan, recipe: Recipe, source: str, numbers: list[int], shards: int, size: int, sample: int
) -> SourceLeft:
    """What is left of one source.

    Args:
        plan: The plan.
        recipe: How the job reads and encodes.
        source: The source.
        numbers: The first of its shards that are left.
        shards: How many are left.
        size: Bytes of the source in them.
        sample: Bytes to rehearse with at most."""
    read = 0
    needed: list[int] = []

    def segments() -> Iterator[list[Segment]]:
        nonlocal read
        for number in numbers:
            shard = plan.shard(number)
            chosen = SegmentMap(shard, lambda chunk: recipe.decoder(chunk.object.source, chunk.object.path))
            read += shard.length
            needed.append(sum(segment.length for segment in chosen.segments))
            yield chosen.segments

    first = cut_to(segments(), sample, MOST_SEGMENTS)
    fetched = sum(needed) / read if read else 1.0
    whole = len(needed) == shards and length_of(first) == sum(needed)
    return SourceLeft(source, shards, size, fetched, first, whole)
