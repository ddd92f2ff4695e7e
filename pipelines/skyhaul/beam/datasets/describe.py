"""`DescribeRows`: counts, nulls, lengths, quantiles, languages and tokens of rows.

Annotations are evaluated here (no `from __future__ import annotations`): Beam reads them as type hints.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Timestamp

from skyhaul.beam.datasets.elements import arrow_types, mapping_of
from skyhaul.beam.datasets.read_shards import ReadShards
from skyhaul.dataset.description import write_description
from skyhaul.dataset.storage.opening import open_store
from skyhaul.describing.rows import Count, Description
from skyhaul.describing.tokenizing import tokenizer_of
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

BATCH_ROWS = 1024
"""Rows that are described at once. Chosen, not measured."""


class DescribeRows(beam.PTransform):
    """What rows are like: one mapping, that of `skyhaul describe --json`.

    Applied to rows or record batches, such as those of `ReadShards`, it describes them, by split where they
    have one. Applied to a pipeline with a `dataset`, it describes all rows of that, keeps the result in
    `_skyhaul/stats/describe.json`, and puts it into the dataset's card. Quantiles are off by less than 0.4 %;
    all else is exact, and nothing depends on the order or the batches in which rows come.

    Args:
        dataset: Path or URL; only for the root of a pipeline.
        tokenizer: Counts tokens of `text`: `package.module:name` of what takes a text and gives its tokens or
            their number, or the path of a `tokenizer.json`.
        keep: False: keep nothing in the dataset.

    Raises:
        UsageError: There is no such dataset or tokenizer.
    """

    def __init__(
        self, dataset: str | None = None, *, tokenizer: str | None = None, keep: bool = True
    ) -> None:
        super().__init__()
        if tokenizer is not None:
            tokenizer_of(tokenizer)
        self._dataset = dataset
        self._tokenizer = tokenizer
        self._keep = keep

    def expand(self, rows: Any) -> Any:
        if isinstance(rows, PBegin):
            if self._dataset is None:
                raise UsageError("DescribeRows at the root of a pipeline needs a dataset")
            rows = rows | "Read" >> ReadShards(self._dataset, provenance=["split"], batches=True)
        elif self._dataset is not None:
            raise UsageError("DescribeRows of a PCollection takes no dataset: its elements are described")
        described = (
            rows
            | "AnyWindow" >> beam.WindowInto(GlobalWindows())
            | "Batch" >> beam.ParDo(BatchFn(arrow_types(rows.element_type))).with_output_types(pa.RecordBatch)
            | "Describe" >> beam.CombineGlobally(DescribeFn(self._tokenizer))
        )
        if self._dataset is None or not self._keep:
            return described
        return described | "Keep" >> beam.ParDo(KeepFn(self._dataset)).with_output_types(dict[str, Any])


class BatchFn(beam.DoFn):
    """Rows in, record batches out; batches pass.

    Args:
        types: Of the columns whose types are known."""

    def __init__(self, types: Mapping[str, pa.DataType]) -> None:
        self._types = dict(types)

    def start_bundle(self) -> None:
        self._held: list[Any] = []

    def process(self, row: Any) -> Iterator[pa.RecordBatch]:
        if isinstance(row, pa.RecordBatch):
            yield row
            return
        self._held.append({name: _plain(value) for name, value in mapping_of(row).items()})
        if len(self._held) >= BATCH_ROWS:
            yield self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        if self._held:
            yield GlobalWindows.windowed_value(self._flush())

    def _flush(self) -> pa.RecordBatch:
        held, self._held = self._held, []
        columns = {name: [row.get(name) for row in held] for name in held[0]}
        return pa.record_batch({name: self._array(name, values) for name, values in columns.items()})

    def _array(self, name: str, values: list[Any]) -> pa.Array:
        try:
            return pa.array(values, self._types.get(name))
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            why = printable(str(error).partition("\n")[0])
            raise UsageError(f"column {printable(name)!r}: its values are of several types: {why}") from None


def _plain(value: Any) -> Any:
    return value.to_utc_datetime(has_tz=True) if isinstance(value, Timestamp) else value


class DescribeFn(beam.CombineFn):
    """Record batches in, what is told of them out."""

    def __init__(self, tokenizer: str | None) -> None:
        self._tokenizer = tokenizer
        self._count: Count | None = None

    def setup(self) -> None:
        self._count = None if self._tokenizer is None else tokenizer_of(self._tokenizer)

    def create_accumulator(self) -> Description:
        return Description()

    def add_input(self, described: Description, rows: pa.RecordBatch) -> Description:
        described.add(rows, self._count)
        return described

    def merge_accumulators(self, parts: Iterable[Description]) -> Description:
        whole = Description()
        for part in parts:
            whole.merge(part)
        return whole

    def extract_output(self, described: Description) -> dict[str, Any]:
        return {"tokenizer": self._tokenizer, **described.to_json()}


class KeepFn(beam.DoFn):
    """Puts the result into the dataset."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset

    def process(self, described: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with closing(open_store(self._dataset, writable=True)) as store:
            with closing(Plan.open(store)) as plan:
                digest = plan.header.digest
            yield write_description(store, digest, described)
