"""The plan's two Parquet files, written so that equal plans are equal bytes.

Row groups have a fixed number of rows, whatever batches the rows came in; `shard` carries statistics, so
that a worker finds its shards by them. No time, host or user is in the files.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.dataset.storage.files import NewFile
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.versions import PLAN_FORMAT
from skyhaul_schemas.canonical_json import canonical_json
from skyhaul_schemas.plan import Chunk, DroppedChunk, PinnedObject, PlanHeader

ROWS_A_GROUP = 8192
"""Rows in a row group: about a MiB, so that one shard is read cheaply. Of a plan of a million shards, nine
tenths committed, the first one left is resumed 1.3 s after the start (`python
benchmarks/bench_plan_scale.py`); other sizes were not measured."""

BLOCKS_A_GROUP = 4 * 1024 * 1024
"""Bytes of block digests after which a row group ends before it has its rows: an object of a TiB in blocks of
a MiB has 32 MiB of them in one row. It depends on rows alone, so that equal plans stay equal bytes."""

HEADER_KEY = b"skyhaul"
"""Key of the JSON in a file's key-value metadata."""

CHECK_KEY = b"skyhaul.sha256"
"""Key of that JSON's sha256, in hex: pages carry checksums of their own, a Parquet footer does not."""


class NewTable:
    """Rows in, one Parquet file out, in a temporary file of the dataset's store."""

    def __init__(self, store: DatasetStore, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self._blocks = schema.get_field_index("blocks")
        self._block_bytes = 0
        self.file: NewFile = store.files.create(store.temp_path(".parquet"))
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self.file, mode="w"),
            schema,
            version="2.6",
            compression="zstd",
            compression_level=3,
            # Where values repeat from row to row. Statistics of paths would stand in the footer, which every
            # reader of the plan reads whole.
            use_dictionary=[name for name in ("shard", "source") if name in schema.names],
            write_statistics=[name for name in ("shard", "source") if name in schema.names],
            write_page_checksum=True,
        )

    def add(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        blocks = row[self._blocks]
        if blocks is not None:
            self._block_bytes += len(blocks)
        if len(self._rows) == ROWS_A_GROUP or self._block_bytes >= BLOCKS_A_GROUP:
            self._flush()

    def finish(self, header: dict[str, Any]) -> None:
        """Write the rest and `header`, and sync. Raises DiskFull or StorageError."""
        self._flush()
        text = canonical_json(header)
        check = hashlib.sha256(text).hexdigest()
        self._writer.add_key_value_metadata({HEADER_KEY: text, CHECK_KEY: check})
        self._writer.close()
        self.file.finish(sync=True)

    def discard(self) -> None:
        """Drop the file; fine after `finish` too."""
        self.file.discard()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [
                pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)
            ]
            table = pa.Table.from_arrays(arrays, schema=self._schema)
            self._writer.write_table(table, row_group_size=ROWS_A_GROUP)
            self._rows.clear()
            self._block_bytes = 0


@contextmanager
def new_table(store: DatasetStore, schema: pa.Schema) -> Iterator[NewTable]:
    """A table that leaves nothing behind where the block does not reach its end."""
    table = NewTable(store, schema)
    try:
        yield table
    except BaseException:
        table.discard()
        raise


def object_row(obj: PinnedObject) -> tuple[Any, ...]:
    """A row of OBJECTS_SCHEMA."""
    blocks = None if obj.blocks is None else obj.blocks.packed()
    return (obj.source, obj.path, obj.size, obj.version, obj.checksum, obj.locator, blocks)


def chunk_row(chunk: Chunk) -> tuple[Any, ...]:
    """A row of SHARDS_SCHEMA."""
    needed = None if chunk.needed is None else [*itertools.chain.from_iterable(chunk.needed)]
    return (chunk.shard, chunk.index, *object_row(chunk.object), chunk.offset, chunk.length, needed)


def dropped_row(chunk: DroppedChunk) -> tuple[Any, ...]:
    """A row of DROPPED_SCHEMA."""
    return (*object_row(chunk.object), chunk.taken_from, chunk.offset, chunk.length, chunk.fate)


def objects_header(digest: str, count: int) -> dict[str, Any]:
    """What objects.parquet says of itself."""
    return {"format": PLAN_FORMAT, "objects": count, "objects_digest": digest}


def shards_header(header: PlanHeader) -> dict[str, Any]:
    """What shards.parquet says of itself: the plan's header."""
    return asdict(header)
