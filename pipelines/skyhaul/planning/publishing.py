"""Put a finished plan into its dataset: objects, then the job, then the shards, whose presence is the plan.

A process that dies in between leaves no plan, and what it left is replaced: the source may have changed
since. Once there is a plan, nothing of it is ever replaced.
"""

from __future__ import annotations

import hashlib
from contextlib import closing

from skyhaul.dataset.files import NewFile
from skyhaul.dataset.store import DatasetStore
from skyhaul.planning.plan_file import Plan
from skyhaul_schemas import layout
from skyhaul_schemas.errors import CommitConflict, PlanMismatch, UsageError
from skyhaul_schemas.plan import PlanHeader


def refuse_foreign(store: DatasetStore) -> None:
    """Raise UsageError for a folder that holds shards without a plan: they are of something else."""
    for folder in (layout.DATA, layout.COMMITS):
        found = next(store.list(folder), None)
        if found is not None:
            raise UsageError(
                f"dataset {store.place} holds {found} but no plan ({layout.SHARDS}); choose another `dataset`"
            )


def publish(
    store: DatasetStore, objects: NewFile, shards: NewFile, text: str, header: PlanHeader
) -> PlanHeader:
    """Move the two files into place, with the job file as written. Returns the header of the plan that
    stands, which is an equal one where another process was first. Raises PlanMismatch, StorageError."""
    try:
        _place(store, objects, layout.OBJECTS, layout.SHARDS)
        keep_job(store, text)
        store.publish(shards.path, layout.SHARDS, shards.sha256)
    except CommitConflict:
        if not Plan.exists(store):
            raise
        with closing(Plan.open(store)) as plan:
            if plan.header.digest != header.digest:
                raise PlanMismatch(
                    f"dataset {store.place} was given another plan at the same time; choose another `dataset`"
                ) from None
            return plan.header
    return header


def publish_generation(
    store: DatasetStore, objects: NewFile, dropped: NewFile | None, shards: NewFile, header: PlanHeader
) -> None:
    """Add a generation; it is there once its shards are. An equal one of another process is as good. A
    certificate goes first: it is of the plan as it was. Raises PlanMismatch where another one was added
    meanwhile, StorageError."""
    number = header.generation
    presence = layout.shards_file(number)
    try:
        _place(store, objects, layout.objects_file(number), presence)
        if dropped is not None:
            _place(store, dropped, layout.dropped_file(number), presence)
        store.remove(layout.CERTIFICATE)
        store.publish(shards.path, presence, shards.sha256)
    except CommitConflict:
        raise PlanMismatch(
            f"the plan of dataset {store.place} was extended or amended by another process at the same time;"
            " run the same command again"
        ) from None


def keep_job(store: DatasetStore, text: str) -> None:
    """Keep the job file as it was run, secrets unresolved: links may have changed since the plan."""
    data = text.encode()
    try:
        same = store.read_bytes(layout.JOB) == data
    except FileNotFoundError:
        same = False
    if not same:
        store.replace_bytes(layout.JOB, data)


def _place(store: DatasetStore, file: NewFile, path: str, presence: str) -> None:
    """Put a file into place that is of a plan only once `presence` is there; before that it may be a leftover
    of a process that died, and is replaced."""
    if store.exists(path) and not store.exists(presence) and not _equal(store, file, path):
        store.remove(path)
    store.publish(file.path, path, file.sha256)


def _equal(store: DatasetStore, file: NewFile, path: str) -> bool:
    with store.open_input(path) as standing:
        sha256 = hashlib.sha256()
        while data := standing.read(1 << 20):
            sha256.update(data)
        return sha256.hexdigest() == file.sha256
