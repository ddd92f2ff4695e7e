"""Which commit records stand: each is held against the plan, and none counts for being there.

A record stands for the shard that its name states if the plan has that shard, and the record says so too: the
number, the source, and the digest of the generation that holds the shard. Any other one (of another dataset's
plan, of another shard, of a number beyond the plan, of a shard as it was before an amendment, damaged) stands
for nothing, wherever it lies.

Of a sealed group the footer is read: its sums say which shards are of which plan. Where that is not as the
plan has it, and where an earlier version sealed the group and left it out, the records are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from skyhaul.dataset.commits.concurrent_calls import AT_ONCE, each
from skyhaul.dataset.commits.record_files import (
    committed_groups,
    failed_numbers,
    number_of,
    numbers_in,
    read_failure,
    same_commit,
    what_is_damaged,
)
from skyhaul.dataset.commits.sealed import SealedGroup, is_sealed, salvaged
from skyhaul.dataset.commits.shard_set import ShardSet
from skyhaul.dataset.commits.validation import CommitValidator, Fault, Planned, Unfit, Verdict
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, FailureRecord, GroupSums
from skyhaul_schemas.errors import RecordDamaged

_BEGINNING = re.compile(rb'\{"shard":(\d{1,9}),"plan":"([0-9a-f]{64})","source":"([a-z0-9_-]+)",', re.ASCII)
"""How every version has written a record's first fields."""


@dataclass(slots=True)
class Group:
    """The commit records of one group."""

    number: int
    sums: GroupSums | None = None
    """Of a sealed group that stands as a whole, whose records are not read; else `records` has those that
    stand."""
    records: dict[int, CommitRecord] = field(default_factory=dict)
    unfit: list[Unfit] = field(default_factory=list)
    present: int = 0
    """Files' worth of shards, whatever they say."""
    blocked: set[int] = field(default_factory=set)
    """Shards of the plan that cannot be committed for what is unfit."""


def validated_groups(plan: Planned, store: DatasetStore) -> Iterator[Group]:
    """All groups that have commit records, rising. Raises StorageError."""
    validator = CommitValidator(plan)
    listed = list(committed_groups(store))
    # By so many groups at a time: all at once would hold the records of all in memory.
    for start in range(0, len(listed), AT_ONCE):
        groups = listed[start : start + AT_ONCE]
        # Each takes a few calls, which a remote store answers side by side; in other groups the records do.
        sealed = [group for group, seen_sealed in groups if seen_sealed]
        found = each(store, sealed, lambda group: validated_group(validator, store, group, sealed=True))
        validated = dict(zip(sealed, found, strict=True))
        for group, _ in groups:
            yield (
                validated[group]
                if group in validated
                else validated_group(validator, store, group, sealed=False)
            )


def validated_group(validator: CommitValidator, store: DatasetStore, number: int, *, sealed: bool) -> Group:
    """One group.

    Args:
        validator: Holds records against the plan.
        store: The dataset.
        number: The group's number.
        sealed: Whether it was seen to be.

    Raises:
        StorageError: The storage fails otherwise."""
    group = Group(number)
    if sealed and _validate_sealed(validator, store, group):
        _validate_beside(store, group)
        return group
    paths = list(store.list(f"{layout.COMMITS}/{number:04d}"))
    found: dict[int, bytes | Fault | None] = {}
    # What bears no proper name is named and never read: it cannot stand for anything.
    for path in paths:
        shard = number_of(path)
        if shard is not None and path == layout.commit_file(shard):
            found[shard] = None
        elif path.endswith(".json"):
            group.unfit.append(
                Unfit("commit-misplaced", path, None, "no record of this folder has such a name", False)
            )
    wanted = [shard for shard in found if shard not in group.records]
    found.update(each(store, wanted, lambda shard: (shard, _read(store, shard))))
    # A sealing that goes on meanwhile shows as a folder that is not full, or as a record that was listed and
    # is gone. The sealed file is there by then.
    short = len(found) < len(layout.shards_of(number)) or None in found.values()
    if not sealed and short and is_sealed(store, number):
        # It was sealed meanwhile.
        return validated_group(validator, store, number, sealed=True)
    for shard in wanted:
        data = found[shard]
        if data is None:
            continue
        verdict = Verdict(None, data) if isinstance(data, Fault) else validator.validated(shard, data)
        if verdict.record is not None:
            group.records[shard] = verdict.record
        elif verdict.fault is not None:
            path, fault, planned = layout.commit_file(shard), verdict.fault, shard < validator.shards
            group.unfit.append(Unfit(fault.code, path, shard, fault.why, planned))
            if planned:
                group.blocked.add(shard)
    group.present = max(group.present, len(found))
    if any(unfit.path == layout.sealed_file(number) for unfit in group.unfit):
        span = layout.shards_of(number)
        group.blocked = set(range(span.start, min(span.stop, validator.shards))) - group.records.keys()
    return group


def _validate_beside(store: DatasetStore, group: Group) -> None:
    """Note records beside a sealed file that stands, where they say otherwise; a crash leaves equal ones."""
    beside = list(numbers_in(store, layout.COMMITS, group.number)) if group.sums is not None else []
    if not beside:
        return
    with SealedGroup(store, group.number) as sealed:
        kept = sealed.records()
    for shard in beside:
        data = _read(store, shard)
        if isinstance(data, Fault) or (data is not None and not same_commit(kept[shard], data)):
            why = f"{layout.sealed_file(group.number)} speaks for its group, and says otherwise"
            group.unfit.append(Unfit("commit-twice", layout.commit_file(shard), shard, why, False))


def _read(store: DatasetStore, shard: int) -> bytes | Fault | None:
    """The bytes in the shard's place; a Fault where they are in no file, None where nothing is there."""
    try:
        return store.read_bytes(layout.commit_file(shard))
    except FileNotFoundError:
        return None
    except RecordDamaged as error:
        return Fault("commit-unreadable", what_is_damaged(error))


def _validate_sealed(validator: CommitValidator, store: DatasetStore, group: Group) -> bool:
    """Whether the group's sealed file stands as a whole.

    Where it does not, that is noted, and the records in it that stand by themselves are taken."""
    span = layout.shards_of(group.number)
    path = layout.sealed_file(group.number)
    rows: Mapping[int, bytes] = {}
    try:
        with SealedGroup(store, group.number) as sealed:
            if sealed.sums.plans is None:
                rows = sealed.records()
                fault = _fault_of_rows(validator, rows)
            else:
                fault = validator.fault_of_sealed(group.number, sealed.sums)
            # Without its records by source a group of several sources cannot be added up unread.
            if fault is None and (sealed.sums.by_source is not None or len(sealed.sums.committed) == 1):
                group.sums = sealed.sums
                group.present = len(span)
                return True
    except FileNotFoundError:
        return False
    except RecordDamaged as error:
        fault = Fault("sealed-damaged", what_is_damaged(error))
    # A sealed file that does not stand may hold records that do: 999 shards are not hauled again for one.
    for shard, data in (rows or salvaged(store, group.number)).items():
        record = validator.validated(shard, data).record
        if record is not None:
            group.records[shard] = record
    group.present = len(span)
    if fault is not None:
        group.unfit.append(Unfit(fault.code, path, span.start, fault.why, span.start < validator.shards))
        return False
    return True


def _fault_of_rows(validator: CommitValidator, rows: Mapping[int, bytes]) -> Fault | None:
    """What is wrong with a sealed group whose footer says nothing of plans, by its records' first fields."""
    for number, data in rows.items():
        begins = _BEGINNING.match(data)
        if begins is None:
            fault = validator.validated(number, data).fault
        else:
            fault = validator.fault(number, int(begins[1]), begins[2].decode(), begins[3].decode())
        if fault is not None:
            return Fault(fault.code, f"of shard {number}: {fault.why}")
    return None


def committed_shards(plan: Planned, store: DatasetStore) -> ShardSet:
    """The shards that are committed. Raises StorageError."""

    def numbers() -> Iterator[int]:
        for group in validated_groups(plan, store):
            yield from layout.shards_of(group.number) if group.sums is not None else group.records

    return ShardSet(numbers())


def valid_commits(plan: Planned, store: DatasetStore) -> Iterator[CommitRecord]:
    """The commit records that stand, by shard; a group is held at a time.

    Raises:
        RecordDamaged: For a sealed group whose rows are not as its footer says.
        StorageError: The storage fails otherwise."""
    validator = CommitValidator(plan)
    for group in validated_groups(plan, store):
        yield from records_of(validator, store, group)


def records_of(validator: CommitValidator, store: DatasetStore, group: Group) -> Iterator[CommitRecord]:
    """The commit records of a validated group that stand, by shard. Raises as `valid_commits`."""
    if group.sums is None:
        yield from (group.records[shard] for shard in sorted(group.records))
        return
    with SealedGroup(store, group.number) as sealed:
        rows = sealed.records()
    for shard, data in rows.items():
        record = validator.validated(shard, data).record
        if record is not None:
            yield record


def verdicts_of(
    validator: CommitValidator, store: DatasetStore, group: int, shards: set[int], *, sealed: bool
) -> Iterator[tuple[int, Verdict]]:
    """(shard, what its record is worth) of shards of one group that have commit records, rising.

    Args:
        validator: Holds records against the plan.
        store: The dataset.
        group: The group's number.
        shards: Some of its shards.
        sealed: Whether the group was seen to be; then one file is read for all of them.

    Raises:
        StorageError: The storage fails otherwise."""
    if not sealed:
        found = each(store, sorted(shards), lambda shard: (shard, _read(store, shard)))
        late = set()
        for shard, data in found:
            if data is None:
                late.add(shard)
            elif isinstance(data, Fault):
                yield shard, Verdict(None, data)
            else:
                yield shard, validator.validated(shard, data)
        if not late or not is_sealed(store, group):
            return
        # It was sealed meanwhile.
        shards = late
    judged = validated_group(validator, store, group, sealed=True)
    records = {record.shard: record for record in records_of(validator, store, judged)}
    faults = {unfit.shard: Fault(unfit.code, unfit.why) for unfit in judged.unfit}
    lost = Fault("sealed-damaged", f"{layout.sealed_file(group)} does not hold it")
    for shard in sorted(shards):
        fault = None if shard in records else faults.get(shard, lost)
        yield shard, Verdict(records.get(shard), fault)


def is_committed(validator: CommitValidator, store: DatasetStore, shard: int) -> bool:
    """Whether the shard is committed, by a record that stands. Raises StorageError."""
    group = layout.group_of(shard)
    if is_sealed(store, group):
        found = validated_group(validator, store, group, sealed=True)
        return found.sums is not None or shard in found.records
    data = _read(store, shard)
    return isinstance(data, bytes) and validator.validated(shard, data).record is not None


def failures(plan: Planned, store: DatasetStore) -> Iterator[FailureRecord]:
    """The last failure of each shard of the plan that is not committed, by shard. Raises StorageError."""
    validator = CommitValidator(plan)

    def last(shard: int) -> FailureRecord | None:
        failure = read_failure(store, shard) if shard < validator.shards else None
        return failure if failure is not None and not is_committed(validator, store, shard) else None

    yield from filter(None, each(store, list(failed_numbers(store)), last))
