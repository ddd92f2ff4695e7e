"""What a haul came to when all its shards have had their turn, and what is kept of it.

The driver that waited for the pipeline does it, or the pipeline's own last step (`skyhaul.beam.finishing`).
Doing it again gives the same: groups are sealed once, card and run record are replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from skyhaul.dataset.card import write_card
from skyhaul.dataset.commits.sealing import seal_full_groups
from skyhaul.dataset.runs import write_run
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey, survey
from skyhaul.hauling.finish.reconciliation import HaulSpan, Reconciliation
from skyhaul.hauling.progress import HaulObserver
from skyhaul.hauling.receipts import Tally
from skyhaul.planning.outdated import set_outdated_aside
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.commit import RunRecord
from skyhaul_schemas.errors import EXIT_FAILED, EXIT_OK, StorageError
from skyhaul_schemas.job.file import LoadedJob


@dataclass(frozen=True, slots=True)
class HaulOutcome:
    """What a haul came to."""

    run: RunRecord
    survey: Survey
    """The dataset as the haul left it."""
    exit_code: int
    messages: tuple[str, ...]
    """Lines for people: what is left, and why."""
    signum: int | None = None
    """The signal that stopped it, if one did."""


@dataclass(frozen=True, slots=True)
class HaulStart:
    """A haul as it began."""

    run: str
    """Its id."""
    runner: str
    """Beam's name of the runner."""
    started: datetime
    before: Survey
    """The dataset as the haul found it."""


def finish_haul(
    loaded: LoadedJob, store: DatasetStore, start: HaulStart, tally: Tally, watcher: HaulObserver
) -> HaulOutcome:
    """All that follows, where no driver waits. Raises StorageError where the dataset cannot be read."""
    plan = Plan.open(store)
    unsealed = seal(plan, store, lambda: False, watcher)
    plan = as_it_is(plan, store, watcher)
    try:
        span = HaulSpan.of(start.started, datetime.now(UTC))
        result = Reconciliation(start.before, survey(plan, store), tally, "DONE", None)
        return conclude(loaded, store, plan, start, result, span, unsealed)
    finally:
        plan.close()


def seal(
    plan: Plan, store: DatasetStore, stopped: Callable[[], bool], watcher: HaulObserver
) -> StorageError | None:
    """Seal full groups that no worker saw become full, or whose sealing was interrupted.

    No shard fails by it. What prevented it is returned, since the next run has to make up for it."""
    try:
        seal_full_groups(plan, store, stopped)
    except StorageError as error:
        watcher.event(f"full groups of commit records are not sealed: {error}")
        return error
    return None


def as_it_is(plan: Plan, store: DatasetStore, watcher: HaulObserver) -> Plan:
    """The plan that counts: another command may have extended or amended it meanwhile."""
    now = plan.latest()
    if now is not plan:
        plan.close()
        for line in set_outdated_aside(now, store):
            watcher.event(line)
    return now


def conclude(
    loaded: LoadedJob,
    store: DatasetStore,
    plan: Plan,
    start: HaulStart,
    result: Reconciliation,
    span: HaulSpan,
    unsealed: StorageError | None,
) -> HaulOutcome:
    """Write the card and the run record.

    Nothing rests on them, but a dataset whose card is of another day is not done: the next run writes it.

    Args:
        loaded: The job.
        store: The dataset.
        plan: That counts in the end.
        start: How the haul began.
        result: What it came to.
        span: When it began and ended.
        unsealed: What prevented sealing, as `seal` returned it.
    """
    run = result.record(start.run, runner=start.runner, header=plan.header, span=span)
    outcome = HaulOutcome(run, result.after, result.exit_code, tuple(result.messages()))
    if unsealed is not None:
        outcome = _unfinished(outcome, unsealed, "full groups of commit records are not sealed")
    try:
        write_card(store, plan, outcome.survey, loaded.job)
    except StorageError as error:
        outcome = _unfinished(outcome, error, "card not written")
    try:
        write_run(store, start.started, outcome.run)
    except StorageError as error:
        return _unfinished(outcome, error, "run record not written")
    return outcome


def _unfinished(outcome: HaulOutcome, error: StorageError, what: str) -> HaulOutcome:
    """The outcome where something beside the shards was left undone. 75 and interruptions stay."""
    code = error.exit_code if outcome.exit_code in (EXIT_OK, EXIT_FAILED) else outcome.exit_code
    return replace(outcome, exit_code=code, messages=(*outcome.messages, f"{what}: {error}"))
