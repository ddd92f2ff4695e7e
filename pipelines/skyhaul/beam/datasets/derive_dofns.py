"""The steps of deriving a dataset: thin, for `skyhaul.derived` has what they do.

Annotations are evaluated here (no `from __future__ import annotations`): Beam reads them as type hints.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows

from skyhaul.beam.datasets.listing import KeptDatasets
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.derived.claiming import InputDataset, claim, members_of
from skyhaul.derived.derivation import Derivation, claimed
from skyhaul.derived.inputs import read_inputs
from skyhaul.derived.lots import Members
from skyhaul.derived.runs import RunStretch, RunWriter, folder_of, merged
from skyhaul.derived.settling import commit_written, finish, publish_plan
from skyhaul.derived.shard_writer import write_shard
from skyhaul.derived.spec import Claim, DeriveSpec, Written
from skyhaul.rows.committed_rows import splits_of
from skyhaul.rows.shard_ref import ShardRef

NOTHING = RunStretch("", 0, 0, "")
"""Stands for the shard itself, so that one without rows is written too."""


class _OnDataset(beam.DoFn):
    """Has the derived dataset open between `setup` and `teardown`."""

    def __init__(self, spec: DeriveSpec) -> None:
        self._spec = spec

    def setup(self) -> None:
        self._store: DatasetStore = open_store(self._spec.dataset, writable=True)
        self._derivation: Derivation | None = None

    def teardown(self) -> None:
        self._store.close()

    def derivation(self) -> Derivation:
        """The one that the folder is claimed by."""
        if self._derivation is None:
            self._derivation = claimed(self._store)
        return self._derivation


class ClaimFn(_OnDataset):
    """Pins the inputs: datasets, or shards that receipts named."""

    def __init__(self, spec: DeriveSpec, datasets: Sequence[str]) -> None:
        super().__init__(spec)
        self._datasets = tuple(datasets)

    def process(self, _: Any, refs: Iterable[ShardRef] = (), raw_bytes: int | None = None) -> Iterator[Claim]:
        shards: dict[str, set[int]] = {}
        for ref in refs:
            shards.setdefault(ref.dataset, set()).add(ref.shard)
        inputs = [InputDataset(dataset) for dataset in self._datasets]
        inputs += [InputDataset(dataset, frozenset(shards[dataset])) for dataset in sorted(shards)]
        yield claim(self._store, self._spec, inputs, raw_bytes)


class ListInputsFn(_OnDataset):
    """(input, shard) of each shard that is pinned."""

    def process(self, claimed_: Claim) -> Iterator[tuple[int, int]]:
        last: tuple[int, int] | None = None
        for file in () if claimed_.done else read_inputs(self._store):
            place = (file.input, file.shard)
            if place != last:
                yield place
            last = place


class ListMembersFn(_OnDataset):
    """The shards of a compacted dataset, each with its members."""

    def process(self, claimed_: Claim) -> Iterator[tuple[int, Members]]:
        if claimed_.done:
            return
        number = -1
        for number, members in enumerate(members_of(self._store, self._spec)):
            yield number, members
        # Of inputs without a row there is one shard all the same.
        if number < 0:
            yield 0, ()


def shard_numbers(claimed_: Claim) -> Iterator[tuple[int, RunStretch]]:
    """Each shard of a shuffled dataset once."""
    if not claimed_.done:
        for number in range(claimed_.shards):
            yield number, NOTHING


class _Spilling(_OnDataset):
    """Rows in, (shard, stretch of a sorted run) out; what a bundle has left is written at its end."""

    def start_bundle(self) -> None:
        self._runs: RunWriter | None = None

    def _add(self, split: str, rows: pa.RecordBatch, shards: int) -> Iterator[tuple[int, RunStretch]]:
        if self._runs is None:
            folder = folder_of(self.derivation().digest())
            self._runs = RunWriter(self._store, folder, self._spec.seed, shards)
        yield from self._runs.add(split, rows)

    def finish_bundle(self) -> Iterator[Any]:
        if self._runs is not None:
            for found in self._runs.flush():
                yield GlobalWindows.windowed_value(found)


class SpillShardFn(_Spilling):
    """The rows of an input's shard, whose files are held against their digests."""

    def __init__(self, spec: DeriveSpec, datasets: Sequence[str]) -> None:
        super().__init__(spec)
        self._datasets = tuple(datasets)

    def setup(self) -> None:
        super().setup()
        self._kept = KeptDatasets()

    def process(self, place: tuple[int, int], claimed_: Claim) -> Iterator[tuple[int, RunStretch]]:
        rows = self._kept.of(self._datasets[place[0]])
        for stretch in rows.stretches(rows.record(place[1]), digests=True):
            Metrics.counter("skyhaul", "rows_read").inc(stretch.batch.num_rows)
            yield from self._add(stretch.split, stretch.batch, claimed_.shards)

    def teardown(self) -> None:
        self._kept.close()
        super().teardown()


class SpillRowsFn(_Spilling):
    """Rows that somebody's pipeline gives."""

    def process(self, rows: tuple[str, pa.RecordBatch], claimed_: Claim) -> Iterator[tuple[int, RunStretch]]:
        if not claimed_.done:
            yield from self._add(rows[0], rows[1], claimed_.shards)


class MergeShardFn(_OnDataset):
    """The stretches of a shard in, its files written."""

    def process(self, shard: tuple[int, Iterable[RunStretch]]) -> Iterator[Written]:
        stretches = [RunStretch(*stretch) for stretch in shard[1] if stretch.path]
        written = write_shard(self._store, self.derivation(), shard[0], merged(self._store, stretches))
        Metrics.counter("skyhaul", "rows_written").inc(written.rows)
        yield written


class CompactShardFn(_OnDataset):
    """The members of a shard in, its files written, in their order."""

    def __init__(self, spec: DeriveSpec, datasets: Sequence[str]) -> None:
        super().__init__(spec)
        self._datasets = tuple(datasets)

    def setup(self) -> None:
        super().setup()
        self._kept = KeptDatasets()

    def process(self, shard: tuple[int, Members]) -> Iterator[Written]:
        written = write_shard(self._store, self.derivation(), shard[0], self._rows(shard[1]))
        Metrics.counter("skyhaul", "rows_written").inc(written.rows)
        yield written

    def _rows(self, members: Members) -> Iterator[tuple[str, pa.RecordBatch]]:
        held = []
        for which, number in members:
            rows = self._kept.of(self._datasets[which])
            held.append((rows, rows.record(number)))
        splits = {split for _, record in held for split in splits_of(record)}
        for split in sorted(splits):
            for rows, record in held:
                for stretch in rows.stretches(record, digests=True, split=split):
                    yield split, stretch.batch

    def teardown(self) -> None:
        self._kept.close()
        super().teardown()


class PublishPlanFn(_OnDataset):
    """All shards in, the plan's digest out."""

    def process(self, claimed_: Claim, everything: Iterable[Written]) -> Iterator[str]:
        if claimed_.done:
            yield ""
        else:
            yield publish_plan(self._store, self._spec, everything, claimed_.about)


class CommitFn(_OnDataset):
    """Commits what was written, once the plan is there."""

    def process(self, written: Written, plan: str) -> Iterator[int]:
        commit_written(self._store, plan, written)
        yield written.shard


class FinishFn(_OnDataset):
    """The last step: card and run record; then the dataset can be read."""

    def __init__(self, spec: DeriveSpec, runner: str) -> None:
        super().__init__(spec)
        self._runner = runner
        self._started = datetime.now(UTC).isoformat()

    def process(self, _: Claim, commits: Iterable[int]) -> Iterator[ShardRef]:
        for _shard in commits:
            pass  # read to its end: the barrier
        finish(self._store, self._started, self._runner)
        with closing(KeptDatasets()) as kept:
            for record in kept.of(self._spec.dataset).records():
                yield ShardRef(self._spec.dataset, record.shard, record.plan)
