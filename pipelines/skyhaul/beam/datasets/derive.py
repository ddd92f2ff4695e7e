"""`CompactShards`, `ReshardRows`, `WriteShards`: datasets made of rows of datasets.

Annotations are evaluated here (no `from __future__ import annotations`): Beam reads them as type hints.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsIter, AsSingleton, PCollection
from apache_beam.transforms.window import GlobalWindows

from skyhaul.beam.datasets import coders  # noqa: F401  # registers them
from skyhaul.beam.datasets.derive_dofns import (
    ClaimFn,
    CommitFn,
    CompactShardFn,
    FinishFn,
    ListInputsFn,
    ListMembersFn,
    MergeShardFn,
    PublishPlanFn,
    SpillRowsFn,
    SpillShardFn,
    shard_numbers,
)
from skyhaul.beam.datasets.elements import mapping_of, shard_batch, shard_batches
from skyhaul.beam.datasets.listing import ListShardsFn
from skyhaul.derived.lots import Members
from skyhaul.derived.runs import RunStretch
from skyhaul.derived.spec import TARGET_SIZE, Claim, DeriveSpec, Written
from skyhaul.rows.shard_ref import ShardRef
from skyhaul.shards.row_bytes import row_bytes
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.units import parse_size

BATCH_ROWS = 1024
"""Rows of somebody's pipeline that are put into one batch. Chosen, not measured."""

Datasets = str | Sequence[str]


class CompactShards(beam.PTransform):
    """Fewer, larger shards of the same rows in the same order, as a dataset of its own.

    Applied to a pipeline. Input shards stand side by side, in their order, until `target_size` is reached;
    rows and their splits stay as they are. Gives a reference (`dataset`, `shard`, `plan`) for each shard of
    the new dataset, once all are committed and its card is written.

    Args:
        datasets: Path or URL of what is compacted, or several; all shards have to be hauled.
        into: Path or URL of the new dataset.
        target_size: Uncompressed bytes of a shard, as a number or `256MiB`.
        name: Of the new dataset.

    Raises:
        UsageError: A size that is none.
    """

    def __init__(
        self, datasets: Datasets, into: str, *, target_size: int | str = TARGET_SIZE, name: str = ""
    ) -> None:
        super().__init__()
        self._datasets = _listed(datasets)
        self._spec = DeriveSpec(into, "compact", size_of(target_size), name=name)

    def expand(self, pipeline: Any) -> Any:
        claimed = (
            pipeline
            | "Start" >> beam.Create([None])
            | "Claim" >> beam.ParDo(ClaimFn(self._spec, self._datasets)).with_output_types(Claim)
        )
        written = (
            claimed
            | "Members" >> beam.ParDo(ListMembersFn(self._spec)).with_output_types(tuple[int, Members])
            | "Spread" >> beam.Reshuffle()
            | "Compact" >> beam.ParDo(CompactShardFn(self._spec, self._datasets)).with_output_types(Written)
        )
        return _settled(self._spec, claimed, written)

    def display_data(self) -> dict[str, Any]:
        return _displayed(self._spec)


class ReshardRows(beam.PTransform):
    """All rows in another order, that of a seed, in shards of about equal size, as a dataset of its own.

    Applied to a pipeline. The order is one of the whole dataset, and a function of the seed and each row's id
    alone; rows keep their splits. Gives what `CompactShards` gives.

    Args:
        datasets: Path or URL of what is shuffled, or several; all shards have to be hauled.
        into: Path or URL of the new dataset.
        seed: Of the order.
        target_size: Uncompressed bytes of a shard, as a number or `256MiB`. A worker holds one shard.
        name: Of the new dataset.

    Raises:
        UsageError: A size that is none.
    """

    def __init__(
        self,
        datasets: Datasets,
        into: str,
        *,
        seed: int,
        target_size: int | str = TARGET_SIZE,
        name: str = "",
    ) -> None:
        super().__init__()
        self._datasets = _listed(datasets)
        self._spec = DeriveSpec(into, "reshard", size_of(target_size), seed, name=name)

    def expand(self, pipeline: Any) -> Any:
        claimed = (
            pipeline
            | "Start" >> beam.Create([None])
            | "Claim" >> beam.ParDo(ClaimFn(self._spec, self._datasets)).with_output_types(Claim)
        )
        stretches = (
            claimed
            | "Inputs" >> beam.ParDo(ListInputsFn(self._spec)).with_output_types(tuple[int, int])
            | "Spread" >> beam.Reshuffle()
            | "Sort"
            >> beam.ParDo(
                SpillShardFn(self._spec, self._datasets), claimed_=AsSingleton(claimed)
            ).with_output_types(tuple[int, RunStretch])
        )
        return _settled(self._spec, claimed, _merged(self._spec, claimed, stretches))

    def display_data(self) -> dict[str, Any]:
        return _displayed(self._spec)


class WriteShards(beam.PTransform):
    """Rows of a pipeline as a dataset: skyhaul's Parquet writer as a sink.

    Elements are rows as `ReadShards(provenance=True)` gives them (Beam rows, named tuples, mappings or record
    batches). They keep the fields of their provenance, of which `id` is made; `split` is theirs, or `train`.
    Nothing is ever replaced, and a bundle that is done again writes the same: shards take equal stretches of
    a keyed hash, and rows are sorted in it, so that runner, parallelism and order of arrival reach no byte.
    What is derived from datasets may leave rows out, which is counted, and may add none. Gives what
    `CompactShards` gives.

    Args:
        dataset: Path or URL of the new dataset.
        derived_from: Path or URL of the dataset that the rows come from, or several, whose shards all have to
            be hauled; or what `Haul` gives, or a PCollection of receipts; or None for rows of no dataset.
        made_by: Name and version of the pipeline, such as `clean 3`; part of the plan's digest.
        target_size: Uncompressed bytes of a shard, as a number or `256MiB`. A worker holds one shard.
        shards: Their number instead; 0: by `target_size`.
        seed: Of the order of rows.
        schema: The record schema, where the rows are of no dataset.
        name: Of the new dataset.

    Raises:
        UsageError: A size that is none, or `made_by` is missing.
    """

    def __init__(
        self,
        dataset: str,
        *,
        derived_from: Any = None,
        made_by: str = "",
        target_size: int | str = TARGET_SIZE,
        shards: int = 0,
        seed: int = 0,
        schema: str = "document",
        name: str = "",
    ) -> None:
        super().__init__()
        if derived_from is not None and not made_by:
            raise UsageError(
                "WriteShards: say `made_by`, name and version of what changes the rows: 'clean 3'"
            )
        self._derived_from = derived_from
        self._spec = DeriveSpec(
            dataset, "write", size_of(target_size), seed, made_by, schema, shards, name=name
        )

    def expand(self, rows: Any) -> Any:
        spec = self._spec
        # The result of a haul in the same pipeline stands for its receipts.
        source = getattr(self._derived_from, "shards", self._derived_from)
        start = rows.pipeline | "Start" >> beam.Create([None])
        batches = (
            rows
            | "AnyWindow" >> beam.WindowInto(GlobalWindows())
            | "Batch" >> beam.ParDo(BatchRowsFn(spec.schema)).with_output_types(tuple[str, pa.RecordBatch])
        )
        if isinstance(source, PCollection):
            refs = source | "Receipts" >> beam.ParDo(ListShardsFn()).with_output_types(ShardRef)
            claiming = beam.ParDo(ClaimFn(spec, ()), refs=AsIter(refs))
        elif source is not None:
            claiming = beam.ParDo(ClaimFn(spec, _listed(source)))
        elif spec.shards:
            claiming = beam.ParDo(ClaimFn(spec, ()))
        else:
            total = batches | "Size" >> beam.Map(_bytes_of) | "Sum" >> beam.CombineGlobally(sum)
            claiming = beam.ParDo(ClaimFn(spec, ()), raw_bytes=AsSingleton(total))
        claimed = start | "Claim" >> claiming.with_output_types(Claim)
        stretches = batches | "Sort" >> beam.ParDo(
            SpillRowsFn(spec), claimed_=AsSingleton(claimed)
        ).with_output_types(tuple[int, RunStretch])
        return _settled(spec, claimed, _merged(spec, claimed, stretches))

    def display_data(self) -> dict[str, Any]:
        return {**_displayed(self._spec), "made_by": self._spec.made_by}


class BatchRowsFn(beam.DoFn):
    """Rows in, (split, record batch) out, in whatever batches a bundle makes."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    def start_bundle(self) -> None:
        self._held: list[Any] = []

    def process(self, row: Any) -> Iterator[tuple[str, pa.RecordBatch]]:
        if isinstance(row, pa.RecordBatch):
            yield from shard_batch(row, self._schema)
            return
        self._held.append(mapping_of(row))
        if len(self._held) >= BATCH_ROWS:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        for found in self._flush():
            yield GlobalWindows.windowed_value(found)

    def _flush(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        held, self._held = self._held, []
        yield from shard_batches(held, self._schema)


def _bytes_of(rows: tuple[str, pa.RecordBatch]) -> int:
    return int(row_bytes(rows[1]).sum())


def _merged(spec: DeriveSpec, claimed: Any, stretches: Any) -> Any:
    numbers = claimed | "Shards" >> beam.FlatMap(shard_numbers).with_output_types(tuple[int, RunStretch])
    return (
        (stretches, numbers)
        | "Both" >> beam.Flatten()
        | "ByShard" >> beam.GroupByKey()
        | "Merge" >> beam.ParDo(MergeShardFn(spec)).with_output_types(Written)
    )


def _settled(spec: DeriveSpec, claimed: Any, written: Any) -> Any:
    """The plan once all is written, commits once there is the plan, the card once all is committed."""
    written = written | "Written" >> beam.Reshuffle()
    runner = type(claimed.pipeline.runner).__name__
    plan = claimed | "Plan" >> beam.ParDo(PublishPlanFn(spec), everything=AsIter(written)).with_output_types(
        str
    )
    # Reshuffled once more: Beam 2.77's local runner fuses commits with what the plan waits for, and then
    # makes the plan of nothing.
    waiting = written | "Waiting" >> beam.Reshuffle()
    commits = waiting | "Commit" >> beam.ParDo(CommitFn(spec), plan=AsSingleton(plan)).with_output_types(int)
    return claimed | "Finish" >> beam.ParDo(
        FinishFn(spec, runner), commits=AsIter(commits)
    ).with_output_types(ShardRef)


def _listed(datasets: Datasets) -> tuple[str, ...]:
    return (datasets,) if isinstance(datasets, str) else tuple(datasets)


def size_of(size: int | str) -> int:
    """Bytes of `256MiB`, or of a number. Raises UsageError."""
    try:
        found = parse_size(size) if isinstance(size, str) else int(size)
    except ValueError as error:
        raise UsageError(f"target_size: {error}") from None
    if found < 1:
        raise UsageError(f"target_size: found {found}, allowed is at least 1 byte")
    return found


def _displayed(spec: DeriveSpec) -> dict[str, Any]:
    return {"kind": spec.kind, "target_size": spec.target_size, "seed": spec.seed}
