"""`haul()`: what `skyhaul run` and `skyhaul replay` do, as a library call.

Plan if there is none, run what is pending, reconcile the commits with the plan, record what it came to. What
gets shards to workers is handed in as a `Driver`; `skyhaul.beam.driver` has Beam's.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from skyhaul.dataset.card import write_card
from skyhaul.dataset.commits.sealing import seal_full_groups
from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.runs import write_run
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey, survey
from skyhaul.hauling.config import IN_PROCESS, HaulConfig, HaulOptions
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.driver import Driver, DriverResult
from skyhaul.hauling.links.opening import check_ledger, check_links
from skyhaul.hauling.progress import HaulObserver, NullObserver, Planning
from skyhaul.hauling.receipts import Tally
from skyhaul.hauling.reconciliation import HaulSpan, Reconciliation
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
from skyhaul_schemas.commit import RunRecord
from skyhaul_schemas.errors import EXIT_FAILED, EXIT_OK, StorageError
from skyhaul_schemas.job.file import LoadedJob, placing
from skyhaul_schemas.job.link_terms import due_at
from skyhaul_schemas.job.model import Job, ListedUrls
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.units import format_size


@dataclass(frozen=True, slots=True)
class HaulOutcome:
    """What a haul came to."""

    run: RunRecord
    survey: Survey
    """The dataset as the haul left it."""
    exit_code: int
    messages: tuple[str, ...]
    """Lines for people: what is left, and why."""


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
        unsealed = _seal(plan, store, control, watcher)
        before = survey(plan, store)
        config = _config(loaded, store, options, before, started)
        ended, tally = DriverResult("DONE"), Tally()
        if _pending(before, options.only):
            watch = Watch(config, header, before, watcher, begun, remote=config.remote)
            ended, tally = _run(driver, config, options, control, watch, watcher)
            unsealed = _seal(plan, store, control, watcher)
        plan = _as_it_is(plan, store, watcher)
        after = survey(plan, store)
    if ended.lasting is not None and after.shards_left and caught.signum is None:
        plan.close()
        raise ended.lasting
    result = Reconciliation(before, after, tally, ended.state, caught.exit_code)
    span = HaulSpan.until_now(started, begun)
    run = result.record(config.run, runner=options.runner, header=plan.header, span=span)
    outcome = HaulOutcome(run, after, result.exit_code, tuple(result.messages()))
    plan.close()
    return _record(outcome, store, plan, loaded, started, unsealed)


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


def _as_it_is(plan: Plan, store: DatasetStore, watcher: HaulObserver) -> Plan:
    """The plan that counts: another command may have extended or amended it meanwhile."""
    now = plan.latest()
    if now is not plan:
        plan.close()
        for line in set_outdated_aside(now, store):
            watcher.event(line)
    return now


def _seal(
    plan: Plan, store: DatasetStore, control: HaulControl, watcher: HaulObserver
) -> StorageError | None:
    """Seal full groups that no worker saw become full, or whose sealing was interrupted.

    No shard fails by it. What prevented it is returned, since the next run has to make up for it."""
    try:
        seal_full_groups(plan, store, control.stopped)
    except StorageError as error:
        watcher.event(f"full groups of commit records are not sealed: {error}")
        return error
    return None


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


def _record(
    outcome: HaulOutcome,
    store: DatasetStore,
    plan: Plan,
    loaded: LoadedJob,
    started: datetime,
    unsealed: StorageError | None,
) -> HaulOutcome:
    """Write the card and the run record.

    Nothing rests on them, but a dataset whose card is of another day is not done: the next run writes it."""
    if unsealed is not None:
        outcome = _unfinished(outcome, unsealed, "full groups of commit records are not sealed")
    try:
        write_card(store, plan, outcome.survey, loaded.job)
    except StorageError as error:
        outcome = _unfinished(outcome, error, "card not written")
    try:
        write_run(store, started, outcome.run)
    except StorageError as error:
        return _unfinished(outcome, error, "run record not written")
    return outcome


def _unfinished(outcome: HaulOutcome, error: StorageError, what: str) -> HaulOutcome:
    """The outcome where something beside the shards was left undone. 75 and interruptions stay."""
    code = error.exit_code if outcome.exit_code in (EXIT_OK, EXIT_FAILED) else outcome.exit_code
    return replace(outcome, exit_code=code, messages=(*outcome.messages, f"{what}: {error}"))
