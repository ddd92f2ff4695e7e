"""`haul()`: what `skyhaul run` and `skyhaul replay` do, as a library call.

Plan if there is none, haul what is pending on a Beam runner, then reconcile the commits with the plan:
the dataset decides the outcome, not the state that a runner reports.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skyhaul.dataset.card import write_card
from skyhaul.dataset.commits.sealing import seal_full_groups
from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.runs import write_run
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey, survey, unfit_lines
from skyhaul.hauling.config import HaulConfig
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.links.opening import check_ledger, check_links
from skyhaul.hauling.progress import HaulObserver, NullObserver, Progress
from skyhaul.hauling.receipts import Tally
from skyhaul.hauling.signals import Caught, stop_on_signals
from skyhaul.hauling.watch import Watch
from skyhaul.hauling.worker_context import SITES
from skyhaul.planning.fingerprint import check_fingerprint
from skyhaul.planning.make_plan import check_plan, make_plan, settled_plan
from skyhaul.planning.outdated import clear_outdated, set_outdated_aside
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.publishing import keep_job
from skyhaul_connectors.transfer.spool.folders import probe_spool
from skyhaul_schemas import layout
from skyhaul_schemas.commit import RunRecord, TransferCounts
from skyhaul_schemas.errors import EXIT_FAILED, EXIT_INCOMPLETE, EXIT_OK, SkyhaulError, StorageError
from skyhaul_schemas.job.file import LoadedJob
from skyhaul_schemas.job.link_terms import due_at
from skyhaul_schemas.job.model import Job, ListedUrls
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import format_size

_BEAM_STAGE = re.compile(r" \[while running '[^']*'\]")

SET_ASIDE_LISTED = 1_000
"""Files that a run record names one by one."""

IN_PROCESS = "DirectRunner"
"""The runner whose workers are threads of this process."""


@dataclass(frozen=True, slots=True)
class HaulOptions:
    """workers: shards encoded side by side in a process. max_duration: seconds. wait: sleep through
    closed contacts. only: the shards of a replay. deadline: in the place of the job's (seconds, or a time).
    mend: they are committed, with broken files. beam_args: what stood after `--`."""

    workers: int = 1
    runner: str = IN_PROCESS
    max_duration: float | None = None
    deadline: float | str | None = None
    wait: bool = False
    beam_args: tuple[str, ...] = ()
    only: frozenset[int] | None = None
    mend: bool = False


@dataclass(frozen=True, slots=True)
class HaulOutcome:
    """`messages` are lines for people: what is left and why."""

    run: RunRecord
    survey: Survey
    exit_code: int
    messages: tuple[str, ...]


def haul(
    loaded: LoadedJob, store: DatasetStore, options: HaulOptions, observer: HaulObserver | None = None
) -> HaulOutcome:
    """Haul what the job's plan has pending. Raises UsageError (bad job, plan of another job, unwritable
    dataset), CommitConflict, ShardBug, and what planning raises of CarriageError. What a worker elsewhere
    met of the first three comes as UsageError, CommitConflict and SkyhaulError."""
    watcher = observer or NullObserver()
    begun = time.monotonic()
    started = datetime.now(UTC)
    control = HaulControl()
    check_links(loaded.job)
    with stop_on_signals(control) as caught:
        if options.runner == IN_PROCESS:
            check_ledger(loaded.job, os.environ)
        store.probe()
        if options.runner == IN_PROCESS and _fetches(loaded.job):
            probe_spool(Path(loaded.job.spool))
        sync_inherited(store)
        header = _plan(loaded, store, watcher, control, begun)
        plan = Plan.open(store)
        unsealed = _seal(plan, store, control, watcher)
        before = survey(plan, store)
        config = HaulConfig(
            run=f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
            dataset=store.url,
            job_text=loaded.text,
            job_origin=str(loaded.path),
            workers=options.workers,
            only=options.only,
            epoch=started.timestamp(),
            deadline=None if options.max_duration is None else started.timestamp() + options.max_duration,
            wait=options.wait,
            mend=options.mend,
            remote=options.runner != IN_PROCESS,
            due=_due(loaded, options, started.timestamp()),
            left=tuple(
                (name, part.source_bytes - part.source_bytes_committed)
                for name, part in before.by_source.items()
            ),
        )
        state = "DONE"
        tally = Tally()
        lasting: SkyhaulError | None = None
        if _pending(before, options.only):
            state, tally, lasting = _run(config, options, control, watcher, header, before, begun)
            unsealed = _seal(plan, store, control, watcher)
        plan = _as_it_is(plan, store, watcher)
        after = survey(plan, store)
    if lasting is not None and after.shards_left and caught.signum is None:
        plan.close()
        raise lasting
    outcome = _reconcile(config, options, before, after, caught, tally, state, started, begun, plan.header)
    plan.close()
    return _recorded(outcome, store, plan, loaded, started, unsealed)


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
    """Full groups that no worker saw become full, or whose sealing was interrupted. No shard fails by it;
    what prevented it is returned, since the next run has to make up for it."""
    try:
        seal_full_groups(plan, store, control.stopped)
    except StorageError as error:
        watcher.event(f"full groups of commit records are not sealed: {error}")
        return error
    return None


def _recorded(
    outcome: HaulOutcome,
    store: DatasetStore,
    plan: Plan,
    loaded: LoadedJob,
    started: datetime,
    unsealed: StorageError | None,
) -> HaulOutcome:
    """Write the card and the run record. Nothing rests on them, but a dataset whose card is of another day is
    not done: the next run writes it."""
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


def _plan(
    loaded: LoadedJob, store: DatasetStore, watcher: HaulObserver, control: HaulControl, begun: float
) -> PlanHeader:
    def listed(objects: int, size: int) -> None:
        if control.reason is not None:
            raise control.reason
        watcher.progress(_planning(objects, size, time.monotonic() - begun))

    if Plan.exists(store):
        plan = settled_plan(loaded, store)
        header = plan.header
        try:
            check_plan(loaded.job, header)
            check_fingerprint(header, Recipe.of(loaded.job, header))
            clear_outdated(plan, store)
            for line in set_outdated_aside(plan, store):
                watcher.event(line)
        finally:
            plan.close()
        keep_job(store, loaded.text)
        return header
    header = make_plan(loaded, store, progress=listed)
    watcher.event(
        f"planned {header.objects} objects, {format_size(header.source_bytes)}, {header.shards} shards"
    )
    return header


def _planning(objects: int, size: int, elapsed: float) -> Progress:
    return Progress("planning", elapsed, size, 0, objects, 0, 0, 0, 0, 0, 0, (), None)


def _fetches(job: Job) -> bool:
    """Whether any source comes over a network or a link, and so through the spool."""
    for spec in job.sources.values():
        urls = [spec.url.root or spec.url.list] if isinstance(spec.url, ListedUrls) else spec.url
        if spec.via or any("://" in url and not url.startswith("file://") for url in urls):
            return True
    return False


def _due(loaded: LoadedJob, options: HaulOptions, started: float) -> float | None:
    deadline = loaded.job.deadline if options.deadline is None else options.deadline
    return None if deadline is None else due_at(deadline, started)


def _pending(before: Survey, only: frozenset[int] | None) -> bool:
    return before.shards_to_haul > 0 if only is None else bool(only)


def _run(
    config: HaulConfig,
    options: HaulOptions,
    control: HaulControl,
    watcher: HaulObserver,
    header: PlanHeader,
    before: Survey,
    begun: float,
) -> tuple[str, Tally, SkyhaulError | None]:
    """Run the pipeline. Returns the runner's last state, the sum of the receipts seen here, and what stopped
    a worker elsewhere that another run would meet again."""
    import apache_beam as beam

    from skyhaul.beam.runners import LOCAL, adapter_for, open_runner, options_for
    from skyhaul.beam.temporary import drop_pipeline_folder
    from skyhaul.beam.transforms import HaulShards
    from skyhaul.beam.worker_errors import lasting_error

    local = options.runner == LOCAL
    beam_options, parallelism = options_for(options.runner, options.beam_args)
    pipeline = beam.Pipeline(runner=open_runner(options.runner), options=beam_options)
    drop_pipeline_folder(pipeline)
    pipeline | HaulShards(
        config, parallelism=1 if local else parallelism, adapter=adapter_for(options.runner)
    )
    SITES.announce(config.run, control)
    watch = Watch(config, header, before, watcher, begun, remote=not local)
    lasting: SkyhaulError | None = None
    try:
        with watch:
            result = pipeline.run()
            control.on_stop(lambda reason: None if local else _cancel(result, beam_options, watcher))
            state = str(result.wait_until_finish())  # type: ignore[no-untyped-call]  # Beam
    except Exception as error:
        ours = _ours(error)
        if ours is not None:
            # Beam adds its own stage names to the text of what a DoFn raises.
            ours.args = tuple(_BEAM_STAGE.sub("", a) if isinstance(a, str) else a for a in ours.args)
            raise ours from error
        if local:
            raise
        # The dataset says what was done; a runner's failure leaves the rest for the next run.
        said = str(error).strip() or type(error).__name__
        state = f"FAILED: {printable(said.splitlines()[-1])}"
        lasting = lasting_error(said)
        watcher.event(f"runner {options.runner}: {state}")
    finally:
        SITES.close(config.run)
    return state, watch.tally, lasting


def _ours(error: BaseException | None) -> SkyhaulError | None:
    """The error of ours that a runner wrapped in its own, if any."""
    while error is not None:
        if isinstance(error, SkyhaulError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _cancel(result: Any, beam_options: Any, watcher: HaulObserver) -> None:
    from skyhaul.beam.flink_jobs import cancel_flink_jobs, flink_master, name_on_flink

    master = flink_master(beam_options)
    if master is not None:
        try:
            cancel_flink_jobs(master, name_on_flink(result))
        except (OSError, ValueError, KeyError) as error:
            watcher.event(f"the job could not be cancelled on Flink: {printable(str(error))}")
    result.cancel()


def _reconcile(
    config: HaulConfig,
    options: HaulOptions,
    before: Survey,
    after: Survey,
    caught: Caught,
    tally: Tally,
    state: str,
    started: datetime,
    begun: float,
    header: PlanHeader,
) -> HaulOutcome:
    fresh = after.shards_committed - before.shards_committed
    messages: list[str] = []
    lost = after.shards_to_haul - tally.deferred
    if tally.deferred:
        why = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.kinds.items()))
        messages.append(f"{tally.deferred} shards put off ({why}); run the same command again")
        messages.extend(f"{kind}: {reason}" for kind, reason in sorted(tally.reasons.items()))
    exit_code = after.exit_code()
    if exit_code == EXIT_INCOMPLETE and not tally.deferred and caught.signum is None:
        messages.append(f"{lost} shards were not hauled (runner state {state}); run the same command again")
    if tally.set_aside:
        messages.append(
            f"{len(tally.set_aside)} files that lay under names of shards, and were of no commit, are kept"
            f" under {layout.SET_ASIDE}"
        )
    if after.shards_failed:
        messages.append(
            f"{after.shards_failed} shards failed; `skyhaul failures` lists them, `skyhaul replay` retries"
        )
    if after.damaged_objects:
        messages.append(
            f"{after.damaged_objects} objects are damaged; see the rejects under _skyhaul/rejects"
        )
    messages.extend(str(source) for source in after.undelivered)
    messages.extend(unfit_lines(after))
    if caught.exit_code is not None and exit_code == EXIT_INCOMPLETE:
        exit_code = caught.exit_code
    outcomes = {0: "done", 3: "failed", 4: "failed", EXIT_INCOMPLETE: "incomplete"}
    run = RunRecord(
        id=config.run,
        plan=header.digest,
        runner=options.runner,
        started=started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        finished=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        seconds=round(time.monotonic() - begun, 3),
        outcome=outcomes.get(exit_code, "interrupted"),  # type: ignore[arg-type]  # the Literal's values
        shards_planned=header.shards,
        shards_committed=fresh,
        shards_failed=after.shards_failed,
        shards_deferred=tally.deferred,
        shards_left=after.shards_left,
        objects=after.objects_since(before),
        source_bytes=after.source_bytes_committed - before.source_bytes_committed,
        dataset_bytes=after.dataset_bytes,
        records=after.records.minus(before.records),
        damaged_objects=after.damaged_objects,
        transfer=_difference(after.transfer, before.transfer),
        deferred_because=dict(tally.kinds) if tally.deferred else {},
        set_aside=tally.set_aside[:SET_ASIDE_LISTED],
        nulled_by=_gained(after.nulled_by, before.nulled_by),
        truncated_by=_gained(after.truncated_by, before.truncated_by),
    )
    return HaulOutcome(run, after, exit_code, tuple(messages))


def _gained(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in more.items() if count > 0}


def _difference(
    after: dict[str, TransferCounts], before: dict[str, TransferCounts]
) -> dict[str, TransferCounts]:
    zero = TransferCounts()
    return {
        link: TransferCounts(
            payload_bytes=counts.payload_bytes - before.get(link, zero).payload_bytes,
            wire_bytes=counts.wire_bytes - before.get(link, zero).wire_bytes,
            resent_bytes=counts.resent_bytes - before.get(link, zero).resent_bytes,
        )
        for link, counts in after.items()
    }
