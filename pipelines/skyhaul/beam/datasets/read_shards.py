"""`ReadShards`: from committed shards to rows.

Annotations are evaluated here (no `from __future__ import annotations`): Beam reads them as type hints.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from skyhaul.beam.datasets.elements import (
    Provenance,
    given_batch,
    given_schema,
    read_columns,
    row_type,
    rows_of,
)
from skyhaul.beam.datasets.listing import KeptDatasets, ListShardsFn
from skyhaul.rows.committed_rows import CommittedRows
from skyhaul.rows.shard_ref import ShardRef
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.records import BODIES, RecordSchema, planned_schema, shard_schema


class ReadShards(beam.PTransform):
    """Rows of committed shards, in a schema of Beam's.

    Applied to a pipeline with a `dataset`, it reads that one; applied to a PCollection, it reads the shards
    of the receipts, or the datasets of the paths and URLs, that are its elements. Commit records decide what
    is read: a shard that failed or was put off has no rows. Each file is held against its record first, by
    size, schema, number of rows and the checksums of its pages.

    Args:
        dataset: Path or URL; only for the root of a pipeline.
        schema: The record schema of the rows, where elements say what is read: `document`, `reading`, `image`
            or `blob`. A dataset of another one fails the pipeline.
        columns: Those of the schema that are read, in this order; None: all.
        provenance: Beside them, flat, `source`, `object`, `version`, `offset`, `length` (where the row comes
            from) and `dataset`, `shard`, `split` (where it was read); or some of these by name.
        batches: Give `pyarrow.RecordBatch` of some thousand rows instead of rows.
        digests: Hold each file against its sha256, too, which reads it once more.

    Raises:
        UsageError: There is no such dataset, column or schema.
    """

    def __init__(
        self,
        dataset: str | None = None,
        *,
        schema: RecordSchema | None = None,
        columns: Sequence[str] | None = None,
        provenance: Provenance = False,
        batches: bool = False,
        digests: bool = False,
    ) -> None:
        super().__init__()
        self._dataset = dataset
        self._schema = schema
        self._columns = columns
        self._provenance = provenance
        self._batches = batches
        self._digests = digests

    def expand(self, source: Any) -> Any:
        schema = self._record_schema()
        given = given_schema(shard_schema(schema), self._columns, self._provenance)
        if isinstance(source, PBegin):
            if self._dataset is None:
                raise UsageError("ReadShards at the root of a pipeline needs a dataset")
            source = source | "Dataset" >> beam.Create([self._dataset])
        elif self._dataset is not None:
            raise UsageError("ReadShards of a PCollection takes no dataset: its elements say what is read")
        read = ReadShardFn(schema, given, self._batches, self._digests)
        kind: Any = pa.RecordBatch if self._batches else row_type(given)
        return (
            source
            | "ListShards" >> beam.ParDo(ListShardsFn()).with_output_types(ShardRef)
            # References travel and rows do not; and what comes before (a haul over a link) waits for nobody.
            | "Spread" >> beam.Reshuffle()
            | "ReadShard" >> beam.ParDo(read).with_output_types(kind)
        )

    def _record_schema(self) -> RecordSchema:
        if self._schema is None and self._dataset is not None:
            with closing(CommittedRows(self._dataset)) as rows:
                self._schema = planned_schema(rows.plan.header.job["schema"])
        name = self._schema or "document"
        if isinstance(name, str) and name not in BODIES:
            raise UsageError(f"there is no record schema {name!r}; it is one of {', '.join(sorted(BODIES))}")
        return name

    def display_data(self) -> dict[str, Any]:
        return {"schema": str(self._schema or "document"), "columns": ", ".join(self._columns or ["all"])}


class ReadShardFn(beam.DoFn):
    """A reference in, its rows out."""

    def __init__(self, schema: RecordSchema, given: pa.Schema, batches: bool, digests: bool) -> None:
        self._schema = schema
        self._given = given
        self._batches = batches
        self._digests = digests

    def setup(self) -> None:
        self._kept = KeptDatasets()

    def process(self, ref: ShardRef) -> Iterator[Any]:
        rows = self._kept.of(ref.dataset)
        if ref.shard >= rows.plan.header.shards:
            rows = self._kept.reopened(ref.dataset)
        found = planned_schema(rows.plan.header.job["schema"])
        if found != self._schema:
            advice = f"say `schema={found!r}`" if isinstance(found, str) else "give the OwnSchema of its job"
            raise UsageError(
                f"dataset {rows.store.place} has rows of schema {found}, and ReadShards reads {self._schema};"
                f" {advice}"
            )
        record = rows.record(ref.shard, ref.plan)
        columns = read_columns(self._given)
        for stretch in rows.stretches(record, columns, digests=self._digests):
            batch = given_batch(stretch, rows.store.place, self._given)
            if self._batches:
                yield batch
            else:
                yield from rows_of(batch)

    def teardown(self) -> None:
        self._kept.close()
