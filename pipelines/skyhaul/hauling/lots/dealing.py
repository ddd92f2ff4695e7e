"""Deals a haul into lots."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulConfig, Lot
from skyhaul.hauling.links.linked import is_fetched, linked, own_links
from skyhaul.hauling.lots.stretches import Stretches
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.plan import PlanHeader


def deal_lots(config: HaulConfig, parallelism: int) -> Iterator[Lot]:
    """Lots that cover what the haul may take up. Reads the plan's header only."""
    job = parse_job(config.job_text, config.job_origin, os.environ).job
    store = open_store(config.dataset, writable=False)
    plan = Plan.open(store)
    header = plan.header
    plan.close()
    store.close()
    yield from lots_of(config, job, header, parallelism)


def lots_of(config: HaulConfig, job: Job, header: PlanHeader, parallelism: int) -> Iterator[Lot]:
    """Lots that cover what the haul may take up.

    Sources that share links, directly or through one another, are one lot: one process then conducts those
    links. Any other source (without links, or whose links are all `shared` among workers) is
    cut into `parallelism` lots of about equal numbers of shards, which divide its connections: so many lots
    at the most as it allows connections."""
    covered = _covered(config, header)
    again = config.only is not None
    haul = replace(config, only=None)
    for names in linked(job, list(covered)):
        spans = sorted(span for name in names for span in covered[name].spans)
        size = sum(_bytes(header, name, len(covered[name])) for name in names)
        yield Lot(haul, header.digest, tuple(spans), size, again=again, divisible=False)
    for name, stretches in covered.items():
        if own_links(job, name):
            continue
        spec = job.sources[name]
        allowed = spec.max_connections if is_fetched(spec) else 0
        count = min(parallelism, len(stretches), allowed or parallelism)
        for place in range(count):
            part = stretches.part(len(stretches) * place // count, len(stretches) * (place + 1) // count)
            connections = allowed // count + (place < allowed % count)
            size = _bytes(header, name, len(part))
            yield Lot(haul, header.digest, part.spans, size, connections, again=again)


def _covered(config: HaulConfig, header: PlanHeader) -> dict[str, Stretches]:
    """Source -> its shards that the haul may take up, without sources that have none."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for name, first, stop in header.stretches():
        spans.setdefault(name, []).append((first, stop))
    found = {name: Stretches(sorted(own)) for name, own in spans.items()}
    if config.only is not None:
        asked = Stretches.of(config.only)
        found = {name: asked.common(own) for name, own in found.items()}
    return {name: own for name, own in found.items() if len(own)}


def _bytes(header: PlanHeader, name: str, shards: int) -> int:
    """About how many bytes of a source so many of its shards hold: they are of about equal size."""
    counts = header.by_source[name]
    return counts["bytes"] * shards // max(1, counts["shards"])
