"""Committed files that are broken: what `skyhaul replay --damaged` hauls again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from skyhaul.dataset.commits import CommitReader, committed_numbers
from skyhaul.dataset.intact import fault_in_file
from skyhaul.dataset.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.errors import RecordDamaged


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """mendable: hauling the shard again can put it right."""

    shard: int
    path: str
    fault: str
    mendable: bool = True


def broken_files(
    store: DatasetStore, shards: int, read: Callable[[int], None], only: frozenset[int] = frozenset()
) -> Iterator[BrokenFile]:
    """Broken files of the committed shards below `shards` (`only` these, if any), by shard; every file is
    read. read: called with the bytes just digested."""
    with closing(CommitReader(store)) as reader:
        for shard in committed_numbers(store):
            if shard >= shards:
                return
            if only and shard not in only:
                continue
            try:
                record = reader.read(shard)
            except RecordDamaged:
                path = layout.commit_file(shard)
                yield BrokenFile(shard, path, "it is no commit record", mendable=False)
                continue
            if record is None:
                continue
            for entry in [*record.files, *([record.rejects] if record.rejects else [])]:
                fault = fault_in_file(store, entry, read)
                if fault is not None:
                    yield BrokenFile(shard, entry.path, fault)
