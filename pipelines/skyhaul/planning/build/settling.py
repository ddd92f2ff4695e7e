"""Put a plan's tables right before anything rests on them: whatever writes to a dataset begins with it.

A process that died right after its plan was decided leaves drafts without their own names. Objects that are
of another plan (two processes of a version without drafts planned at once) or that are gone are made anew
from the shards file, which names every object, and are proved by the plan's digest.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.build.catalogue import Catalogue
from skyhaul.planning.store.drafts import headers_of, settle_drafts
from skyhaul.planning.store.generation import Generation
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.plan_digest import ObjectsDigest
from skyhaul.planning.store.table_writer import new_table, object_row, objects_header
from skyhaul_schemas import layout
from skyhaul_schemas.plan import OBJECTS_SCHEMA


def settle_plan(plan: Plan, store: DatasetStore, spool: Path) -> list[int]:
    """Settle drafts and repair objects.

    Args:
        plan: The plan.
        store: The dataset.
        spool: The folder to sort in.

    Returns:
        The generations whose objects cannot be repaired.

    Raises:
        PlanDamaged: Rows that cannot be read.
        UsageError: No spool.
        DiskFull: There is no room left.
        StorageError: The storage fails otherwise."""
    settle_drafts(store, headers_of(plan.generations))
    return [
        generation.number
        for generation in plan.generations
        if not generation.has_objects() and not _made_anew(generation, store, spool)
    ]


def _made_anew(generation: Generation, store: DatasetStore, spool: Path) -> bool:
    """Whether the generation's rows gave its objects back: each object has one chunk that begins it.

    Rows of an amendment hold earlier objects too, and cut objects' rows only a part of their digests by
    block."""
    digest, count = ObjectsDigest(), 0
    with (
        closing(Catalogue(generation.header.by_source, spool)) as catalogue,
        new_table(store, OBJECTS_SCHEMA) as table,
    ):
        catalogue.add_objects(chunk.object for chunk in generation.rows() if chunk.offset == 0)
        for obj in catalogue.objects():
            digest.add(obj)
            table.add(object_row(obj))
            count += 1
        if digest.hexdigest() != generation.header.objects_digest:
            table.discard()
            return False
        table.finish(objects_header(digest.hexdigest(), count))
    # Replaced, unlike all else of a plan: what it pins follows from the rows, and the plan's digest proves
    # it.
    own = layout.objects_file(generation.number)
    store.replace_file(table.file.path, own, table.file.sha256, store.aside_of(own))
    return True
