"""`haul()`: what `skyhaul run` and `skyhaul replay` do, as a library call.

Plan if there is none, run what is pending, reconcile the commits with the plan, record what it came to. What
gets shards to workers is handed in as a `Driver`; `skyhaul.beam.driver` has Beam's.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey, survey
from skyhaul.hauling.config import IN_PROCESS, HaulConfig, HaulOptions
from skyhaul.hauling.contexts import CONTEXTS
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.driver import Driver, DriverResult
from skyhaul.hauling.finish.conclusion import HaulOutcome, HaulStart, as_it_is, conclude, seal
from skyhaul.hauling.finish.reconciliation import HaulSpan, Reconciliation
from skyhaul.hauling.links.linked import is_fetched
from skyhaul.hauling.links.opening import check_ledger, check_links
from skyhaul.hauling.preparation import config_of, planned
from skyhaul.hauling.progress import HaulObserver, NullObserver
from skyhaul.hauling.receipts import Tally
from skyhaul.hauling.signals import stop_on_signals
from skyhaul.hauling.watch import Watch
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.transfer.spool.folders import probe_spool
from skyhaul_schemas.job.file import LoadedJob, placing
from skyhaul_schemas.job.model import Job


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
    with stop_on_signals(control, guest=options.guest) as caught:
        _check_places(loaded.job, store, options)
        sync_inherited(store)
        header = planned(loaded, store, options.map_records, watcher, control, begun)
        plan = Plan.open(store)
        unsealed = seal(plan, store, control.stopped, watcher)
        before = survey(plan, store)
        config = config_of(loaded, store, options, before, started)
        ended, tally = DriverResult("DONE"), Tally()
        if _pending(before, options.only):
            watch = Watch(config, header, before, watcher, begun, remote=_elsewhere(options))
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
    outcome = replace(outcome, signum=caught.signum)
    plan.close()
    return outcome


def _check_places(job: Job, store: DatasetStore, options: HaulOptions) -> None:
    """See before anything is listed whether the haul's places can be written.

    They are the dataset and, where the workers are of this machine, the ledger and the spool. Raises
    UsageError, StorageError."""
    here = options.runner == IN_PROCESS
    if here:
        check_ledger(job, os.environ)
    store.probe()
    if here and any(map(is_fetched, job.sources.values())):
        probe_spool(Path(job.spool))


def _elsewhere(options: HaulOptions) -> bool:
    """Whether workers may be other processes: what runs in this one says otherwise once it is there."""
    return options.runner != IN_PROCESS or bool(options.beam_args)


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
