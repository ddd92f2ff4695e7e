"""Make a plan: list, pin, sort, cut, deal, and publish it; or check a job against the plan there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.build.catalogue import Catalogue
from skyhaul.planning.build.planner import Planner, Progress
from skyhaul.planning.build.settling import settle_plan
from skyhaul.planning.decoders import Decoders, source_formats
from skyhaul.planning.fingerprint import check_map_records
from skyhaul.planning.routes import planning_route
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.publishing import keep_job, publish, refuse_foreign
from skyhaul.planning.store.table_writer import new_table
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul.transforms import check_transforms
from skyhaul_connectors.sources.opening import open_source, selection
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.transfer.spool.folders import probe_spool
from skyhaul_schemas import layout
from skyhaul_schemas.errors import PlanDamaged, PlanMismatch, UsageError
from skyhaul_schemas.job.digest import digested_part, job_difference
from skyhaul_schemas.job.file import LoadedJob, placing
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.plan import DERIVED, OBJECTS_SCHEMA, SHARDS_SCHEMA, PlanHeader
from skyhaul_schemas.plugins import check_installed

SECRET_LENGTH = 8
"""Characters of a value from the environment from which on it is taken for a secret in a plan. A shorter one
("eu", "2024") stands in patterns by chance. Chosen, not measured."""


@placing
def make_plan(
    loaded: LoadedJob,
    store: DatasetStore,
    *,
    progress: Progress | None = None,
    map_records: MapRecords | None = None,
) -> PlanHeader:
    """Plan `loaded` into `store` and return the plan's header.

    Where there is a plan of this job already, return that one's.

    Args:
        loaded: The job file.
        store: Where the plan goes.
        progress: Called now and then.
        map_records: The program's own code between decoding and writing. A plan that is there is shown
            without it, too; with another one it is refused.

    Raises:
        UsageError: Bad options, empty selection, unwritable dataset.
        PlanMismatch: Another plan is there.
        CarriageError: A source cannot be listed.
        StorageError: The storage fails otherwise."""
    if Plan.exists(store):
        # Whoever made it may have been killed before its names were synced: what is built on it now must not
        # outlive it (docs/adr/0005).
        sync_inherited(store)
        with closing(Plan.open(store)) as plan:
            check_plan(loaded.job, plan.header)
            if map_records is not None:
                check_map_records(plan.header, map_records)
            if not settle_plan(plan, store, Path(loaded.job.spool)):
                if not store.exists(layout.JOB):
                    keep_job(store, loaded.text)
                return plan.header
            _refuse_mixed(plan, store)
        # Nothing rests on it: what it was to haul is found by listing anew.
        store.remove(layout.SHARDS)
    with open_sources(loaded.job) as sources:
        return plan_sources(
            loaded, selections(loaded.job), sources, store, progress=progress, map_records=map_records
        )


def settled_plan(loaded: LoadedJob, store: DatasetStore) -> Plan:
    """The plan in `store`, whose tables are its own.

    Raises:
        UsageError: Where there is none.
        PlugInMissing: A package that it was made with is not here.
        PlanDamaged: The plan is not what was written.
        StorageError: The storage fails otherwise."""
    plan = Plan.open(store)
    try:
        # Before anything is asked of sources: one of a package that is gone would be none that anybody knows.
        check_installed(plan.header.fingerprint)
        # A generation that is added names what earlier ones pin, so theirs have to be right first.
        mixed = settle_plan(plan, store, Path(loaded.job.spool))
        if mixed:
            raise PlanDamaged(
                f"{layout.objects_file(mixed[0])} in dataset {store.place} is missing or belongs to another"
                " plan; `skyhaul plan JOB` plans anew where nothing is hauled yet, else restore it from a"
                " copy of the dataset"
            )
    except BaseException:
        plan.close()
        raise
    return plan


def _refuse_mixed(plan: Plan, store: DatasetStore) -> None:
    """Raise PlanDamaged where anything rests on a plan whose objects are another one's.

    They cannot be made anew from its rows."""
    if len(plan.generations) > 1:
        raise PlanDamaged(
            f"{layout.PLAN} in dataset {store.place}: objects of a generation are missing or belong to"
            " another plan; restore them from a copy of the dataset, or choose another `dataset`"
        )
    for folder in (layout.COMMITS, layout.SEALED, layout.DATA):
        found = next(store.list(folder), None)
        if found is not None:
            raise PlanDamaged(
                f"{layout.OBJECTS} in dataset {store.place} is missing or belongs to another plan, and"
                f" {found} rests on this one; restore it from a copy of the dataset, or choose another"
                " `dataset`"
            )


@contextmanager
def open_sources(job: Job) -> Iterator[dict[str, Source]]:
    """Source -> the open source, closed afterwards. Raises UsageError."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(closing(open_source(name, spec, route=planning_route(job, name))))
            for name, spec in job.sources.items()
        }


def check_plan(job: Job, header: PlanHeader, patterns: Mapping[str, list[str]] | None = None) -> None:
    """Hold the job against the plan with `header`.

    Raises:
        PlanMismatch: `job` no longer says what the plan was made from.
        PlugInMissing: A package that it was made with is not here.
        UsageError: The job has a name that nobody has, or the dataset is derived from others."""
    if DERIVED in header.job:
        raise UsageError(
            "the dataset is derived from others, so that nothing is hauled into it; `skyhaul reshard`, or the"
            " pipeline that wrote it, makes it anew in another folder"
        )
    check_installed(header.fingerprint)
    differences = job_difference(header.job, digested_part(job, patterns or selections(job)))
    if differences:
        check_names(job)  # a name that nobody has is told as that, not as a difference
        raise PlanMismatch(
            f"the job differs from the dataset's plan ({'; '.join(differences)}); undo that in the job file,"
            " or choose another `dataset` for a new plan"
        )


def check_names(job: Job) -> None:
    """Check what a job names of formats and transforms, and their options. Raises UsageError."""
    Decoders(source_formats(job)).check()
    check_transforms(job)


def selections(job: Job) -> dict[str, list[str]]:
    """Source -> the patterns below its root. Raises UsageError."""
    return {name: selection(spec, name) for name, spec in job.sources.items()}


@placing
def plan_sources(
    loaded: LoadedJob,
    patterns: Mapping[str, list[str]],
    sources: Mapping[str, Source],
    store: DatasetStore,
    *,
    progress: Progress | None = None,
    map_records: MapRecords | None = None,
) -> PlanHeader:
    """`make_plan` for sources that are open.

    Args:
        loaded: The job file.
        patterns: See `selections`.
        sources: Source -> the open source.
        store: Where the plan goes.
        progress: Called now and then.
        map_records: As of `make_plan`."""
    check_names(loaded.job)
    refuse_foreign(store)
    # Before sources are listed, which may take hours over a link: whether the dataset's store creates a key
    # once only (docs/adr/0003 rests on it), and whether the spool can be written to.
    store.probe()
    probe_spool(Path(loaded.job.spool))
    part = digested_part(loaded.job, patterns)
    refuse_secrets(loaded, patterns)
    with closing(Catalogue(sources, Path(loaded.job.spool))) as catalogue:
        planner = Planner(loaded.job, patterns, sources, catalogue, progress, map_records=map_records)
        planner.list_sources()
        # Two passes on disk, because shards are dealt by a hash over all chunks: none is known before the
        # last object is cut. Memory does not grow with the objects (benchmarks/bench_plan_scale.py).
        with new_table(store, OBJECTS_SCHEMA) as objects:
            planner.pin_objects(planner.listed(), objects)
            planner.check_captions()
            planner.finish_objects(objects)
        with new_table(store, SHARDS_SCHEMA) as shards:
            header = planner.deal_chunks(shards, part)
    return publish(store, objects.file, shards.file, loaded.text, header)


def refuse_secrets(loaded: LoadedJob, patterns: Mapping[str, list[str]]) -> None:
    """Raise UsageError for a pattern with a value from outside: patterns are kept in the plan."""
    # A plan goes wherever its dataset goes, and is public with it.
    for name, selected in patterns.items():
        for secret in loaded.secrets:
            if len(secret) >= SECRET_LENGTH and any(secret in pattern for pattern in selected):
                raise UsageError(
                    f"sources.{name}.url: what selects objects below the root comes from the environment or"
                    " a file, and would be kept in the plan; write it out, and keep ${...} to the root"
                )
