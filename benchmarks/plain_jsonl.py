"""The plain script that the haul is held against: pyarrow reads JSONL, pyarrow writes Parquet.

The same columns, codec, level, row-group bytes and Parquet options as a shard; no links, no checks of
what the reader lets through, no checkpoints, no commit. pandas stays out of its start as it does of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from skyhaul.cli.lean_start import import_arrow
from skyhaul.shards.parquet import BULK, DICTIONARY
from skyhaul_schemas.records import PROVENANCE, shard_schema

_COLUMNS = ["id", "text", "source_id", "url", "language", "created", "metadata"] + [
    f"provenance.{field.name}" for field in PROVENANCE
]

ROW_GROUP = 64 * 1024 * 1024


def rows(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    read = pj.ReadOptions(use_threads=False, block_size=8 << 20)
    number = 0
    for batch in pj.open_json(path, read_options=read):
        count = batch.num_rows
        offsets = pa.array(range(number, number + count), pa.int64())
        number += count
        name = pa.repeat(pa.scalar(path.name), count)
        columns: dict[str, pa.Array] = {
            "id": pc.binary_join_element_wise(name, offsets.cast(pa.string()), "#"),
            "text": batch["body"].cast(pa.large_string()),
            "source_id": batch["id"],
            "url": batch["url"],
            "language": batch["lang"],
            "provenance": pa.StructArray.from_arrays(
                [pa.repeat(pa.scalar("lines"), count), name, name, offsets, offsets], fields=list(PROVENANCE)
            ),
        }
        yield pa.RecordBatch.from_arrays(
            [columns[f.name] if f.name in columns else pa.nulls(count, f.type) for f in schema], schema=schema
        )


def main(folder: Path, out: Path, level: int = 3) -> None:
    schema = shard_schema("document")
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.jsonl")):
        with pq.ParquetWriter(
            out / f"{path.stem}.parquet",
            schema,
            version="2.6",
            compression="zstd",
            compression_level=level,
            write_page_index=True,
            write_page_checksum=True,
            use_content_defined_chunking=True,
            use_dictionary=[c for c in _COLUMNS if c in DICTIONARY],
            write_statistics=[c for c in _COLUMNS if c not in BULK],
        ) as writer:
            held: list[pa.RecordBatch] = []
            size = 0
            for batch in rows(path, schema):
                held.append(batch)
                size += batch.nbytes
                if size >= ROW_GROUP:
                    writer.write_table(pa.Table.from_batches(held).combine_chunks(), row_group_size=1 << 30)
                    held, size = [], 0
            if held:
                writer.write_table(pa.Table.from_batches(held).combine_chunks(), row_group_size=1 << 30)


if __name__ == "__main__":
    import_arrow()
    pa.set_cpu_count(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
