"""Commit and failure records: what is true of a dataset's shards.

A commit record is the commit, where it is of the shard and of the plan
(`skyhaul.dataset.commits.valid_commits` holds all of them against it). It is created, never replaced; one
that is there already and says the same of the same plan (times, traffic and versions aside) is as good as
ours.

The records of a full group may be sealed into one file (`skyhaul.dataset.commits.sealing`), which is there
before the first of them is removed. So whoever looks for a record looks for it first, and for the sealed
file then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, suppress

from pydantic import ValidationError

from skyhaul.dataset.commits.sealed import SealedGroup, is_sealed, sealed_groups
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, FailureRecord
from skyhaul_schemas.errors import RecordDamaged, StorageError
from skyhaul_schemas.printable import printable

# ASCII: `\d` would take digits of other scripts, too, which `int` reads; and few enough of them for a number
# that is no plan's to cost nothing.
_NUMBERED = re.compile(r"(.*)/(\d{4,6})/(\d{7,9})\.json", re.ASCII)
_INCIDENTAL = {"transfer", "started", "finished", "versions", "digest"}
"""Fields in which two hauls of one shard differ though its bytes do not (docs/adr/0001): a retry, a zombie
and a worker that comes second all find that the record that stands is as good as theirs. `digest` is over the
others."""


def same_commit(standing: bytes, ours: bytes) -> bool:
    """Whether two commit records say the same of the shard."""
    try:
        a, b = CommitRecord.model_validate_json(standing), CommitRecord.model_validate_json(ours)
    except ValidationError:
        return False
    return a.model_dump(exclude=_INCIDENTAL) == b.model_dump(exclude=_INCIDENTAL)


def write_commit(store: DatasetStore, record: CommitRecord) -> CommitRecord:
    """Commit a shard whose files are in place; the record that stands, ours or an equal one that was there.

    Raises:
        CommitConflict: Where a record says otherwise."""
    path = layout.commit_file(record.shard)
    record = record.kept()
    data = record.to_line()
    kept = _sealed_record(store, record.shard)
    if kept is not None:
        # It was committed before, and sealed: we come late.
        return _equal(store, record.shard, kept, data)
    # The one step that commits. Files are in place and durable by now, so that a record never speaks of what
    # is not there.
    if not store.create_bytes(path, data, same=same_commit):
        standing = read_commit(store, record.shard)
        return record if standing is None else standing
    kept = _sealed_record(store, record.shard)
    if kept is None:
        return record
    # It was sealed, and the record that was there removed, while we were creating ours.
    standing = _equal(store, record.shard, kept, data)
    store.sync_folder(layout.SEALED)
    store.remove(path)
    return standing


def _sealed_record(store: DatasetStore, shard: int) -> bytes | None:
    """The bytes of the record in its group's sealed file; None where the group is not sealed."""
    if not is_sealed(store, layout.group_of(shard)):
        return None
    with SealedGroup(store, layout.group_of(shard)) as sealed:
        return sealed.record(shard)


def _equal(store: DatasetStore, shard: int, kept: bytes, ours: bytes) -> CommitRecord:
    """The sealed record, parsed. Raises CommitConflict where ours says otherwise."""
    if not same_commit(kept, ours):
        raise store.conflict(layout.commit_file(shard))
    return _parsed(store, shard, kept)


def read_commit(store: DatasetStore, shard: int) -> CommitRecord | None:
    """The shard's commit record; None: there is none. Raises RecordDamaged and StorageError."""
    with closing(CommitReader(store)) as reader:
        return reader.read(shard)


class CommitReader:
    """Reads commit records. Not safe among threads.

    Keeps the last sealed group, so that records in their order cost one reading of it."""

    def __init__(self, store: DatasetStore) -> None:
        self._store = store
        self._sealed: SealedGroup | None = None
        self._kept: dict[int, bytes] = {}

    def close(self) -> None:
        if self._sealed is not None:
            self._sealed.close()
            self._sealed = None

    def data(self, shard: int) -> bytes | None:
        """The record's bytes; None: there is none. Raises RecordDamaged, StorageError."""
        group = layout.group_of(shard)
        # The record's own file first, then the sealed one: sealing makes the sealed file before it removes
        # records, so that one of the two looks finds it whenever they are made.
        if self._sealed is None or self._sealed.group != group:
            try:
                return self._store.read_bytes(layout.commit_file(shard))
            except FileNotFoundError:
                pass
            self.close()
            try:
                self._sealed = SealedGroup(self._store, group)
            except FileNotFoundError:
                return None
            self._kept = {}
        # A row group of records is decoded at once: read by their numbers, a hundred cost one decoding.
        if shard not in self._kept:
            self._kept = self._sealed.records_near(shard)
        return self._kept[shard]

    def read(self, shard: int) -> CommitRecord | None:
        """The shard's commit record; None: there is none. Raises RecordDamaged and StorageError."""
        data = self.data(shard)
        return None if data is None else _parsed(self._store, shard, data)


def _parsed(store: DatasetStore, shard: int, data: bytes) -> CommitRecord:
    try:
        return CommitRecord.model_validate_json(data)
    except ValidationError as error:
        raise RecordDamaged(
            f"{layout.commit_file(shard)} in dataset {store.place} is no commit record:"
            f" {what_is_wrong(error)}; `skyhaul replay --damaged` hauls its shard again"
        ) from error


def what_is_wrong(error: ValidationError) -> str:
    """The first fault of a record's JSON, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return printable(f"{where}: {said}" if where else said[:1].lower() + said[1:])


def what_is_damaged(error: RecordDamaged) -> str:
    """What is wrong with a file, without its name and the way out."""
    return (str(error).partition(" is damaged: ")[2] or str(error)).partition("; move it away")[0]


def has_record(store: DatasetStore, shard: int) -> bool:
    """Whether a commit record is there, whatever it says."""
    return store.exists(layout.commit_file(shard)) or is_sealed(store, layout.group_of(shard))


def recorded_numbers(store: DatasetStore) -> Iterator[int]:
    """The shards that have a commit record, whatever it says, rising."""
    for group, sealed in committed_groups(store):
        yield from layout.shards_of(group) if sealed else sorted(recorded_in(store, group))


def committed_groups(store: DatasetStore) -> Iterator[tuple[int, bool]]:
    """(group, whether it is sealed) of the groups with commits, rising.

    One that is sealed meanwhile may be told of as it was: `recorded_in` and `CommitReader` know."""
    folders = {int(name) for name in store.folders(layout.COMMITS) if name.isdecimal()}
    sealed = set(sealed_groups(store))
    for group in sorted(folders | sealed):
        yield group, group in sealed


def recorded_in(store: DatasetStore, group: int) -> frozenset[int]:
    """The shards of one group that have a commit record, whatever it says."""
    # Listed first, and looked for the sealed file then: in between, records may go only because it is there.
    found = frozenset(numbers_in(store, layout.COMMITS, group))
    full = layout.shards_of(group)
    return frozenset(full) if len(found) < len(full) and is_sealed(store, group) else found


def count_records(store: DatasetStore) -> int:
    """How many commit records there are, whatever they say; reads none."""
    return sum(
        len(layout.shards_of(group) if sealed else recorded_in(store, group))
        for group, sealed in committed_groups(store)
    )


def commits(store: DatasetStore) -> Iterator[CommitRecord]:
    """All commit records, by shard. Raises RecordDamaged for one that is none, StorageError."""
    with closing(CommitReader(store)) as reader:
        for shard in recorded_numbers(store):
            record = reader.read(shard)
            if record is not None:
                yield record


def write_failure(store: DatasetStore, failure: FailureRecord) -> None:
    """Write the last failure of a shard."""
    # Replaced, unlike commit records: the last failure is what counts, and nothing rests on it.
    store.replace_bytes(layout.failure_file(failure.shard), failure.to_line(indent=2))


def clear_failure(store: DatasetStore, shard: int) -> None:
    """Forget a failure. One that cannot be removed stays: a commit record outweighs it."""
    with suppress(StorageError):
        store.remove(layout.failure_file(shard))


def read_failure(store: DatasetStore, shard: int) -> FailureRecord | None:
    """The shard's last failure. None: none that can be read, so that the shard is simply tried again."""
    try:
        failure = FailureRecord.model_validate_json(store.read_bytes(layout.failure_file(shard)))
    except (FileNotFoundError, ValidationError, RecordDamaged):
        return None
    return failure if failure.shard == shard else None


def failed_numbers(store: DatasetStore) -> Iterator[int]:
    """Shards with a failure record, rising. One group's folder is listed at a time."""
    for group in sorted(int(name) for name in store.folders(layout.FAILURES) if name.isdecimal()):
        yield from numbers_in(store, layout.FAILURES, group)


def numbers_in(store: DatasetStore, folder: str, group: int) -> Iterator[int]:
    """Shard numbers of the records in one group's folder of `folder` (COMMITS or FAILURES), rising.

    What has another name or is of another group is left out."""
    for path in store.list(f"{folder}/{group:04d}"):
        shard = number_of(path)
        if shard is not None and path == f"{folder}/{group:04d}/{shard:07d}.json":
            yield shard


def number_of(path: str) -> int | None:
    """The number that the path of a commit or failure record states, where it lies in its group's folder."""
    match = _NUMBERED.fullmatch(path)
    if match is None or int(match[2]) != layout.group_of(int(match[3])):
        return None
    return int(match[3])
