"""Put a finished plan into its dataset: objects, then the job, then the shards, whose presence is the plan.

A process that dies in between leaves no plan; the next one begins anew, for the source may have changed
since. Of several that plan at once the first whose shards are there wins, and the dataset holds what is its
own: see `skyhaul.planning.store.drafts`. Once there is a plan, nothing of it is ever replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from skyhaul.dataset.storage.files import NewFile
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.drafts import settle_drafts, write_drafts
from skyhaul.planning.store.plan import Plan
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
    """Move the two files into place, with the job file as written.

    Returns:
        The header of the plan that stands, which is an equal one where another process was first.

    Raises:
        PlanMismatch: The plan that is there is another one.
        StorageError: The storage fails otherwise."""
    # Before the shards file, which decides: whoever wins by it has all of its own by then.
    write_drafts(store, header, objects, job=text.encode())
    keep_job(store, UndecidedJob(text))
    try:
        store.publish(shards.path, layout.SHARDS, shards.sha256)
    except CommitConflict:
        # Somebody else's stands. Where it is equal, planning has succeeded; it may have grown meanwhile.
        with closing(Plan.open(store)) as plan:
            first, standing = plan.generations[0].header, plan.header
    else:
        first = standing = header
    settle_drafts(store, {0: first})
    if first.digest != header.digest:
        raise PlanMismatch(
            f"dataset {store.place} was given another plan at the same time, by another process that listed"
            " the sources otherwise, or has another job; run the same command again to go on with that plan,"
            " or choose another `dataset`"
        )
    return standing


def publish_generation(
    store: DatasetStore,
    objects: NewFile,
    dropped: NewFile | None,
    shards: NewFile,
    header: PlanHeader,
    still_right: Callable[[], None] = lambda: None,
) -> None:
    """Add a generation; it is there once its shards are.

    An equal one of another process is as good. A certificate goes first: it is of the plan as it was.

    Args:
        store: The dataset.
        objects: The finished table of what is pinned.
        dropped: The finished table of what is dropped; None for an extension.
        shards: The finished table of the shards.
        header: The generation's header.
        still_right: Called at the last moment; what it raises leaves the plan as it was.

    Raises:
        PlanMismatch: Where another one was added meanwhile.
        StorageError: The storage fails otherwise."""
    number = header.generation
    write_drafts(store, header, objects, dropped)
    store.remove(layout.CERTIFICATE)
    # Gone for good before the generation is there: a certificate that a power cut brought back would speak of
    # a plan that it never saw (docs/adr/0005).
    store.sync_folder(layout.CONTROL)
    try:
        # As late as can be: what comes between this look and the next line is found by the haul, which looks
        # at the plan after its commit record is there (`skyhaul.planning.outdated`).
        still_right()
        store.publish(shards.path, layout.shards_file(number), shards.sha256)
    except CommitConflict:
        raise PlanMismatch(
            f"the plan of dataset {store.place} was extended or amended by another process at the same time;"
            " run the same command again"
        ) from None
    # A certificate that was being written meanwhile is of the plan as it was, too.
    store.remove(layout.CERTIFICATE)
    store.sync_folder(layout.CONTROL)
    settle_drafts(store, {number: header})


class UndecidedJob(str):
    """The text of a job whose plan may yet lose against another one."""

    __slots__ = ()


def keep_job(store: DatasetStore, text: str) -> None:
    """Keep the job file as it was run, secrets unresolved: links may have changed since the plan.

    That of an undecided plan is created, and replaces none."""
    data = text.encode()
    if isinstance(text, UndecidedJob):
        store.create_bytes(layout.JOB, data, same=lambda standing, ours: True)
        return
    try:
        same = store.read_bytes(layout.JOB) == data
    except FileNotFoundError:
        same = False
    if not same:
        store.replace_bytes(layout.JOB, data)
