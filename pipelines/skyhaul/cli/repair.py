"""`skyhaul replay --damaged`: find broken files, haul their shards again, look again."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from skyhaul.cli.progress import progress_of
from skyhaul.cli.session import Session
from skyhaul.cli.target import named
from skyhaul_schemas.errors import EXIT_DAMAGE, EXIT_INCOMPLETE, EXIT_OK

if TYPE_CHECKING:
    from skyhaul.dataset.storage.store import DatasetStore
    from skyhaul.hauling.config import HaulOptions
    from skyhaul.verification.damage import BrokenFile
    from skyhaul_schemas.job.file import LoadedJob


def repair_and_report(
    session: Session,
    target: str,
    loaded: LoadedJob,
    store: DatasetStore,
    options: HaulOptions,
    shards: frozenset[int],
) -> int:
    """Find broken files, haul their shards again, and print what became of each.

    Args:
        session: Of this call.
        target: What the user typed for the job.
        loaded: The job.
        store: Its dataset, to write.
        options: Of the haul; `only` is set here.
        shards: Only these, where there are any.

    Returns:
        The exit code.
    """
    from skyhaul.beam.driver import haul_on_beam
    from skyhaul.dataset.inherited import sync_inherited
    from skyhaul.report.repair import RepairReport

    # A file that a killed process has put right is found whole; a power cut could bring the broken one back.
    sync_inherited(store, files=True)
    gone = _cleared(store, shards)
    found = _broken(session, store, shards)
    repairable = frozenset(file.shard for file in found if file.shard is not None)
    repairable |= _unsealed(store, gone, shards)
    deferred = 0
    code = _code(store) if gone else EXIT_OK
    if repairable:
        with progress_of(session) as watcher:
            outcome = haul_on_beam(loaded, store, replace(options, only=repairable), watcher)
        deferred, code = outcome.run.shards_deferred, outcome.exit_code
    # Looked at again, and not taken from the haul's word: what counts is what lies there now.
    left = _broken(session, store, repairable, mended=True) if repairable else []
    if left:
        # A shard that was put off has not shown that its file cannot be put right: run it again.
        code = EXIT_INCOMPLETE if deferred else EXIT_DAMAGE
    still = {file.path for file in left}
    session.show(
        RepairReport(
            target=named(target),
            dataset=store.place,
            mended=(*gone, *(file for file in found if file.path not in still)),
            left=tuple(left),
            exit_code=code,
        )
    )
    return code


def _cleared(store: DatasetStore, shards: frozenset[int]) -> list[BrokenFile]:
    from skyhaul.planning.store.plan import Plan
    from skyhaul.verification.damage import clear_misplaced

    with closing(Plan.open(store)) as plan:
        return clear_misplaced(plan, store, shards)


def _unsealed(store: DatasetStore, gone: list[BrokenFile], only: frozenset[int]) -> frozenset[int]:
    """Shards whose commit record was lost with the sealed file of their group."""
    from skyhaul.dataset.commits.record_files import recorded_in
    from skyhaul.planning.store.plan import Plan
    from skyhaul_schemas import layout

    with closing(Plan.open(store)) as plan:
        planned = plan.header.shards
    lost: set[int] = set()
    for file in gone:
        if file.path.startswith(f"{layout.SEALED}/"):
            group = int(file.path.rpartition("/")[2].removesuffix(".parquet"))
            span = layout.shards_of(group)
            lost |= set(range(span.start, min(span.stop, planned))) - recorded_in(store, group)
    return frozenset(lost & only if only else lost)


def _code(store: DatasetStore) -> int:
    from skyhaul.dataset.survey import survey
    from skyhaul.planning.store.plan import Plan

    with closing(Plan.open(store)) as plan:
        return survey(plan, store).exit_code()


def _broken(
    session: Session, store: DatasetStore, shards: frozenset[int], *, mended: bool = False
) -> list[BrokenFile]:
    from skyhaul.hauling.progress import Verifying
    from skyhaul.planning.store.plan import Plan
    from skyhaul.verification.damage import broken_files

    begun = time.monotonic()
    size = 0
    with closing(Plan.open(store)) as plan, progress_of(session) as watcher:

        def read(count: int) -> None:
            nonlocal size
            size += count
            watcher.progress(Verifying(time.monotonic() - begun, size, plan.header.shards))

        return list(broken_files(plan, store, read, shards, mended=mended))
