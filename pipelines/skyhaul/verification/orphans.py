"""What lies in the dataset's data and rejects without a commit record that speaks of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import DATA_FILE
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord

_REJECTS_FILE = re.compile(r"_skyhaul/rejects/(\d{4,})/(\d{7,})\.parquet")
"""Group and shard of a rejects file's path."""


class OrphanCheck:
    """Told of a group's commit records, then lists the group's folders.

    Files of planned shards that are not committed are no orphans: a crash leaves them between their
    publication and the commit record, and the next run takes them over.

    Args:
        found: Called with the path of each orphan, the shard that it is named as, and why it is one."""

    def __init__(
        self, store: DatasetStore, shards: int, found: Callable[[str, int | None, str], None]
    ) -> None:
        self._store = store
        self._shards = shards
        self._found = found
        self._expected: set[str] = set()
        self._committed: set[int] = set()
        self._unreadable: set[int] = set()

    def committed(self, shard: int, record: CommitRecord | None) -> None:
        """Take in a commit record of the present group; None: there is one, but it cannot be read."""
        self._committed.add(shard)
        if record is None:
            self._unreadable.add(shard)
            return
        self._expected.update(file.path for file in record.files)
        if record.rejects:
            self._expected.add(record.rejects.path)

    def check_group(self, group: int) -> None:
        """Report the orphans in the group's folders, and forget the group."""
        for path in self._store.list(f"{layout.DATA}/{group:04d}"):
            match = DATA_FILE.fullmatch(path)
            # A path that matches may still not be the one that a haul writes (`0000012` with a zero more).
            proper = match and layout.data_file(int(match[3]), match[2], int(match[4])) == path
            self._check(path, int(match[3]) if match and proper else None)
        for path in self._store.list(f"{layout.REJECTS}/{group:04d}"):
            match = _REJECTS_FILE.fullmatch(path)
            proper = match and layout.rejects_file(int(match[2])) == path
            self._check(path, int(match[2]) if match and proper else None)
        # A group's names are forgotten with it: memory does not grow with the dataset.
        self._expected.clear()
        self._committed.clear()
        self._unreadable.clear()

    def _check(self, path: str, shard: int | None) -> None:
        if path in self._expected or shard in self._unreadable:
            return
        if shard is None:
            self._add(path, None, "no name of a shard's file")
        elif shard in self._committed:
            self._add(
                path,
                shard,
                f"shard {shard} was committed without it: it is there under another name too, or is of the"
                " shard as it was before an amendment, which `skyhaul run` sets aside",
            )
        elif shard >= self._shards:
            self._add(path, shard, f"the plan ends with shard {self._shards - 1}")

    def check_folders(self) -> None:
        """Report files in folders of no group of the plan, and files beside the groups' folders."""
        last = layout.group_of(self._shards - 1)
        for root in (layout.DATA, layout.REJECTS):
            for path in self._store.list(root):
                group, inside, _ = path.removeprefix(f"{root}/").partition("/")
                known = group.isdecimal() and int(group) <= last and group == f"{int(group):04d}"
                if not (inside and known):
                    self._add(path, None, "it is in no group of the plan")

    def _add(self, path: str, shard: int | None, why: str) -> None:
        self._found(path, shard, why)
