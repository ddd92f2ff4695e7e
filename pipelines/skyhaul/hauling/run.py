"""`haul()`: what `skyhaul run` and `skyhaul replay` do, as a library call.

Plan if there is none, run what is pending, reconcile the commits with the plan, record what it came to. What
gets shards to workers is handed in as a `Driver`; `skyhaul.beam.driver` has Beam's.
"""

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
from skyhaul.hauling.config import IN_PROCESS, HaulConfig, HaulOptions
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.driver import Driver, DriverResult
from skyhaul.hauling.finish.conclusion import HaulOutcome, HaulStart, as_it_is, conclude, seal
from skyhaul.hauling.finish.reconciliation import HaulSpan, Reconciliation
from skyhaul.hauling.links.opening import check_ledger, check_links
from skyhaul.hauling.progress import HaulObserver, NullObserver, Planning
from skyhaul.hauling.receipts import Tally
from skyhaul.hauling.signals import stop_on_signals
from skyhaul.hauling.watch import Watch
from skyhaul.hauling.worker_context import CONTEXTS
from skyhaul.planning.fingerprint import check_fingerprint
from skyhaul.planning.make_plan import check_plan, make_plan, settled_plan
from skyhaul.planning.outdated import clear_outdated, set_outdated_aside
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.publishing import keep_job
from skyhaul_connectors.transfer.spool.folders import probe_spool
from skyhaul_schemas.job.file import LoadedJob, placing
from skyhaul_schemas.job.link_terms import due_at
from skyhaul_schemas.job.model import Job, ListedUrls
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.units import format_size


@placing
def haul(
    loaded: LoadedJob,
    store: DatasetStore,
    options: HaulOptions,
    driver: Driver,
    observer: HaulObserver | None = None,
) -> HaulOutcome:
    """Haul what the job's plan has pending.

    Raises:
        UsageError: A bad job, a plan of another job, a dataset that cannot be written, or (as below) a
            worker elsewhere that met one of these.
        CommitConflict: A commit of other bytes stands where a shard's should, here or at a worker elsewhere.
        SkyhaulError: `ShardBug` of a worker here, what planning raises of `CarriageError`, or what stopped a
            worker elsewhere and would stop the next run too.
    """
    begun, started = time.monotonic(), datetime.now(UTC)
    watcher = observer or NullObserver()
    control = HaulControl()
    check_links(loaded.job)
    with stop_on_signals(control) as caught:
        _check_places(loaded.job, store, options)
        sync_inherited(store)
        header = _plan(loaded, store, watcher, control, begun)
        plan = Plan.open(store)
        unsealed = seal(plan, store, control.stopped, watcher)
        before = survey(plan, store)
        config = _config(loaded, store, options, before, started)
        ended, tally = DriverResult("DONE"), Tally()
        if _pending(before, options.only):
            watch = Watch(config, header, before, watcher, begun, remote=config.remote)
            ended, tally = _run(driver, config, options, control, watch, watcher)
            unsealed = seal(plan, store, control.stopped, watcher)
        plan = as_it_is(plan, store, watcher)
        after = survey(plan, store)
    if ended.lasting is not None and after.shards_left and caught.signum is None:
        plan.close()
        raise ended.lasting
    result = Reconciliation(before, after, tally, ended.state, caught.exit_code)
    start = HaulStart(config.run, options.runner, started, before)
    outcome = conclude(loaded, store, plan, start, result, HaulSpan.until_now(started, begun), unsealed)
    plan.close()
    return outcome


def prepare_haul(loaded: LoadedJob, options: HaulOptions) -> HaulConfig:
    """A haul of the job that begins now, for a pipeline that nobody waits for; planned, where it has no plan.

    Raises:
        UsageError: A bad job, a plan of another one, or a dataset that cannot be written.
        SkyhaulError: What planning raises.
    """
    begun, started = time.monotonic(), datetime.now(UTC)
    check_links(loaded.job)
    with closing(open_store(loaded.job.dataset, writable=True)) as store:
        store.probe()
        sync_inherited(store)
        _plan(loaded, store, NullObserver(), HaulControl(), begun)
        with closing(Plan.open(store)) as plan:
            return _config(loaded, store, options, survey(plan, store), started)


def _check_places(job: Job, store: DatasetStore, options: HaulOptions) -> None:
    """See before anything is listed whether the haul's places can be written.

    They are the dataset and, where the workers are of this machine, the ledger and the spool. Raises
    UsageError, StorageError."""
    here = options.runner == IN_PROCESS
    if here:
        check_ledger(job, os.environ)
    store.probe()
    if here and _fetches(job):
        probe_spool(Path(job.spool))


def _fetches(job: Job) -> bool:
    """Whether any source comes over a network or a link, and so through the spool."""
    for spec in job.sources.values():
        urls = [spec.url.root or spec.url.list] if isinstance(spec.url, ListedUrls) else spec.url
        if spec.via or any("://" in url and not url.startswith("file://") for url in urls):
            return True
    return False


def _plan(
    loaded: LoadedJob, store: DatasetStore, watcher: HaulObserver, control: HaulControl, begun: float
) -> PlanHeader:
    """The plan there is, if it is this job's; else a new one."""

    def listed(objects: int, size: int) -> None:
        if control.reason is not None:
            raise control.reason
        watcher.progress(Planning(time.monotonic() - begun, objects, size))

    if Plan.exists(store):
        return _plan_there_is(loaded, store, watcher)
    header = make_plan(loaded, store, progress=listed)
    watcher.event(
        f"planned {header.objects} objects, {format_size(header.source_bytes)}, {header.shards} shards"
    )
    return header


def _plan_there_is(loaded: LoadedJob, store: DatasetStore, watcher: HaulObserver) -> PlanHeader:
    plan = settled_plan(loaded, store)
    try:
        check_plan(loaded.job, plan.header)
        check_fingerprint(plan.header, Recipe.of(loaded.job, plan.header))
        clear_outdated(plan, store)
        for line in set_outdated_aside(plan, store):
            watcher.event(line)
    finally:
        plan.close()
    keep_job(store, loaded.text)
    return plan.header


def _config(
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
        only=options.only,
        epoch=epoch,
        deadline=None if options.max_duration is None else epoch + options.max_duration,
        wait=options.wait,
        mend=options.mend,
        remote=options.runner != IN_PROCESS,
        due=_due(loaded, options, epoch),
        spool=options.spool,
        left=tuple(
            (name, part.source_bytes - part.source_bytes_committed) for name, part in before.by_source.items()
        ),
    )


def _due(loaded: LoadedJob, options: HaulOptions, started: float) -> float | None:
    deadline = loaded.job.deadline if options.deadline is None else options.deadline
    return None if deadline is None else due_at(deadline, started)


def _pending(before: Survey, only: frozenset[int] | None) -> bool:
    return before.shards_to_haul > 0 if only is None else bool(only)


def _run(
    driver: Driver,
    config: HaulConfig,
    options: HaulOptions,
    control: HaulControl,
    watch: Watch,
    watcher: HaulObserver,
) -> tuple[DriverResult, Tally]:
    """Run the pipeline. Returns how it ended, and the sum of the receipts that were seen in this process."""
    pipeline = driver.build(config, options)
    CONTEXTS.announce(config.run, control)
    try:
        with watch:
            ended = pipeline.run(control, watcher)
    finally:
        CONTEXTS.close(config.run)
    if ended.failed:
        watcher.event(f"runner {options.runner}: {ended.state}")
    return ended, watch.tally
