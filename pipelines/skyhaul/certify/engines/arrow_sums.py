"""Sums over Arrow batches, for the engines that hand over those."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.certify.engine_reading import Request, SplitReading


def summed(batches: Iterable[pa.RecordBatch | pa.Table], request: Request) -> SplitReading:
    """One batch is held at a time."""
    rows = id_bytes = body_bytes = source_bytes = 0
    nulls = dict.fromkeys(request.columns, 0)
    for batch in batches:
        rows += batch.num_rows
        id_bytes += _sum(pc.binary_length(batch.column("id")))
        body_bytes += _sum(pc.binary_length(batch.column(request.body)))
        source_bytes += _sum(pc.struct_field(batch.column("provenance"), "length"))
        for name in request.columns:
            nulls[name] += batch.column(name).null_count
    return SplitReading(rows, id_bytes, body_bytes, source_bytes, nulls)


def _sum(array: pa.Array | pa.ChunkedArray) -> int:
    # None is the sum of an empty batch.
    return pc.sum(array.cast(pa.int64())).as_py() or 0
