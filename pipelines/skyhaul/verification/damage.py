"""What of a dataset is broken: what `skyhaul replay --damaged` puts right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from skyhaul.dataset.commits.record_files import (
    committed_groups,
    failed_numbers,
    what_is_damaged,
    what_is_wrong,
)
from skyhaul.dataset.commits.sealed import SealedGroup, is_sealed, salvaged
from skyhaul.dataset.commits.valid_commits import records_of, valid_commits, validated_group, validated_groups
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.intact import fault_in_file
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.plan import Plan
from skyhaul.verification.commit_check import source_differences
from skyhaul.verification.orphans import OrphanCheck
from skyhaul_schemas import layout
from skyhaul_schemas.commit import FailureRecord, RunRecord
from skyhaul_schemas.errors import RecordDamaged
from skyhaul_schemas.plan import Shard


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file that is broken, or that lies where it should not."""

    shard: int | None
    """None where it is of none."""
    path: str
    fault: str
    haul: bool = True
    """Whether the shard has to be hauled again to put it right; else it was set aside at once."""


def clear_misplaced(plan: Plan, store: DatasetStore, only: frozenset[int] = frozenset()) -> list[BrokenFile]:
    """Set aside what needs no hauling to be told from what stands.

    Sealed files that do not, once the records in them that do are files of their own again; commit records of
    no shard of the plan; failure and run records that cannot be read; data files and rejects that no commit
    speaks of. What was set aside.

    Args:
        plan: The plan.
        store: The dataset.
        only: Commit records of these shards, if any.

    Raises:
        StorageError: The storage fails otherwise."""
    gone: list[BrokenFile] = []
    validator = CommitValidator(plan)
    for group in validated_groups(plan, store):
        sealed = layout.sealed_file(group.number)
        for unfit in group.unfit:
            if only and not only & set(layout.shards_of(group.number)):
                continue
            if unfit.path == sealed:
                _unseal(plan, validator, store, group.number)
            # In the place of a planned shard it stays until the shard was hauled again: then file and record
            # go in one step. And what seems beyond the plan may be of a generation that was added meanwhile.
            elif unfit.planned or (only and unfit.shard not in only) or not plan.is_current():
                continue
            else:
                store.move_aside(unfit.path)
            gone.append(BrokenFile(unfit.shard, unfit.path, unfit.why, haul=False))
        if group.sums is not None and (not only or only & set(layout.shards_of(group.number))):
            gone += _unseal_rotten(plan, validator, store, group.number)
    if not only:
        gone += _unreadable(store)
        gone += _orphans(plan, store)
    return gone


def _unseal_rotten(
    plan: Plan, validator: CommitValidator, store: DatasetStore, group: int
) -> list[BrokenFile]:
    """Unseal a group whose footer is right and whose rows are not."""
    try:
        with SealedGroup(store, group) as sealed:
            rows = sealed.records()
        why = next(
            filter(None, (_why(validator, shard, rows[shard.number]) for shard in _span(plan, group))), None
        )
    except RecordDamaged as error:
        why = what_is_damaged(error)
    if why is None:
        return []
    _unseal(plan, validator, store, group)
    return [BrokenFile(None, layout.sealed_file(group), why, haul=False)]


def _span(plan: Plan, group: int) -> Iterator[Shard]:
    numbers = layout.shards_of(group)
    return plan.shards(numbers.start, numbers.stop)


def _why(validator: CommitValidator, shard: Shard, data: bytes) -> str | None:
    """Why the record in `data` does not stand for the shard, or is not of the bytes planned for it."""
    verdict = validator.validated(shard.number, data)
    if verdict.record is None:
        return None if verdict.fault is None else verdict.fault.why
    return next((message for _, message in source_differences(verdict.record, shard)), None)


def _unseal(plan: Plan, validator: CommitValidator, store: DatasetStore, group: int) -> None:
    """Make files of the records in a sealed file that stand, then set it aside."""
    # Records first, then the sealed file goes: a process that dies in between leaves both, saying the same.
    rows = salvaged(store, group)
    for shard in _span(plan, group):
        data = rows.get(shard.number)
        path = layout.commit_file(shard.number)
        # Only what proves itself: it comes without the footer that would vouch for it.
        if data is not None and _why(validator, shard, data) is None and not store.exists(path):
            store.create_bytes(path, data)
    if is_sealed(store, group):
        store.move_aside(layout.sealed_file(group))


def _orphans(plan: Plan, store: DatasetStore) -> list[BrokenFile]:
    """Set aside data files and rejects that no commit record speaks of."""
    gone: list[BrokenFile] = []

    def found(path: str, shard: int | None, why: str) -> None:
        gone.append(BrokenFile(shard, path, why, haul=False))

    # Found first and moved at the end: that is when the plan is looked at once more.
    check = OrphanCheck(store, plan.header.shards, found)
    validator = CommitValidator(plan)
    groups = dict(committed_groups(store))
    for group in range(layout.group_of(plan.header.shards - 1) + 1):
        if group in groups:
            validated = validated_group(validator, store, group, sealed=groups[group])
            # What a record that does not stand would speak of nobody knows: the files beside it stay.
            for shard in validated.blocked:
                check.committed(shard, None)
            for record in records_of(validator, store, validated):
                check.committed(record.shard, record)
        check.check_group(group)
    check.check_folders()
    if not plan.is_current():
        # What seems to be of no shard may be of those that another command has added meanwhile.
        return []
    for file in gone:
        with suppress(FileNotFoundError):
            store.move_aside(file.path)
    return gone


def _unreadable(store: DatasetStore) -> list[BrokenFile]:
    # Nothing rests on these records: without them a shard is tried again, and a run is not told of.
    gone = []
    for path, shard, fault in unreadable_records(store):
        store.move_aside(path)
        gone.append(BrokenFile(shard, path, fault, haul=False))
    return gone


def unreadable_records(store: DatasetStore) -> Iterator[tuple[str, int | None, str]]:
    """(path, shard, what is wrong) of failure and run records that are none. Raises StorageError."""
    for shard in list(failed_numbers(store)):
        path = layout.failure_file(shard)
        with suppress(FileNotFoundError):
            try:
                record = FailureRecord.model_validate_json(store.read_bytes(path))
            except ValidationError as error:
                yield path, shard, f"it is no failure record ({what_is_wrong(error)})"
                continue
            except RecordDamaged as error:
                yield path, shard, what_is_damaged(error)
                continue
            if record.shard != shard:
                yield path, shard, f"it is the failure record of shard {record.shard}"
    for path in list(store.list(layout.RUNS)):
        if path.endswith(".json"):
            with suppress(FileNotFoundError):
                try:
                    RunRecord.model_validate_json(store.read_bytes(path))
                except ValidationError as error:
                    yield path, None, f"it is no run record ({what_is_wrong(error)})"
                except RecordDamaged as error:
                    yield path, None, what_is_damaged(error)


def broken_files(
    plan: Plan,
    store: DatasetStore,
    read: Callable[[int], None],
    only: frozenset[int] = frozenset(),
    *,
    mended: bool = False,
) -> Iterator[BrokenFile]:
    """Files that are broken in the place of planned shards; every committed file is read.

    They are commit records that do not stand for their shard, or are of other bytes than are planned for it,
    and files of records that stand.

    Args:
        plan: The plan.
        store: The dataset.
        read: Called with the bytes just digested.
        only: These shards alone, if there are any.
        mended: They were written anew just now.

    Raises:
        StorageError: The storage fails otherwise."""
    for group in validated_groups(plan, store):
        for unfit in group.unfit:
            if unfit.planned and unfit.shard is not None and (not only or unfit.shard in only):
                yield BrokenFile(unfit.shard, unfit.path, unfit.why)
    shards = plan.shards()
    for record in valid_commits(plan, store):
        if only and record.shard not in only:
            continue
        # Both rise, so that the plan is read once.
        shard = next(shard for shard in shards if shard.number == record.shard)
        message = next((message for _, message in source_differences(record, shard)), None)
        if message is not None:
            yield BrokenFile(record.shard, layout.commit_file(record.shard), message)
            continue
        for entry in [*record.files, *([record.rejects] if record.rejects else [])]:
            fault = fault_in_file(store, entry, read, just_written=mended)
            if fault is not None:
                yield BrokenFile(record.shard, entry.path, fault)
