"""`skyhaul plan --amend`.

Objects that changed or vanished are pinned anew or dropped, in shards that are not committed.

The amended shards keep their numbers. A changed object's new chunks stand where its old ones stood; where
there are more of them than before, the rest goes into further shards. Committed shards stay as they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from skyhaul.dataset.commits.record_files import read_commit, recorded_in
from skyhaul.dataset.commits.shard_set import ShardSet
from skyhaul.dataset.commits.valid_commits import committed_shards
from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.build.catalogue import Cut
from skyhaul.planning.build.changes import Changes
from skyhaul.planning.build.difference import Outcome, PlanUpdate, differences
from skyhaul.planning.build.planner import Planner, Progress
from skyhaul.planning.extend_plan import relisted
from skyhaul.planning.make_plan import open_sources, selections, settled_plan
from skyhaul.planning.outdated import clear_outdated, set_outdated_aside
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.publishing import publish_generation
from skyhaul.planning.store.table_writer import NewTable, new_table
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.transfer.spool.folders import held_spools
from skyhaul_schemas import layout
from skyhaul_schemas.errors import PlanMismatch, SpoolInUse, UsageError
from skyhaul_schemas.job.file import LoadedJob, placing
from skyhaul_schemas.plan import (
    DROPPED_SCHEMA,
    EMPTIED,
    OBJECTS_SCHEMA,
    PINNED_ANEW,
    SHARDS_SCHEMA,
    Chunk,
    PinnedObject,
    Shard,
)
from skyhaul_schemas.printable import printable

_OUTCOMES: Mapping[str | None, Outcome] = {
    None: "kept",
    "pinned-anew": "pinned-anew",
    "dropped": "dropped",
    "cut-short": "cut-short",
}


@placing
def amend_plan(
    loaded: LoadedJob,
    store: DatasetStore,
    *,
    progress: Progress | None = None,
    map_records: MapRecords | None = None,
) -> PlanUpdate:
    """Amend the plan, and clear the failures of the shards that were amended.

    New objects are listed, and not planned. Where no shard is concerned, nothing is written. The job's spool
    is held all the while. Raises what `extend_plan` does, UsageError while a haul of this dataset runs with
    the job's spool, and PlanMismatch where a haul elsewhere commits a shard that is being amended."""
    sync_inherited(store)
    with closing(settled_plan(loaded, store)) as plan, open_sources(loaded.job) as sources:
        return amend_from(
            loaded,
            selections(loaded.job),
            sources,
            plan,
            store,
            progress=progress,
            map_records=map_records,
        )


def amend_from(
    loaded: LoadedJob,
    patterns: Mapping[str, list[str]],
    sources: Mapping[str, Source],
    plan: Plan,
    store: DatasetStore,
    *,
    progress: Progress | None = None,
    map_records: MapRecords | None = None,
) -> PlanUpdate:
    """`amend_plan` for sources and a plan that are open."""
    spool = Path(loaded.job.spool)
    update = PlanUpdate("amend", plan.header)
    with _undisturbed(spool, plan, store):
        update.set_aside += set_outdated_aside(plan, store)
        with (
            relisted(loaded, patterns, sources, plan, "amend", progress, map_records) as planner,
            closing(Changes(spool)) as changes,
        ):
            for now, planned in differences(planner.listed(), plan.objects()):
                if planned is None:
                    update.add(now, None, "left")
                else:
                    changes.add(now, planned)
            update.leave_out(planner.left_out(), planner.unchecked())
            committed = committed_shards(plan, store)
            # A pass of its own before anything is written: what becomes of an object depends on all shards
            # that hold some of it, and these lie anywhere in the plan.
            for shard in plan.shards():
                for chunk in shard.chunks:
                    changes.saw(chunk, committed=shard.number in committed)
            _Amendment(planner, plan, store, changes, committed, update).write()
        if update.amended:
            with closing(Plan.open(store)) as amended:
                clear_outdated(amended, store)
                # A haul elsewhere may have committed one of them since the last look.
                update.set_aside += set_outdated_aside(amended, store, update.amended)
    return update


@contextmanager
def _undisturbed(spool: Path, plan: Plan, store: DatasetStore) -> Iterator[None]:
    """Hold the job's spools of the plan."""
    # The spool is the one place where a haul on this machine shows itself. One elsewhere cannot be kept out;
    # `skyhaul.planning.outdated` has how the two meet.
    with ExitStack() as stack:
        try:
            stack.enter_context(held_spools(spool, plan.header.first_digest))
        except SpoolInUse as busy:
            raise UsageError(
                f"a haul of {store.place} runs with the spool {printable(str(spool))}; stop it, then amend"
            ) from busy
        yield


class _Amendment:
    def __init__(
        self,
        planner: Planner,
        plan: Plan,
        store: DatasetStore,
        changes: Changes,
        committed: ShardSet,
        update: PlanUpdate,
    ) -> None:
        self._planner = planner
        self._plan = plan
        self._store = store
        self._changes = changes
        self._committed = committed
        self._update = update

    def write(self) -> None:
        """Add the generation, where an uncommitted shard is concerned."""
        store, planner = self._store, self._planner
        with new_table(store, OBJECTS_SCHEMA) as objects:
            # Objects first: the header of the shards' file holds their digest.
            self._changes.offer(self._pinned_anew(objects))
            planner.finish_objects(objects)
            with new_table(store, SHARDS_SCHEMA) as shards:
                for shard in self._plan.shards():
                    if shard.number not in self._committed:
                        self._amend(shard, shards)
                if not self._update.amended:
                    objects.discard()
                    shards.discard()
                    return
                with new_table(store, DROPPED_SCHEMA) as dropped:
                    planner.finish_dropped(self._changes.dropped(), dropped)
                    # What a changed object has more chunks than before goes into further shards, whose
                    # numbers go on: those of earlier shards are in commit records and names of files.
                    planner.pool(self._changes.rest())
                    header = planner.deal_chunks(shards, self._plan.header.job)
                    publish_generation(
                        store, objects.file, dropped.file, shards.file, header, self._refuse_committed
                    )
        self._update.take_over(header)

    def _refuse_committed(self) -> None:
        """Raise PlanMismatch where a haul elsewhere has committed a shard that is being amended."""
        taken = []
        for group, shards in itertools.groupby(self._update.amended, key=layout.group_of):
            for shard in sorted(recorded_in(self._store, group).intersection(shards)):
                record = read_commit(self._store, shard)
                # Of another digest it stands for nothing, and is set aside later.
                if record is not None and record.plan == self._plan.digest_of(shard):
                    taken.append(shard)
        if taken:
            raise PlanMismatch(
                f"{_shards(len(taken))} of dataset {self._store.place}, the first {taken[0]}, came to be"
                " committed while the plan was being amended, which changed nothing; run the same command"
                " again"
            )

    def _pinned_anew(self, objects: NewTable) -> Iterator[Cut]:
        """The chunks of the objects that are pinned anew. Every change is added to the update on the way."""
        for now, planned, fate in self._changes.all():
            self._update.add(now, planned, _OUTCOMES[fate])
            if fate == PINNED_ANEW and now is not None:
                yield from self._planner.pin(now, objects)

    def _amend(self, shard: Shard, table: NewTable) -> None:
        """Write the shard anew, if it holds chunks that cannot stay."""
        fates = [self._changes.fate(chunk.object) for chunk in shard.chunks]
        if not any(fates):
            return
        self._update.amended.append(shard.number)
        index = 0
        for chunk, fate in zip(shard.chunks, fates, strict=True):
            placed: Chunk | None = chunk
            if fate is not None:
                self._planner.drop(chunk)
                self._changes.drop(chunk)
                placed = self._replacement(chunk) if fate == PINNED_ANEW else None
            if placed is not None:
                self._planner.put(replace(placed, index=index), table)
                index += 1
        if not index:
            # It keeps its number and is committed empty: shards are counted without gaps, and a row is all
            # that tells of one.
            nothing = PinnedObject(shard.source, "", 0, "")
            self._planner.put(Chunk(shard.number, EMPTIED, nothing, 0, 0), table)

    def _replacement(self, chunk: Chunk) -> Chunk | None:
        taken = self._changes.take(chunk.object)
        if taken is None:
            return None
        placed = taken.placed(chunk.shard, chunk.index)
        self._planner.gain(placed)
        return placed


def _shards(count: int) -> str:
    return f"{count:,} shards" if count > 1 else "a shard"
