"""`skyhaul plan --extend`: what is new at the sources becomes further shards of the same dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.build.catalogue import Catalogue
from skyhaul.planning.build.difference import PlanUpdate, differences
from skyhaul.planning.build.late_sidecars import LateSidecars
from skyhaul.planning.build.planner import Planner, Progress
from skyhaul.planning.fingerprint import check_fingerprint
from skyhaul.planning.make_plan import check_plan, open_sources, refuse_secrets, selections, settled_plan
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.publishing import publish_generation
from skyhaul.planning.store.table_writer import new_table
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul_connectors.sources.protocol import Source
from skyhaul_schemas.job.file import LoadedJob, placing
from skyhaul_schemas.plan import OBJECTS_SCHEMA, SHARDS_SCHEMA, PinnedObject


@placing
def extend_plan(
    loaded: LoadedJob,
    store: DatasetStore,
    *,
    progress: Progress | None = None,
    map_records: MapRecords | None = None,
) -> PlanUpdate:
    """Plan what is new as a further generation.

    Objects that changed or vanished are listed, and stay as they were planned, as do images whose side-car
    came late. Where nothing is new, nothing is written.

    Raises:
        UsageError: No plan, another job, other encoders.
        PlanMismatch: The plan that is there is another one.
        CarriageError: A source cannot be listed.
        StorageError: The storage fails otherwise."""
    # The new generation names the one before, which must not be lost while the new one lasts (docs/adr/0005).
    sync_inherited(store)
    with closing(settled_plan(loaded, store)) as plan, open_sources(loaded.job) as sources:
        return extend_from(
            loaded,
            selections(loaded.job),
            sources,
            plan,
            store,
            progress=progress,
            map_records=map_records,
        )


def extend_from(
    loaded: LoadedJob,
    patterns: Mapping[str, list[str]],
    sources: Mapping[str, Source],
    plan: Plan,
    store: DatasetStore,
    *,
    progress: Progress | None = None,
    map_records: MapRecords | None = None,
) -> PlanUpdate:
    """`extend_plan` for sources and a plan that are open."""
    update = PlanUpdate("extend", plan.header)
    with (
        relisted(loaded, patterns, sources, plan, "extend", progress, map_records) as planner,
        closing(LateSidecars(plan.objects, planner.group_of, planner.adds, Path(loaded.job.spool))) as late,
        new_table(store, OBJECTS_SCHEMA) as objects,
    ):
        # Listing and planned objects both come by source and path, so that the difference is one pass in
        # constant memory, whatever the size of the plan.
        count = planner.pin_objects(_fresh(planner, plan, late, update), objects)
        planner.finish_objects(objects)
        update.leave_out(planner.left_out(), planner.unchecked())
        if not count:
            # No empty generation: each costs every reader of the plan a file to open.
            objects.discard()
            return update
        with new_table(store, SHARDS_SCHEMA) as shards:
            header = planner.deal_chunks(shards, plan.header.job)
            publish_generation(store, objects.file, None, shards.file, header)
    update.take_over(header)
    return update


@contextmanager
def relisted(
    loaded: LoadedJob,
    patterns: Mapping[str, list[str]],
    sources: Mapping[str, Source],
    plan: Plan,
    kind: str,
    progress: Progress | None,
    map_records: MapRecords | None = None,
) -> Iterator[Planner]:
    """A planner of the generation after `plan`, with the sources listed. Raises what `extend_plan` does."""
    # One plan is hauled by one fingerprint (docs/adr/0001): a generation that was cut by other decoders could
    # not be encoded by the workers of the first.
    check_plan(loaded.job, plan.header, patterns)
    check_fingerprint(plan.header, Recipe.of(loaded.job, plan.header, map_records))
    refuse_secrets(loaded, patterns)
    with closing(Catalogue(sources, Path(loaded.job.spool))) as catalogue:
        planner = Planner(loaded.job, patterns, sources, catalogue, progress, plan.header, kind, map_records)
        planner.list_sources()
        yield planner


def _fresh(planner: Planner, plan: Plan, late: LateSidecars, update: PlanUpdate) -> Iterator[PinnedObject]:
    for now, planned in differences(planner.listed(), plan.objects()):
        if now is not None and planned is None and not late.too_late(now):
            update.add(now, None, "planned")
            yield now
        else:
            # An extension never changes what is planned, so that a haul may go on beside it.
            update.add(now, planned, "left")
