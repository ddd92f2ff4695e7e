"""Lots: which shards one worker takes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulConfig, Lot
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.plan import PlanHeader


def deal_lots(config: HaulConfig, parallelism: int) -> Iterator[Lot]:
    """Lots that cover the plan. Reads the plan's header only."""
    job = parse_job(config.job_text, config.job_origin, os.environ).job
    plan = Plan.open(open_store(config.dataset, writable=False))
    header = plan.header
    plan.close()
    yield from lots_of(job, header, parallelism)


def lots_of(job: Job, header: PlanHeader, parallelism: int) -> Iterator[Lot]:
    """Lots that cover the plan.

    Sources that share links, directly or through one another, are one lot: one process then conducts those
    links. Sources without links, and those whose links are all `shared` among workers, are cut into
    `parallelism` lots of about equal numbers of shards, which divide the source's connections. With a
    parallelism of 1 there is a single lot."""
    stretches: dict[str, list[tuple[int, int]]] = {}
    for name, first, stop in header.stretches():
        stretches.setdefault(name, []).append((first, stop))
    if parallelism <= 1:
        bound = any(_own_links(job, name) for name in stretches)
        yield Lot(tuple(stretch for own in stretches.values() for stretch in own), divisible=not bound)
        return
    for names in _linked(job, list(stretches)):
        yield Lot(tuple(stretch for name in names for stretch in stretches[name]), divisible=False)
    for name, first, stop in header.stretches():
        if not _own_links(job, name):
            yield from _cut(first, stop, parallelism)


def linked_sources(job: Job) -> Iterator[list[str]]:
    """Sources that share links, directly or through one another; those without links are in none."""
    yield from _linked(job, list(job.sources))


def _cut(first: int, stop: int, count: int) -> Iterator[Lot]:
    count = min(count, stop - first)
    borders = [first + (stop - first) * i // count for i in range(count + 1)]
    for a, b in itertools.pairwise(borders):
        yield Lot(((a, b),), share=count)


def _linked(job: Job, names: list[str]) -> Iterator[list[str]]:
    """Groups of sources that share a link, in the order of their first source."""
    groups: list[tuple[set[str], list[str]]] = []
    for name in names:
        links = _own_links(job, name)
        if not links:
            continue
        members = [name]
        apart: list[tuple[set[str], list[str]]] = []
        for group_links, group_names in groups:
            if group_links & links:
                links |= group_links
                members = group_names + members
            else:
                apart.append((group_links, group_names))
        groups = [*apart, (links, members)]
    for _, members in groups:
        yield members


def _own_links(job: Job, name: str) -> set[str]:
    """The links of a source that one process has to itself."""
    return {via for via in job.sources[name].via if job.links[via].shared is None}
