"""Hugging Face `datasets`, as the dataset card tells it to load the folder."""

from __future__ import annotations

from collections.abc import Iterator

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.certify.engine_reading import Reading, Request, Schema, schema_of
from skyhaul.certify.engines.arrow_sums import summed


def read(request: Request, streaming: bool) -> Reading:
    """Without `streaming`, `datasets` first copies the split into its cache, uncompressed."""
    datasets.disable_progress_bars()
    schema: Schema = ()
    splits = {}
    for split in request.splits:
        loaded = datasets.load_dataset(request.dataset, split=split, streaming=streaming)
        schema = schema_of(_as_stored(loaded.features.arrow_schema.empty_table()).schema)
        splits[split] = summed(_tables(loaded), request)
        if not streaming and loaded.num_rows != splits[split].rows:
            raise ValueError(f"split {split} has {loaded.num_rows} rows and yields {splits[split].rows}")
    return Reading(datasets.__version__, schema, splits)


def _tables(loaded: datasets.Dataset | datasets.IterableDataset) -> Iterator[pa.Table]:
    for table in loaded.with_format("arrow").iter(batch_size=1000):
        yield _as_stored(table)


def _as_stored(table: pa.Table) -> pa.Table:
    """`table` with the bytes of images and audio, which the card has `datasets` hold beside a path."""
    for place, field in enumerate(table.schema):
        if pa.types.is_struct(field.type) and [inner.name for inner in field.type] == ["bytes", "path"]:
            table = table.set_column(place, field.name, pc.struct_field(table.column(place), "bytes"))
    return table
