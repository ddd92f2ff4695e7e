"""Forecast a job: rehearse a stretch of it over its links, then roll the whole plan through many seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.forecast.capacity import averaged
from skyhaul.forecast.delivery import (
    Delivery,
    Recovery,
    deliver,
    deliver_with_most_connections,
    joined,
    recover,
    sample_bytes,
    sample_seconds,
)
from skyhaul.forecast.feeding import cut_to
from skyhaul.forecast.inputs import (
    by_tls,
    is_dated,
    is_interrupted,
    plan_of,
    stated_profile,
    used_so_far,
)
from skyhaul.forecast.link_in_time import Limit, RolledLink
from skyhaul.forecast.outlook import LinkOutlook, Outlook, Quantiles, SourceOutlook
from skyhaul.forecast.rehearsal import Sample
from skyhaul.forecast.roll import Rolled, RolledSource, roll
from skyhaul.forecast.work_left import MOST_SEGMENTS, SourceLeft, work_left
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import LoadedJob
from skyhaul_schemas.job.link_terms import Role, due_at
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.units import format_duration

SEEDS = 100
"""Seeds unless told otherwise."""

REHEARSALS = 2
"""Rehearsals of a source, each with a seed of its own."""

_MOST_STEPS = 400_000
"""Strides of all seeds together, after which the seeds so far have to do."""
_FEWEST_SEEDS = 5
_WORTH_A_HINT = 0.9


def forecast(
    loaded: LoadedJob,
    store: DatasetStore,
    *,
    start: float,
    seeds: int = SEEDS,
    progress: Callable[[int, int], None] | None = None,
) -> Outlook:
    """What of the job is not committed yet, begun at `start` (Unix seconds) and run with `--wait`, or again
    whenever a contact opens. Without a plan in the dataset the sources are listed (`progress` is told of
    objects and bytes), and nothing is written to the dataset. Raises UsageError (nothing says how fast a
    link is), PlanMismatch, CarriageError, StorageError, PlanDamaged."""
    job = loaded.job
    profiles = {name: stated_profile(job, name) for spec in job.sources.values() for name in spec.via}
    if not profiles:
        raise UsageError(
            "no source goes over a link, so that nothing says how fast its bytes come; name links in `via`"
        )
    planned = Plan.exists(store)
    with plan_of(loaded, store, progress) as (plan, plan_store):
        recipe = Recipe.of(job, plan.header)
        samples = {
            name: sample_bytes({via: profiles[via] for via in spec.via})
            for name, spec in job.sources.items()
            if spec.via
        }
        left = work_left(plan, plan_store, recipe, samples)
    linked = [part for part in left if job.sources[part.source].via]
    terms = {name: LinkTerms.of(name, job.links[name]) for name in profiles}
    return _Forecast(job, profiles, terms, used_so_far(job, terms, start), linked, start).outlook(
        seeds,
        dataset=store.place,
        planned=planned,
        unlinked=tuple(part.source for part in left if not job.sources[part.source].via),
    )


class _Forecast:
    """One forecast on its way. left: what goes over links."""

    def __init__(
        self,
        job: Job,
        profiles: Mapping[str, LinkProfile],
        terms: Mapping[str, LinkTerms],
        used: Mapping[str, int],
        left: Sequence[SourceLeft],
        start: float,
    ) -> None:
        self._job = job
        self._profiles = profiles
        self._terms = terms
        self._used = used
        self._left = left
        self._start = start
        self._deadline = None if job.deadline is None else due_at(job.deadline, start) - start
        self._deliveries: dict[object, list[Delivery]] = {}

    def outlook(self, seeds: int, *, dataset: str, planned: bool, unlinked: tuple[str, ...]) -> Outlook:
        deliveries = {part.source: self._deliver(part) for part in self._left}
        links = [self._rolled_link(name, deliveries) for name in self._profiles if self._users(name)]
        rolls: list[Rolled] = []
        for seed in range(seeds):
            if len(rolls) >= _FEWEST_SEEDS and sum(rolled.steps for rolled in rolls) > _MOST_STEPS:
                break
            sources = [
                _rolled_source(part, deliveries[part.source][seed % REHEARSALS]) for part in self._left
            ]
            rolls.append(self._roll(sources, links, seed))
        median = sorted(rolls, key=lambda rolled: (rolled.took, rolled.left))[(len(rolls) - 1) // 2]
        outlooks = tuple(self._source(part, rolls, median, deliveries, links) for part in self._left)
        last = max(outlooks, key=lambda outlook: outlook.seconds.p50, default=None)
        unfinished = [rolled.left for rolled in rolls if rolled.left]
        return Outlook(
            name=self._job.name,
            dataset=dataset,
            planned=planned,
            shards=sum(part.shards for part in self._left),
            bytes=sum(part.bytes for part in self._left),
            seeds=len(rolls),
            start=self._start,
            dated=any(is_dated(profile) for profile in self._profiles.values()),
            seconds=Quantiles.of([rolled.took for rolled in rolls]),
            sources=outlooks,
            links=tuple(self._link(link.name, median, deliveries) for link in links),
            limits=last.limits if last is not None else (),
            deadline=self._deadline,
            in_time=sum(rolled.took <= (self._deadline or 0) for rolled in rolls) / len(rolls),
            unfinished=len(unfinished) / len(rolls),
            bytes_left=sorted(unfinished)[len(unfinished) // 2] if unfinished else 0.0,
            unlinked=unlinked,
            notes=tuple(self._notes()),
        )

    def _roll(self, sources: Sequence[RolledSource], links: Sequence[RolledLink], seed: int) -> Rolled:
        return roll(sources, links, seed=seed, epoch=self._start, deadline=self._deadline)

    # -- links and sources

    def _users(self, link: str) -> list[SourceLeft]:
        return [part for part in self._left if link in self._job.sources[part.source].via]

    def _via(self, part: SourceLeft) -> dict[str, LinkProfile]:
        return {name: self._profiles[name] for name in self._job.sources[part.source].via}

    def _sample(self, part: SourceLeft, links: Mapping[str, LinkProfile]) -> Sample:
        spec = self._job.sources[part.source]
        first = cut_to(iter(part.first), sample_bytes(links), MOST_SEGMENTS)
        return Sample(part.source, first, spec.max_connections, by_tls(spec))

    def _deliver(self, part: SourceLeft) -> list[Delivery]:
        """One for each rehearsal. Sources that are alike share theirs."""
        spec = self._job.sources[part.source]
        count = sum(len(segments) for segments in part.first)
        size = sum(segment.length for segments in part.first for segment in segments)
        alike = (
            tuple(spec.via), spec.max_connections, by_tls(spec),
            round(math.log2(max(1, size / max(1, count)))), size if part.whole else 0,
        )  # fmt: skip
        if alike not in self._deliveries:
            self._deliveries[alike] = [
                joined(
                    deliver(self._sample(part, group), group, seed=seed, spool_limit=self._job.spool_limit)
                    for group in self._by_role(part)
                )
                for seed in range(REHEARSALS)
            ]
        return self._deliveries[alike]

    def _by_role(self, part: SourceLeft) -> list[dict[str, LinkProfile]]:
        """The source's links as they carry side by side: primary ones first."""
        groups: dict[Role, dict[str, LinkProfile]] = {"primary": {}, "overflow": {}, "last-resort": {}}
        for name, profile in self._via(part).items():
            groups[self._terms[name].role][name] = profile
        return [group for group in groups.values() if group]

    def _rolled_link(self, name: str, deliveries: Mapping[str, Sequence[Delivery]]) -> RolledLink:
        profile = self._profiles[name]
        users = self._users(name)
        most = max(users, key=lambda part: part.to_fetch)
        found = Recovery()
        if is_interrupted(profile):
            sample = self._sample(most, {name: profile})
            found = recover(sample, name, profile, seed=0, spool_limit=self._job.spool_limit)
        seconds = sum(part.to_fetch for part in users) * 8 / profile.payload_rate
        # As in the rehearsals, whose length is that of the source with the longest round trip.
        within = max(sample_seconds(group) for part in users for group in self._by_role(part))
        return RolledLink(
            name,
            averaged(profile, within, seconds),
            found.outage,
            found.contact,
            self._terms[name],
            self._used.get(name, 0),
            deliveries[most.source][0].wire[name],
        )

    # -- what came out

    def _source(
        self,
        part: SourceLeft,
        rolls: Sequence[Rolled],
        median: Rolled,
        deliveries: Mapping[str, Sequence[Delivery]],
        links: Sequence[RolledLink],
    ) -> SourceOutlook:
        delivery = deliveries[part.source][0]
        limits = _shares(median.spent[part.source])
        hint = ""
        if dict(limits).get(Limit.ROUND_TRIPS.value, 0.0) > 1 - _WORTH_A_HINT:
            limits, hint = self._more_connections(part, delivery, median, links, limits)
        if delivery.spool_full:
            limits = (*limits, ("spool", 0.0))
            hint = hint or f"the transfer waits for room in the spool: raise `spool_limit` ({part.source})"
        return SourceOutlook(
            part.source,
            part.shards,
            part.bytes,
            tuple(self._via(part)),
            Quantiles.of([rolled.done[part.source] for rolled in rolls]),
            limits,
            hint,
        )

    def _more_connections(
        self,
        part: SourceLeft,
        delivery: Delivery,
        median: Rolled,
        links: Sequence[RolledLink],
        limits: tuple[tuple[str, float], ...],
    ) -> tuple[tuple[tuple[str, float], ...], str]:
        """Whether it is the source's own limit on connections that holds it back, and what more would do."""
        allowed = self._job.sources[part.source].max_connections
        if delivery.connections < allowed:
            return limits, ""
        free = joined(
            deliver_with_most_connections(
                self._sample(part, group), group, seed=0, spool_limit=self._job.spool_limit
            )
            for group in self._by_role(part)
        )
        own = [link for link in links if link.name in delivery.shares]
        as_is = self._roll([_rolled_source(part, delivery)], own, 0).took
        freed = self._roll([_rolled_source(part, free)], own, 0).took
        if not freed < _WORTH_A_HINT * as_is:
            return limits, ""
        renamed = tuple(
            ("max_connections" if name == Limit.ROUND_TRIPS.value else name, share) for name, share in limits
        )
        return renamed, (
            f"with {free.connections} connections instead of {allowed} (`sources.{part.source}."
            f"max_connections`) it would take {format_duration(freed)} instead of {format_duration(as_is)}"
        )

    def _link(self, name: str, median: Rolled, deliveries: Mapping[str, Sequence[Delivery]]) -> LinkOutlook:
        users = [deliveries[part.source][0] for part in self._users(name)]
        payload = median.payload[name]
        wire = sum(delivery.wire[name] for delivery in users) / len(users)
        resent = sum(delivery.resent[name] for delivery in users) / len(users)
        price = self._terms[name].price
        return LinkOutlook(
            name,
            payload,
            payload * wire,
            payload * resent,
            self._terms[name].role,
            median.cost.get(name),
            price.currency if price is not None else "",
        )

    def _notes(self) -> Iterator[str]:
        for name, profile in self._profiles.items():
            spec = self._job.links[name]
            if spec.preset is None and spec.rtt is None and not profile.delay_trace:
                yield f"link {name}: no `rtt` is given; it was taken for 0"


def _rolled_source(part: SourceLeft, delivery: Delivery) -> RolledSource:
    return RolledSource(part.source, part.to_fetch, delivery.shares, delivery.overhead)


def _shares(spent: Mapping[Limit, float]) -> tuple[tuple[str, float], ...]:
    """Of the time, by what it was spent on, the most first; below half a percent is nothing."""
    total = sum(spent.values())
    shares = [(limit.value, round(seconds / total, 3)) for limit, seconds in spent.items() if total]
    return tuple(sorted((s for s in shares if s[1] >= 0.005), key=lambda s: -s[1]))
