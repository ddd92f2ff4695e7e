"""What the plain scripts share: the columns of a `document` shard, and Parquet written as a shard is.

The same columns, codec, level, row-group bytes and Parquet options; no links, no checks of what a library
lets through, no checkpoints, no commit. pandas stays out of their start as it does of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skyhaul.cli.lean_start import import_arrow
from skyhaul.shards.parquet import BULK, DICTIONARY
from skyhaul_schemas.records import PROVENANCE, shard_schema

SCHEMA = shard_schema("document")
ROW_GROUP = 64 * 1024 * 1024
LEVEL = 3

_LEAVES = ["id", "text", "source_id", "url", "language", "created", "metadata"] + [
    f"provenance.{field.name}" for field in PROVENANCE
]


def start() -> None:
    import_arrow()
    pa.set_cpu_count(1)


def documents(columns: Mapping[str, pa.Array], offsets: pa.Array, name: str) -> pa.RecordBatch:
    """A batch of the shard's schema; `offsets` within the object `name`."""
    count = len(offsets)
    names = pa.repeat(pa.scalar(name), count)
    provenance = [pa.repeat(pa.scalar("lines"), count), names, names, offsets, offsets]
    all_columns: dict[str, pa.Array] = {
        **columns,
        "id": pc.binary_join_element_wise(names, offsets.cast(pa.string()), "#"),
        "provenance": pa.StructArray.from_arrays(provenance, fields=list(PROVENANCE)),
    }
    return pa.RecordBatch.from_arrays(
        [all_columns[f.name] if f.name in all_columns else pa.nulls(count, f.type) for f in SCHEMA],
        schema=SCHEMA,
    )


def write(path: Path, batches: Iterator[pa.RecordBatch], level: int = LEVEL) -> None:
    """One Parquet file of `batches`, row groups of about ROW_GROUP bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(
        path,
        SCHEMA,
        version="2.6",
        compression="zstd",
        compression_level=level,
        write_page_index=True,
        write_page_checksum=True,
        use_content_defined_chunking=True,
        use_dictionary=[c for c in _LEAVES if c in DICTIONARY],
        write_statistics=[c for c in _LEAVES if c not in BULK],
    ) as writer:
        held: list[pa.RecordBatch] = []
        size = 0
        for batch in batches:
            held.append(batch)
            size += batch.nbytes
            if size >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(held).combine_chunks(), row_group_size=1 << 30)
                held, size = [], 0
        if held:
            writer.write_table(pa.Table.from_batches(held).combine_chunks(), row_group_size=1 << 30)
