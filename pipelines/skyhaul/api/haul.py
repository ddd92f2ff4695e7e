"""`skyhaul.haul`: what `skyhaul run` and `skyhaul replay` do."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from contextlib import closing

from skyhaul.api.errors import as_ours, require_utf8
from skyhaul.api.results import Hauled
from skyhaul.api.target import JobLike, named, open_job
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.commits.valid_commits import failures
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import IN_PROCESS, HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.planning.store.plan import Plan
from skyhaul.report.progress import ProgressReport
from skyhaul.report.run import RunReport
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul_schemas.errors import Interrupted, UsageError
from skyhaul_schemas.job.link_terms import parse_deadline
from skyhaul_schemas.units import parse_duration


def haul(
    job: JobLike,
    *,
    workers: int = 1,
    runner: str = IN_PROCESS,
    beam_args: Sequence[str] = (),
    max_duration: float | str | None = None,
    deadline: str | None = None,
    wait: bool = False,
    replay: bool | Iterable[int] = False,
    map_records: MapRecords | None = None,
) -> Hauled:
    """Haul what is not committed yet; plan first if there is no plan.

    Call it again after anything: it goes on where it was. Work that is left undone is no exception; the
    result's `exit_code` says so.

    Ctrl-C, SIGTERM and SIGHUP stop the haul in order, and are then raised again as they would have been
    without it. In any other thread than the main one no signal is touched.

    Args:
        job: A job file or dataset folder by its path, a dataset's URL, a loaded job, or a mapping with a job
            file's keys.
        workers: Shards that are encoded side by side.
        runner: Beam's name of the runner.
        beam_args: Beam's pipeline options, as on a command line.
        max_duration: Stop after these seconds, or after a time such as `30m`.
        deadline: When to be done (`6h`, `2026-11-23T06:00Z`), in the place of the job's own.
        wait: Where no link has a contact now, sleep until the next one.
        replay: Haul failed shards again, and nothing else: True for all, or their numbers.
        map_records: Code of your own between decoding and writing. A dataset that was planned with it is
            hauled with it.

    Raises:
        SkyhaulError: A bad job or option, another job's dataset, a source that cannot be listed, a disk that
            cannot be written; `exit_code` is that of the command line.
    """
    with as_ours():
        require_utf8()
        with open_job(job) as (loaded, store):
            options = HaulOptions(
                workers=_workers(workers),
                runner=runner,
                max_duration=_seconds(max_duration),
                deadline=None if deadline is None else _deadline(deadline),
                wait=wait,
                beam_args=tuple(beam_args),
                only=None if replay is False else _failed(store, replay),
                map_records=map_records,
                guest=True,
            )
            watcher = ProgressReport()
            try:
                outcome = haul_on_beam(loaded, store, options, watcher)
            except Interrupted as error:
                _pass_on(error.signum)
                raise
            result = _result(outcome, named(job), store, watcher)
    _pass_on(outcome.signum)
    return result


def _result(outcome: HaulOutcome, target: str, store: DatasetStore, watcher: ProgressReport) -> Hauled:
    report = RunReport.of(outcome, target=target, dataset=store.place, uses=watcher.meter.uses())
    return Hauled.of(report.to_json())


def _pass_on(signum: int | None) -> None:
    """Let the signal that stopped the haul do what it does to this process."""
    if signum is not None:
        signal.raise_signal(signum)


def _failed(store: DatasetStore, wanted: bool | Iterable[int]) -> frozenset[int]:
    """The failed shards, or those of them that are `wanted`. Raises UsageError for one that did not fail."""
    failed: set[int] = set()
    if Plan.exists(store):
        with closing(Plan.open(store)) as plan:
            failed = {record.shard for record in failures(plan, store)}
    if wanted is True or wanted is False:
        return frozenset(failed)
    chosen = frozenset(wanted)
    if chosen - failed:
        raise UsageError(f"replay: found {sorted(chosen - failed)}, allowed: shards that have failed")
    return chosen


def _workers(workers: int) -> int:
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 1024:
        raise UsageError(f"workers: found {workers!r}, allowed: a whole number from 1 to 1024")
    return workers


def _seconds(duration: float | str | None) -> float | None:
    if duration is None:
        return None
    try:
        seconds = parse_duration(duration) if isinstance(duration, str) else float(duration)
    except (TypeError, ValueError) as error:
        raise UsageError(f"max_duration: {error}") from None
    # Not as `<= 0`: NaN is no time either.
    if not seconds > 0:
        raise UsageError(f"max_duration: found {duration!r}, allowed: longer than nothing")
    return seconds


def _deadline(text: str) -> float | str:
    try:
        return parse_deadline(text)
    except ValueError as error:
        raise UsageError(f"deadline: {error}") from None
