"""What speaks of shards as they were before an amendment of the plan: failures, and commits that came too
late.

An amendment only takes up shards that are not committed. A haul elsewhere may commit one of them all the
same, between the amendment's last look and its publication; no store can make the two one step. So both sides
write first and look then: the haul at the plan after its commit record is there, the amendment at the records
after its generation is there. One of them sees the other, and what the other side's death leaves, the next
`run` or `plan --amend` finds. Such a record is no commit, for it names a generation that is no longer the
shard's; it is set aside, and the shard is hauled as it is planned now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing

from pydantic import ValidationError

from skyhaul.dataset.commits import CommitReader, clear_failure, committed_in, failures
from skyhaul.dataset.sealed import is_sealed
from skyhaul.dataset.store import DatasetStore
from skyhaul.dataset.unsealing import unseal_group
from skyhaul.planning.plan_file import Plan
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import StorageError


def clear_outdated(plan: Plan, store: DatasetStore) -> None:
    """Forget failures of shards as they were before an amendment, so that a haul takes the shards up."""
    if len(plan.generations) > 1:
        for failure in list(failures(store)):
            if failure.shard < plan.header.shards and plan.outdates(failure):
                clear_failure(store, failure.shard)


def set_outdated_aside(plan: Plan, store: DatasetStore, only: Iterable[int] | None = None) -> Iterator[str]:
    """Set commit records of amended shards aside that are of a generation before (of the shards `only`, if
    any); a line for people for each. Their files follow when the shard is committed anew. Raises
    StorageError."""
    by_group: dict[int, list[int]] = {}
    for shard in plan.amended() if only is None else only:
        by_group.setdefault(layout.group_of(shard), []).append(shard)
    for group in sorted(by_group):
        there = committed_in(store, group)
        wanted = sorted(there.intersection(by_group[group]))
        with closing(CommitReader(store)) as reader:
            found = {shard: data for shard in wanted if (data := _outdated(plan, reader, shard)) is not None}
        if found and is_sealed(store, group):
            kept = unseal_group(store, group, found)
            if kept is not None:
                yield from (_line(shard, kept) for shard in found)
        for shard, data in found.items():
            kept = store.set_aside(layout.commit_file(shard), hashlib.sha256(data).hexdigest())
            if kept is not None:
                yield _line(shard, kept)


def _outdated(plan: Plan, reader: CommitReader, shard: int) -> bytes | None:
    try:
        data = reader.data(shard)
        if data is not None and plan.outdates_commit(CommitRecord.model_validate_json(data)):
            return data
    except (StorageError, ValidationError):
        # A record that cannot be read is for `verify` to tell.
        pass
    return None


def _line(shard: int, kept: str) -> str:
    return (
        f"shard {shard} was committed as it was before the plan was amended: that record is kept as {kept},"
        " and the shard is hauled as it is planned now"
    )
