"""The commit records of the group at hand, sealed or not; a sealed group is proved as it is opened."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from skyhaul.dataset.commits import numbers_in, same_commit
from skyhaul.dataset.sealed import SealedGroup
from skyhaul.dataset.store import DatasetStore
from skyhaul.dataset.sums import CommitSums
from skyhaul.verify.report import VerifyReport
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import RecordDamaged


class GroupRecords:
    """Adds findings for a sealed group that is damaged, whose sums are not those of its records, or beside
    which lie records that say otherwise."""

    def __init__(self, store: DatasetStore, report: VerifyReport) -> None:
        self._store = store
        self._report = report
        self._group = -1
        self._sealed: dict[int, bytes] | None = None
        self._damaged = False

    def find(self, shard: int) -> tuple[bool, bytes | None]:
        """(whether it is committed, its record's bytes); None where the file that holds it is damaged, which
        is told already."""
        group = layout.group_of(shard)
        if group != self._group:
            self._group = group
            self._open(group)
        if self._damaged:
            return True, None
        if self._sealed is not None:
            return True, self._sealed[shard]
        try:
            return True, self._store.read_bytes(layout.commit_file(shard))
        except FileNotFoundError:
            return False, None

    def _open(self, group: int) -> None:
        self._sealed, self._damaged = None, False
        path = layout.sealed_file(group)
        try:
            with SealedGroup(self._store, group) as sealed:
                self._sealed, sums = sealed.records(), sealed.sums
        except FileNotFoundError:
            return
        except RecordDamaged as error:
            self._damaged = True
            self._report.add("sealed-damaged", str(error), path=path)
            return
        added = CommitSums()
        for data in self._sealed.values():
            # A record that cannot be read is told of when its shard's turn comes.
            with suppress(ValidationError):
                added.add(CommitRecord.model_validate_json(data))
        if added.of_group(group) != sums:
            self._report.add("sealed-sums", f"{path}: its sums are not those of its records", path=path)
        self._check_beside(group, self._sealed)

    def _check_beside(self, group: int, sealed: dict[int, bytes]) -> None:
        """Records beside the sealed file were left by a crash or a late worker; they have to say the same."""
        for shard in list(numbers_in(self._store, layout.COMMITS, group)):
            path = layout.commit_file(shard)
            with suppress(FileNotFoundError):
                if not same_commit(sealed.get(shard, b""), self._store.read_bytes(path)):
                    self._report.add(
                        "commit-twice",
                        f"{path} says otherwise than {layout.sealed_file(group)}, which counts",
                        path=path,
                        shard=shard,
                    )
