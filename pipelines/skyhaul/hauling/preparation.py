"""What comes before a haul, whoever drives it: the plan, and what the workers get to know."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey, survey
from skyhaul.hauling.config import BytesLeft, HaulConfig, HaulOptions
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.links.opening import check_links
from skyhaul.hauling.progress import HaulObserver, NullObserver, Planning
from skyhaul.planning.fingerprint import check_fingerprint
from skyhaul.planning.make_plan import check_plan, make_plan, settled_plan
from skyhaul.planning.outdated import clear_outdated, set_outdated_aside
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.publishing import keep_job
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul_schemas.job.file import LoadedJob, load_job
from skyhaul_schemas.job.link_terms import due_at
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.units import format_size


def prepare_haul(job: str | Path | LoadedJob, options: HaulOptions) -> HaulConfig:
    """A haul of the job that begins now; it is planned, where it has no plan.

    Raises:
        UsageError: A bad job, a plan of another one, or a dataset that cannot be written.
        SkyhaulError: What planning raises.
    """
    begun, started = time.monotonic(), datetime.now(UTC)
    loaded = job if isinstance(job, LoadedJob) else load_job(Path(job), os.environ)
    with loaded.placed(), closing(open_store(loaded.job.dataset, writable=True)) as store:
        check_links(loaded.job)
        store.probe()
        sync_inherited(store)
        planned(loaded, store, options.map_records, NullObserver(), HaulControl(), begun)
        with closing(Plan.open(store)) as plan:
            return config_of(loaded, store, options, survey(plan, store), started)


def planned(
    loaded: LoadedJob,
    store: DatasetStore,
    map_records: MapRecords | None,
    watcher: HaulObserver,
    control: HaulControl,
    begun: float,
) -> PlanHeader:
    """The plan there is, if it is this job's; else a new one.

    Raises:
        UsageError: A plan of another job, or a worker of another version.
        SkyhaulError: What planning raises.
    """

    def listed(objects: int, size: int) -> None:
        if control.reason is not None:
            raise control.reason
        watcher.progress(Planning(time.monotonic() - begun, objects, size))

    if Plan.exists(store):
        return _plan_there_is(loaded, store, map_records, watcher)
    header = make_plan(loaded, store, progress=listed, map_records=map_records)
    watcher.event(
        f"planned {header.objects} objects, {format_size(header.source_bytes)}, {header.shards} shards"
    )
    return header


def _plan_there_is(
    loaded: LoadedJob, store: DatasetStore, map_records: MapRecords | None, watcher: HaulObserver
) -> PlanHeader:
    plan = settled_plan(loaded, store)
    try:
        check_plan(loaded.job, plan.header)
        check_fingerprint(plan.header, Recipe.of(loaded.job, plan.header, map_records))
        clear_outdated(plan, store)
        for line in set_outdated_aside(plan, store):
            watcher.event(line)
    finally:
        plan.close()
    keep_job(store, loaded.text)
    return plan.header


def config_of(
    loaded: LoadedJob, store: DatasetStore, options: HaulOptions, before: Survey, started: datetime
) -> HaulConfig:
    """What the workers get to know of the haul."""
    epoch = started.timestamp()
    return HaulConfig(
        run=f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        dataset=store.url,
        job_text=loaded.text,
        job_origin=str(loaded.path),
        workers=options.workers,
        only=None if options.only is None else tuple(sorted(options.only)),
        epoch=epoch,
        deadline=None if options.max_duration is None else epoch + options.max_duration,
        wait=options.wait,
        mend=options.mend,
        due=_due(loaded, options, epoch),
        spool=options.spool,
        map_records=None if options.map_records is None else options.map_records.reference,
        left=tuple(
            BytesLeft(name, part.source_bytes - part.source_bytes_committed)
            for name, part in before.by_source.items()
        ),
    )


def _due(loaded: LoadedJob, options: HaulOptions, started: float) -> float | None:
    deadline = loaded.job.deadline if options.deadline is None else options.deadline
    return None if deadline is None else due_at(deadline, started)
