"""From receipts, paths and URLs to references of committed shards.

Annotations are evaluated here (no `from __future__ import annotations`): Beam reads them as type hints.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import apache_beam as beam

from skyhaul.beam.datasets import coders  # noqa: F401  # registers them
from skyhaul.rows.committed_rows import CommittedRows
from skyhaul.rows.shard_ref import ShardRef, ref_of


class ListShardsFn(beam.DoFn):
    """A path or URL of a dataset: each shard that its commit records name.

    A receipt: its own shard, if it was committed."""

    def process(self, element: Any) -> Iterator[ShardRef]:
        if not isinstance(element, str):
            ref = ref_of(element)
            if ref is not None:
                yield ref
            return
        with closing(CommittedRows(element)) as rows:
            for record in rows.records():
                yield ShardRef(element, record.shard, record.plan)


class KeptDatasets:
    """The datasets that one worker has open. Not safe among threads; not pickled."""

    def __init__(self) -> None:
        self._open: dict[str, CommittedRows] = {}

    def of(self, dataset: str) -> CommittedRows:
        """The dataset, opened at the first call. Raises UsageError, PlanDamaged, StorageError."""
        rows = self._open.get(dataset)
        if rows is None:
            rows = self._open[dataset] = CommittedRows(dataset)
        return rows

    def reopened(self, dataset: str) -> CommittedRows:
        """The dataset as it is now: its plan may have grown since it was opened."""
        self._open.pop(dataset).close()
        return self.of(dataset)

    def close(self) -> None:
        """Close them all."""
        for rows in self._open.values():
            rows.close()
        self._open.clear()
