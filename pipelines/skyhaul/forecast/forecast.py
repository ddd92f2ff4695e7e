"""Forecast a job: rehearse a stretch of it over its links, then roll the whole plan through many seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.forecast.capacity import averaged
from skyhaul.forecast.feeding import cut_to
from skyhaul.forecast.inputs import (
    by_tls,
    is_dated,
    is_interrupted,
    plan_of,
    stated_profile,
    used_so_far,
)
from skyhaul.forecast.link_in_time import Limit, SimulatedLink
from skyhaul.forecast.link_shares import (
    LinkShares,
    Recovery,
    joined,
    measure_shares,
    measure_with_most_connections,
    recover,
    sample_bytes,
    sample_seconds,
)
from skyhaul.forecast.outlook import LinkOutlook, Outlook, Quantiles, SourceOutlook
from skyhaul.forecast.rehearsal import Sample
from skyhaul.forecast.simulation import Simulated, SimulatedSource, simulate
from skyhaul.forecast.work_left import MOST_SEGMENTS, SourceLeft, work_left
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import LoadedJob, placing
from skyhaul_schemas.job.link_terms import Role, due_at
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.units import format_duration

SEEDS = 100
"""Seeds unless told otherwise: ten each lie below P10 and above P90, which are told. Chosen, not measured."""

REHEARSALS = 2
"""Rehearsals of a source, each with a seed of its own. Chosen, not
measured."""

_MOST_STEPS = 400_000
"""Strides of all seeds together, after which the seeds so far have to do: a haul of months over a link that
is handed over every few seconds has hundreds of thousands. Chosen, not measured."""

_FEWEST_SEEDS = 5
"""Seeds that are simulated whatever they cost. Chosen, not measured."""

_WORTH_A_HINT = 0.9
"""What more connections have to bring a source's time down to, of what it is, to be named as its limit."""


@placing
def forecast(
    loaded: LoadedJob,
    store: DatasetStore,
    *,
    start: float,
    seeds: int = SEEDS,
    progress: Callable[[int, int], None] | None = None,
) -> Outlook:
    """Forecast what is left of a job: the shards that are not committed yet.

    The haul is taken to run with `--wait`, or again whenever a contact opens. Nothing is written to the
    dataset: without a plan there the sources are listed for this alone.

    Args:
        loaded: The job.
        store: The dataset.
        start: When the haul begins, in Unix seconds.
        seeds: How many times the haul is simulated, each time with other luck.
        progress: Told of objects and bytes while sources are listed.

    Raises:
        UsageError: Nothing says how fast a link is.
        PlanMismatch: The plan that is there is another one.
        CarriageError: A source cannot be read.
        StorageError: The storage fails otherwise.
        PlanDamaged: The plan is not what was written."""
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
    """One forecast on its way.

    Args:
        left: What is left of the sources that go over links."""

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
        self._reached_by: dict[object, list[LinkShares]] = {}

    def outlook(self, seeds: int, *, dataset: str, planned: bool, unlinked: tuple[str, ...]) -> Outlook:
        reached_by = {part.source: self._measured(part) for part in self._left}
        links = [self._simulated_link(name, reached_by) for name in self._profiles if self._users(name)]
        simulations: list[Simulated] = []
        for seed in range(seeds):
            if (
                len(simulations) >= _FEWEST_SEEDS
                and sum(simulated.steps for simulated in simulations) > _MOST_STEPS
            ):
                break
            sources = [
                _simulated_source(part, reached_by[part.source][seed % REHEARSALS]) for part in self._left
            ]
            simulations.append(self._simulate(sources, links, seed))
        median = sorted(simulations, key=lambda simulated: (simulated.took, simulated.left))[
            (len(simulations) - 1) // 2
        ]
        outlooks = tuple(self._source(part, simulations, median, reached_by, links) for part in self._left)
        last = max(outlooks, key=lambda outlook: outlook.seconds.p50, default=None)
        unfinished = [simulated.left for simulated in simulations if simulated.left]
        return Outlook(
            name=self._job.name,
            dataset=dataset,
            planned=planned,
            shards=sum(part.shards for part in self._left),
            bytes=sum(part.bytes for part in self._left),
            seeds=len(simulations),
            start=self._start,
            dated=any(is_dated(profile) for profile in self._profiles.values()),
            seconds=Quantiles.of([simulated.took for simulated in simulations]),
            sources=outlooks,
            links=tuple(self._link(link.name, median, reached_by) for link in links),
            limits=last.limits if last is not None else (),
            deadline=self._deadline,
            in_time=sum(simulated.took <= (self._deadline or 0) for simulated in simulations)
            / len(simulations),
            unfinished=len(unfinished) / len(simulations),
            bytes_left=sorted(unfinished)[len(unfinished) // 2] if unfinished else 0.0,
            unlinked=unlinked,
            notes=tuple(self._notes()),
        )

    def _simulate(
        self, sources: Sequence[SimulatedSource], links: Sequence[SimulatedLink], seed: int
    ) -> Simulated:
        return simulate(sources, links, seed=seed, epoch=self._start, deadline=self._deadline)

    # -- links and sources

    def _users(self, link: str) -> list[SourceLeft]:
        return [part for part in self._left if link in self._job.sources[part.source].via]

    def _via(self, part: SourceLeft) -> dict[str, LinkProfile]:
        return {name: self._profiles[name] for name in self._job.sources[part.source].via}

    def _sample(self, part: SourceLeft, links: Mapping[str, LinkProfile]) -> Sample:
        spec = self._job.sources[part.source]
        first = cut_to(iter(part.first), sample_bytes(links), MOST_SEGMENTS)
        return Sample(part.source, first, spec.max_connections, by_tls(spec))

    def _measured(self, part: SourceLeft) -> list[LinkShares]:
        """The shares of one source, from each of its rehearsals; sources that are alike share theirs."""
        spec = self._job.sources[part.source]
        count = sum(len(segments) for segments in part.first)
        size = sum(segment.length for segments in part.first for segment in segments)
        alike = (
            tuple(spec.via), spec.max_connections, by_tls(spec),
            round(math.log2(max(1, size / max(1, count)))), size if part.whole else 0,
        )  # fmt: skip
        if alike not in self._reached_by:
            self._reached_by[alike] = [
                joined(
                    measure_shares(
                        self._sample(part, group), group, seed=seed, spool_limit=self._job.spool_limit
                    )
                    for group in self._by_role(part)
                )
                for seed in range(REHEARSALS)
            ]
        return self._reached_by[alike]

    def _by_role(self, part: SourceLeft) -> list[dict[str, LinkProfile]]:
        """The source's links as they carry side by side: primary ones first."""
        groups: dict[Role, dict[str, LinkProfile]] = {"primary": {}, "overflow": {}, "last-resort": {}}
        for name, profile in self._via(part).items():
            groups[self._terms[name].role][name] = profile
        return [group for group in groups.values() if group]

    def _simulated_link(self, name: str, reached_by: Mapping[str, Sequence[LinkShares]]) -> SimulatedLink:
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
        return SimulatedLink(
            name,
            averaged(profile, within, seconds),
            found.outage,
            found.contact,
            self._terms[name],
            self._used.get(name, 0),
            reached_by[most.source][0].wire[name],
        )

    # -- what came out

    def _source(
        self,
        part: SourceLeft,
        simulations: Sequence[Simulated],
        median: Simulated,
        reached_by: Mapping[str, Sequence[LinkShares]],
        links: Sequence[SimulatedLink],
    ) -> SourceOutlook:
        reached = reached_by[part.source][0]
        limits = _shares(median.spent[part.source])
        hint = ""
        if dict(limits).get(Limit.ROUND_TRIPS.value, 0.0) > 1 - _WORTH_A_HINT:
            limits, hint = self._more_connections(part, reached, median, links, limits)
        if reached.spool_full:
            limits = (*limits, ("spool", 0.0))
            hint = hint or f"the transfer waits for room in the spool: raise `spool_limit` ({part.source})"
        return SourceOutlook(
            part.source,
            part.shards,
            part.bytes,
            tuple(self._via(part)),
            Quantiles.of([simulated.done[part.source] for simulated in simulations]),
            limits,
            hint,
        )

    def _more_connections(
        self,
        part: SourceLeft,
        reached: LinkShares,
        median: Simulated,
        links: Sequence[SimulatedLink],
        limits: tuple[tuple[str, float], ...],
    ) -> tuple[tuple[tuple[str, float], ...], str]:
        """Find out whether the source's own limit on connections holds it back, and what more would bring."""
        allowed = self._job.sources[part.source].max_connections
        if reached.connections < allowed:
            return limits, ""
        free = joined(
            measure_with_most_connections(
                self._sample(part, group), group, seed=0, spool_limit=self._job.spool_limit
            )
            for group in self._by_role(part)
        )
        own = [link for link in links if link.name in reached.shares]
        as_is = self._simulate([_simulated_source(part, reached)], own, 0).took
        freed = self._simulate([_simulated_source(part, free)], own, 0).took
        if not freed < _WORTH_A_HINT * as_is:
            return limits, ""
        renamed = tuple(
            ("max_connections" if name == Limit.ROUND_TRIPS.value else name, share) for name, share in limits
        )
        return renamed, (
            f"with {free.connections} connections instead of {allowed} (`sources.{part.source}."
            f"max_connections`) it would take {format_duration(freed)} instead of {format_duration(as_is)}"
        )

    def _link(
        self, name: str, median: Simulated, reached_by: Mapping[str, Sequence[LinkShares]]
    ) -> LinkOutlook:
        users = [reached_by[part.source][0] for part in self._users(name)]
        payload = median.payload[name]
        wire = sum(reached.wire[name] for reached in users) / len(users)
        resent = sum(reached.resent[name] for reached in users) / len(users)
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


def _simulated_source(part: SourceLeft, reached: LinkShares) -> SimulatedSource:
    return SimulatedSource(part.source, part.to_fetch, reached.shares, reached.overhead)


def _shares(spent: Mapping[Limit, float]) -> tuple[tuple[str, float], ...]:
    """Shares of the time by what it was spent on, the largest first; none below half a percent."""
    total = sum(spent.values())
    shares = [(limit.value, round(seconds / total, 3)) for limit, seconds in spent.items() if total]
    return tuple(sorted((s for s in shares if s[1] >= 0.005), key=lambda s: -s[1]))
