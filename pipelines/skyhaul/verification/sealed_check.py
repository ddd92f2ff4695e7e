"""The commit records of the group at hand, sealed or not; a sealed group is proved as it is opened."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from skyhaul.dataset.commits.record_files import numbers_in, same_commit, what_is_damaged
from skyhaul.dataset.commits.sealed import SealedGroup, is_sealed
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import CommitSums
from skyhaul.verification.commit_check import WAY_OUT
from skyhaul.verification.findings import VerifyReport
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import RecordDamaged


class GroupRecords:
    """Finds commit records, group by group, and proves a sealed group as it is opened.

    It adds findings for one that is damaged or not of the plan, whose sums are not those of its records, or
    beside which lie records that say otherwise."""

    def __init__(self, store: DatasetStore, validator: CommitValidator, report: VerifyReport) -> None:
        self._store = store
        self._validator = validator
        self._report = report
        self._group = -1
        self._sealed: dict[int, bytes] | None = None
        self._damaged = False

    def find(self, shard: int) -> tuple[bool, bytes | None]:
        """(whether it is committed, its record's bytes).

        None where the file that holds it is damaged, which is told already."""
        # Shards come in rising order, so that one group is held at a time.
        group = layout.group_of(shard)
        if group != self._group:
            self._group = group
            self._open(group)
        found = self._kept(shard)
        if found is not None:
            return found
        try:
            # Whether it stands is not asked here: a shard with a record of whatever kind is not left.
            return True, self._store.read_bytes(layout.commit_file(shard))
        except FileNotFoundError:
            # `verify` may run beside a haul.
            if not is_sealed(self._store, group):
                return False, None
            # A haul that runs has sealed the group meanwhile.
            self._open(group)
            return self._kept(shard) or (False, None)
        except RecordDamaged as error:
            why = f"commit record of shard {shard}: {what_is_damaged(error)}; {WAY_OUT}"
            self._report.add("commit-unreadable", why, path=layout.commit_file(shard), shard=shard)
            return True, None

    def _kept(self, shard: int) -> tuple[bool, bytes | None] | None:
        """As `find`, from the sealed file; None where the group is not sealed."""
        if self._damaged:
            return True, None
        return None if self._sealed is None else (True, self._sealed[shard])

    def _open(self, group: int) -> None:
        self._sealed, self._damaged = None, False
        path = layout.sealed_file(group)
        try:
            with SealedGroup(self._store, group) as sealed:
                self._sealed, sums = sealed.records(), sealed.sums
        except FileNotFoundError:
            return
        except RecordDamaged as error:
            # Told once: its thousand shards count as committed, or each would be named as left.
            self._damaged = True
            self._report.add("sealed-damaged", f"{path}: {what_is_damaged(error)}; {WAY_OUT}", path=path)
            return
        if sums.plans is not None:
            fault = self._validator.fault_of_sealed(group, sums)
            if fault is not None:
                self._report.add(fault.code, f"{path}: {fault.why}; {WAY_OUT}", path=path)
        else:
            self._report.no_digest("sealed files")
        added = CommitSums()
        for data in self._sealed.values():
            # A record that cannot be read is told of when its shard's turn comes.
            with suppress(ValidationError):
                added.add(CommitRecord.model_validate_json(data))
        due = added.of_group(group)
        # An earlier version left these out.
        missing = [name for name in ("plans", "by_source") if getattr(sums, name) is None]
        if due.model_copy(update={**dict.fromkeys(missing), "pages": sums.pages}) != sums:
            self._report.add("sealed-sums", f"{path}: its sums are not those of its records", path=path)
        self._check_beside(group, self._sealed)

    def _check_beside(self, group: int, sealed: dict[int, bytes]) -> None:
        """Check records beside the sealed file, left by a crash or a late worker: they must say the same."""
        for shard in list(numbers_in(self._store, layout.COMMITS, group)):
            path = layout.commit_file(shard)
            with suppress(FileNotFoundError):
                if not self._says(path, sealed.get(shard, b"")):
                    self._report.add(
                        "commit-twice",
                        f"{path} says otherwise than {layout.sealed_file(group)}, which counts; {WAY_OUT}",
                        path=path,
                        shard=shard,
                    )

    def _says(self, path: str, record: bytes) -> bool:
        try:
            return same_commit(record, self._store.read_bytes(path))
        except RecordDamaged:
            return False
