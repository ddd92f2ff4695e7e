"""Sealing and unsealing: the commit records of a full group, 1,000 small files, become one, and again many.

The sealed file is created like everything that counts: without replacing, and read back before any of the
records that it holds is removed. A process that dies in between leaves both, which say the same; whoever
seals next removes what is left over. Two that seal at once write equal bytes.

A group is unsealed where one of its records does not count any more: an amendment of the plan has put
another shard in the place of that one, and a sealed file cannot lose a row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from skyhaul.dataset.commits.concurrent_calls import each
from skyhaul.dataset.commits.record_files import numbers_in, same_commit
from skyhaul.dataset.commits.sealed import SealedGroup, is_sealed, sealed_groups, write_sealed
from skyhaul.dataset.commits.validation import CommitValidator, Planned
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import CommitSums
from skyhaul_schemas import layout
from skyhaul_schemas.errors import CommitConflict, RecordDamaged


def seal_full_groups(plan: Planned, store: DatasetStore, stop: Callable[[], bool] = lambda: False) -> int:
    """Seal every group that is full, and remove what an interrupted sealing left; how many were sealed.

    Args:
        plan: The plan.
        store: The dataset.
        stop: Asked before each group.

    Raises:
        CommitConflict: What stands there already says otherwise.
        StorageError: The storage fails otherwise."""
    validator = CommitValidator(plan)
    folders = [int(name) for name in store.folders(layout.COMMITS) if name.isdecimal()]
    known = set(sealed_groups(store))
    count = 0
    for group in sorted(folders):
        if stop():
            break
        if group in known:
            _clear(store, group)
        elif seal_group(validator, store, group):
            count += 1
    return count


def seal_group(validator: CommitValidator, store: DatasetStore, group: int) -> bool:
    """Seal `group` if each of its shards has a commit record that `validator` finds nothing against.

    Returns:
        Whether it is sealed now.

    Raises:
        CommitConflict: Where it was sealed with other records.
        StorageError: The storage fails otherwise."""
    numbers = list(numbers_in(store, layout.COMMITS, group))
    if numbers != list(layout.shards_of(group)):
        if is_sealed(store, group):
            _clear(store, group)
            return True
        return False
    try:
        found = dict(each(store, numbers, lambda shard: (shard, store.read_bytes(layout.commit_file(shard)))))
    except FileNotFoundError:
        # Another process has sealed the group meanwhile, and removes its records.
        return is_sealed(store, group)
    sums = CommitSums()
    for shard, data in found.items():
        verdict = validator.validated(shard, data)
        # What does not stand is not sealed in: `replay --damaged` has to get at it.
        if verdict.record is None:
            return False
        sums.add(verdict.record)
    file = write_sealed(store, found, sums.of_group(group))
    with suppress(CommitConflict):
        # Another version of the Parquet library gives other bytes; what counts is compared below.
        store.publish(file.path, layout.sealed_file(group), file.sha256)
    # Read back from the store, whoever put it there, before the first record goes: from then on it is all
    # that says what is committed.
    with SealedGroup(store, group) as sealed:
        if sealed.records() != found:
            raise store.conflict(layout.sealed_file(group))
    _remove(store, numbers)
    if not is_sealed(store, group):
        # It was unsealed while its records were being removed.
        put_records(store, found)
        return False
    return True


def _clear(store: DatasetStore, group: int) -> None:
    """Remove records of a sealed group that say what the sealed file says; others stay, for `verify`."""
    numbers = list(numbers_in(store, layout.COMMITS, group))
    if not numbers:
        return
    try:
        with SealedGroup(store, group) as sealed:
            # A single record is what a late worker leaves; more are what an interrupted sealing left.
            kept = sealed.records() if len(numbers) > 1 else {n: sealed.record(n) for n in numbers}
    except RecordDamaged:
        # What lies beside it may be all that there is.
        return

    def left(shard: int) -> tuple[int, bytes | None]:
        try:
            return shard, store.read_bytes(layout.commit_file(shard))
        except FileNotFoundError:
            return shard, None

    found = each(store, numbers, left)
    left_over = {n: data for n, data in found if data is not None and same_commit(kept[n], data)}
    _remove(store, left_over)
    if left_over and not is_sealed(store, group):
        put_records(store, left_over)


def _remove(store: DatasetStore, numbers: Iterable[int]) -> None:
    """Remove records that the sealed file holds.

    Who put it there may have been killed before its name was synced: a power cut could take the name, and
    leave the removals."""
    store.sync_folder(layout.SEALED)
    for _ in each(store, numbers, lambda shard: store.remove(layout.commit_file(shard))):
        pass


def unseal_group(store: DatasetStore, group: int, without: Collection[int]) -> str | None:
    """Give the shards of a sealed group records of their own again, and set the sealed file aside.

    Args:
        store: The dataset.
        group: The group's number.
        without: Shards that get no record.

    Returns:
        The sealed file's name where it was set aside; None: another process was first.

    Raises:
        CommitConflict: What stands there already says otherwise.
        StorageError: The storage fails otherwise."""
    path = layout.sealed_file(group)
    try:
        # What is set aside below is what was read here, or nothing: another process may seal the group anew.
        digest = store.digest(path)
        with SealedGroup(store, group) as sealed:
            records = sealed.records()
    except FileNotFoundError:
        return None
    kept = {shard: data for shard, data in records.items() if shard not in without}
    # Records first: a process that dies in between leaves both, which say the same.
    put_records(store, kept)
    aside = store.set_aside(path, digest)
    # Whoever has just sealed the group may have been removing these meanwhile.
    put_records(store, kept)
    return aside


def put_records(store: DatasetStore, records: Mapping[int, bytes]) -> None:
    """Create commit records where there are none. Raises CommitConflict, StorageError."""
    for shard, data in records.items():
        store.create_bytes(layout.commit_file(shard), data, same=same_commit)
