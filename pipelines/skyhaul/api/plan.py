"""`skyhaul.plan`: what `skyhaul plan` does."""

from __future__ import annotations

from typing import Literal, overload

from skyhaul.api.errors import as_ours, require_utf8
from skyhaul.api.results import Planned, PlanUpdated
from skyhaul.api.target import JobLike, named, open_job
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.links.opening import check_links
from skyhaul.planning.amend_plan import amend_plan
from skyhaul.planning.build.planner import Progress
from skyhaul.planning.extend_plan import extend_plan
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul.report.plan import PlanReport
from skyhaul.report.plan_update import PlanUpdateReport
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul_connectors.links.profile.presets import profile_from
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import LoadedJob


@overload
def plan(
    job: JobLike,
    *,
    extend: Literal[False] = False,
    amend: Literal[False] = False,
    map_records: MapRecords | None = None,
) -> Planned: ...


@overload
def plan(
    job: JobLike,
    *,
    extend: Literal[True],
    amend: Literal[False] = False,
    map_records: MapRecords | None = None,
) -> PlanUpdated: ...


@overload
def plan(
    job: JobLike,
    *,
    extend: Literal[False] = False,
    amend: Literal[True],
    map_records: MapRecords | None = None,
) -> PlanUpdated: ...


def plan(
    job: JobLike,
    *,
    extend: bool = False,
    amend: bool = False,
    map_records: MapRecords | None = None,
) -> Planned | PlanUpdated:
    """List the sources, pin their objects, assign shards; where there is a plan, check the job against it.

    Args:
        job: As of `haul`.
        extend: Plan what is new at the sources as further shards; gives a `PlanUpdated`, as `amend`
            does.
        amend: Pin anew what changed, drop what is gone, in shards that are not committed.
        map_records: Code of your own between decoding and writing, as of `haul`: part of the plan.

    Raises:
        SkyhaulError: A bad job, another job's dataset, a source that cannot be listed, a disk that cannot be
            written; `exit_code` is that of the command line.
    """
    if extend and amend:
        raise UsageError("extend and amend are two steps: ask for one of them, then for the other")
    with as_ours():
        require_utf8()
        with open_job(job) as (loaded, store):
            if not extend and not amend:
                report = planned(loaded, store, target=named(job), map_records=map_records)
                return Planned.of(report.to_json())
            change = amend_plan if amend else extend_plan
            update = change(loaded, store, map_records=map_records)
            return PlanUpdated.of(PlanUpdateReport(update, named(job)).to_json())


def planned(
    loaded: LoadedJob,
    store: DatasetStore,
    *,
    target: str,
    progress: Progress | None = None,
    map_records: MapRecords | None = None,
) -> PlanReport:
    """Plan, or look at the plan there is, and report it; raises what `make_plan` does, and UsageError."""
    # First: a wrong link must not show after a listing that took an hour over another one.
    check_links(loaded.job)
    rates = {name: profile_from(link, name).down for name, link in loaded.job.links.items()}
    fresh = not Plan.exists(store)
    header = make_plan(loaded, store, progress=progress, map_records=map_records)
    return PlanReport.of(
        header,
        dataset=store.place,
        target=target,
        fresh=fresh,
        via={name: tuple(source.via) for name, source in loaded.job.sources.items()},
        rates=rates,
    )
