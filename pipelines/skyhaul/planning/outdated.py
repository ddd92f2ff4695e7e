"""What speaks of shards as they were before an amendment of the plan.

Failures, and commits that came too late.

An amendment only takes up shards that are not committed. A haul elsewhere may commit one of them all the
same, between the amendment's last look and its publication; no store can make the two one step. So both sides
write first and look then: the haul at the plan after its commit record is there, the amendment at the records
after its generation is there. One of them sees the other, and what the other side's death leaves, the next
`run` or `plan --amend` finds. Such a record is no commit, for it names a generation that is no longer the
shard's; it is set aside, and the shard is hauled as it is planned now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, suppress

from pydantic import ValidationError

from skyhaul.dataset.commits.record_files import CommitReader, clear_failure, recorded_in
from skyhaul.dataset.commits.sealed import is_sealed
from skyhaul.dataset.commits.sealing import unseal_group
from skyhaul.dataset.commits.valid_commits import failures
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.plan import Plan
from skyhaul.shards.commit_shard import orphans_of
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import StorageError


def clear_outdated(plan: Plan, store: DatasetStore) -> None:
    """Forget failures of shards as they were before an amendment, so that a haul takes the shards up."""
    if len(plan.generations) > 1:
        for failure in list(failures(plan, store)):
            if plan.outdates(failure):
                clear_failure(store, failure.shard)


def set_outdated_aside(plan: Plan, store: DatasetStore, only: Iterable[int] | None = None) -> Iterator[str]:
    """Set aside what is of amended shards as they were before (of the shards `only`, if any).

    Commit records, whose files follow when the shard is committed anew, and files beside one that is
    committed anew. A line for people for each.

    Raises:
        StorageError: The storage fails otherwise."""
    by_group: dict[int, list[int]] = {}
    for shard in plan.amended() if only is None else only:
        by_group.setdefault(layout.group_of(shard), []).append(shard)
    for group in sorted(by_group):
        wanted = recorded_in(store, group).intersection(by_group[group])
        if wanted:
            yield from _in_group(plan, store, group, wanted)


def _in_group(plan: Plan, store: DatasetStore, group: int, wanted: Collection[int]) -> Iterator[str]:
    found: dict[int, bytes] = {}
    standing: dict[int, CommitRecord] = {}
    with closing(CommitReader(store)) as reader:
        for shard in sorted(wanted):
            # A record that cannot be read is for `verify` to tell.
            with suppress(StorageError, ValidationError):
                data = reader.data(shard)
                record = None if data is None else CommitRecord.model_validate_json(data)
                if data is None or record is None or record.shard != shard:
                    continue
                if plan.outdates_commit(record):
                    found[shard] = data
                elif record.plan == plan.digest_of(shard):
                    standing[shard] = record
    if found and is_sealed(store, group):
        kept = unseal_group(store, group, found)
        if kept is not None:
            yield from (_line(shard, kept) for shard in found)
    for shard, data in found.items():
        kept = store.set_aside(layout.commit_file(shard), hashlib.sha256(data).hexdigest())
        if kept is not None:
            yield _line(shard, kept)
    # Put there by a haul of before the amendment, after the shard was committed anew.
    for path in list(orphans_of(store, group, standing)):
        with suppress(FileNotFoundError):
            kept = store.set_aside(path, store.digest(path))
            if kept is not None:
                yield f"{path} is of its shard as it was before the plan was amended: it is kept as {kept}"


def _line(shard: int, kept: str) -> str:
    return (
        f"shard {shard} was committed as it was before the plan was amended: that record is kept as {kept},"
        " and the shard is hauled as it is planned now"
    )
