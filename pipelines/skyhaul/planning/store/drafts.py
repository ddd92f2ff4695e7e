"""Drafts: the tables of a generation before it is decided whose plan it will be.

Several processes may plan one dataset at once, and only the shards file, which is created without replacing,
decides whose plan it is. What belongs to it (objects, and what an amendment dropped) is therefore put down
before under a name that holds the generation's digest, where no rival replaces it, and gets its own name only
once the shards file stands. So whoever wins has all of its own, and a process that dies in between leaves
drafts from which every reader and the next writer have the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

from skyhaul.dataset.storage.files import NewFile
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.generation import Generation
from skyhaul_schemas import layout
from skyhaul_schemas.errors import CommitConflict
from skyhaul_schemas.plan import PlanHeader

_DRAFT = re.compile(
    rf"{re.escape(layout.DRAFTS)}(\d{{4,}})-([0-9a-f]+)-((?:objects|dropped)\.parquet|job\.yaml)"
)


def write_drafts(
    store: DatasetStore,
    header: PlanHeader,
    objects: NewFile,
    dropped: NewFile | None = None,
    job: bytes | None = None,
) -> None:
    """Put down what belongs to a generation.

    Its tables get their own names, too, where nothing is there yet, for readers that know of no drafts.

    Raises:
        StorageError: The storage fails otherwise."""
    for name, file in (("objects.parquet", objects), ("dropped.parquet", dropped)):
        if file is not None:
            # A draft that is there already is of the same generation, by its digest: it pins the same, and is
            # as good. Its bytes may be others, where objects were found by another way.
            with suppress(CommitConflict):
                store.publish(file.path, _draft(header, name), file.sha256, keep=True)
            with suppress(CommitConflict):
                store.publish(file.path, _own_name(name, header.generation), file.sha256, keep=True)
            file.discard()
    if job is not None:
        store.create_bytes(_draft(header, "job.yaml"), job, same=lambda standing, ours: True)


def settle_drafts(store: DatasetStore, generations: Mapping[int, PlanHeader]) -> None:
    """Give the drafts of `generations`, which are decided, their own names, and remove what rivals left.

    Anybody may do it, at any time and beside others.

    Raises:
        StorageError: The storage fails otherwise."""
    drafts = [(match, path) for path in store.list(layout.PLAN) if (match := _DRAFT.fullmatch(path))]
    for match, path in drafts:
        header = generations.get(int(match[1]))
        if header is not None and match[2] == header.digest:
            # FileNotFoundError: another process has settled it, and cleared the draft away.
            with suppress(FileNotFoundError):
                store.copy(path, _own_name(match[3], header.generation))
    # Only when every name is right: until then the drafts are what readers have.
    for match, path in drafts:
        if int(match[1]) in generations:
            store.remove(path)


def _draft(header: PlanHeader, name: str) -> str:
    return layout.draft_file(header.generation, header.digest, name)


def _own_name(name: str, generation: int) -> str:
    match name:
        case "job.yaml":
            return layout.JOB
        case "dropped.parquet":
            return layout.dropped_file(generation)
        case _:
            return layout.objects_file(generation)


def headers_of(generations: tuple[Generation, ...]) -> dict[int, PlanHeader]:
    return {generation.number: generation.header for generation in generations}
