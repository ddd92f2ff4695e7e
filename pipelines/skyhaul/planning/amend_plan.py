"""`skyhaul plan --amend`: objects that changed or vanished are pinned anew or dropped, in shards that are not
committed.

The amended shards keep their numbers. A changed object's new chunks stand where its old ones stood; where
there are more of them than before, the rest goes into further shards. Committed shards stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from skyhaul.dataset.commits import clear_failure
from skyhaul.dataset.shard_set import ShardSet
from skyhaul.dataset.standing import failures, standing_shards
from skyhaul.dataset.store import DatasetStore
from skyhaul.dataset.sums import DATA_FILE
from skyhaul.planning.catalogue import Cut
from skyhaul.planning.changes import Changes
from skyhaul.planning.difference import Outcome, PlanUpdate, differences
from skyhaul.planning.extend_plan import relisted
from skyhaul.planning.make_plan import open_sources, selections
from skyhaul.planning.plan_file import Plan
from skyhaul.planning.plan_writer import NewTable, new_table
from skyhaul.planning.planner import Planner, Progress
from skyhaul.planning.publishing import publish_generation
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.transfer.spool import folder_name
from skyhaul_connectors.transfer.spool_lock import is_locked
from skyhaul_schemas import layout
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.jobfile import LoadedJob
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


def amend_plan(loaded: LoadedJob, store: DatasetStore, *, progress: Progress | None = None) -> PlanUpdate:
    """Amend the plan, and clear the failures of the shards that were amended. New objects are listed, and not
    planned. Where no shard is concerned, nothing is written. Raises what `extend_plan` does, and UsageError
    while a haul of this dataset runs with the job's spool."""
    with open_sources(loaded.job) as sources, closing(Plan.open(store)) as plan:
        return amend_from(loaded, selections(loaded.job), sources, plan, store, progress=progress)


def amend_from(
    loaded: LoadedJob,
    patterns: Mapping[str, list[str]],
    sources: Mapping[str, Source],
    plan: Plan,
    store: DatasetStore,
    *,
    progress: Progress | None = None,
) -> PlanUpdate:
    """`amend_plan` for sources and a plan that are open."""
    spool = Path(loaded.job.spool)
    own = folder_name(plan.header.first_digest)
    # Workers of a runner that share a machine have a spool each, below the job's.
    if any(is_locked(place / own) for place in (spool, *spool.glob("worker-*"))):
        raise UsageError(
            f"a haul of {store.place} runs with the spool {printable(str(spool))}; stop it, then amend"
        )
    update = PlanUpdate("amend", plan.header)
    with (
        relisted(loaded, patterns, sources, plan, "amend", progress) as planner,
        closing(Changes(spool)) as changes,
    ):
        for now, planned in differences(planner.listed(), plan.objects()):
            if planned is None:
                update.add(now, None, "left")
            else:
                changes.add(now, planned)
        committed = standing_shards(plan, store)
        for shard in plan.shards():
            for chunk in shard.chunks:
                changes.saw(chunk, committed=shard.number in committed)
        _Amendment(planner, plan, store, changes, committed, update).write()
    if update.amended:
        with closing(Plan.open(store)) as amended:
            clear_outdated(amended, store)
    return update


def clear_outdated(plan: Plan, store: DatasetStore) -> None:
    """Forget failures of shards as they were before an amendment, so that a haul takes the shards up."""
    if len(plan.generations) > 1:
        for failure in list(failures(plan, store)):
            if plan.outdates(failure):
                clear_failure(store, failure.shard)


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
                    planner.pool(self._changes.rest())
                    before = self._plan.header
                    header = planner.deal_chunks(shards, before.job)
                    remove_unfinished(store, self._update.amended)
                    publish_generation(store, objects.file, dropped.file, shards.file, header)
        self._update.shards = header.shards - before.shards
        self._update.bytes = header.source_bytes - before.source_bytes
        self._update.header, self._update.generation = header, header.generation

    def _pinned_anew(self, objects: NewTable) -> Iterator[Cut]:
        """The chunks of the objects that are pinned anew; every change is told on the way."""
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
            nothing = PinnedObject(shard.source, "", 0, "")
            self._planner.put(Chunk(shard.number, EMPTIED, nothing, 0, 0), table)

    def _replacement(self, chunk: Chunk) -> Chunk | None:
        taken = self._changes.take(chunk.object)
        if taken is None:
            return None
        placed = taken.placed(chunk.shard, chunk.index)
        self._planner.gain(placed)
        return placed


def remove_unfinished(store: DatasetStore, shards: Iterable[int]) -> None:
    """Remove data files and rejects of shards that are not committed: a crash between publication and
    commit leaves them, and with other objects the shard will have other bytes."""
    wanted = set(shards)
    for group in sorted({layout.group_of(shard) for shard in wanted}):
        for path in list(store.list(f"{layout.DATA}/{group:04d}")):
            match = DATA_FILE.fullmatch(path)
            if match and int(match[3]) in wanted:
                store.remove(path)
    for shard in sorted(wanted):
        store.remove(layout.rejects_file(shard))
