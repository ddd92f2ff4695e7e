"""What the child process does with Parquet and Arrow files: their layout, and their rows (see `isolated`).

A task names the format, the object's size and the columns wanted. Batches are validated in full before they
are handed over, since a file may state offsets and texts that are none; each holds about `BATCH_BYTES`, so
that the parent's memory is bounded whatever the file expands to here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul_connectors.formats.isolated import Read
from skyhaul_connectors.formats.range_file import RangeFile

BATCH_BYTES = 4 * 1024 * 1024
MAX_ROW_BYTES = 256 * 1024 * 1024
_MAX_ROWS = 65_536
_THRIFT_LIMIT = 100 * 1024 * 1024


def parquet_layout(task: dict[str, Any], read: Read) -> Iterator[dict[str, Any]]:
    """Row groups as [first byte, end, rows] in the file's order, and the columns' names."""
    metadata = _parquet(task, read).metadata
    groups = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        spans = [_span(group.column(column)) for column in range(group.num_columns)]
        start = min((span[0] for span in spans), default=0)
        groups.append([start, max((span[1] for span in spans), default=start), group.num_rows])
    yield {"groups": groups, "columns": metadata.schema.to_arrow_schema().names}


def parquet_rows(task: dict[str, Any], read: Read) -> Iterator[pa.RecordBatch | dict[str, Any]]:
    """The rows of `task["groups"]`, one group after the other."""
    file = _parquet(task, read)
    for number in task["groups"]:
        group = file.metadata.row_group(number)
        rows = group.num_rows
        if rows <= 0:
            continue
        size = max(1, group.total_byte_size // rows)
        batch_rows = int(max(1, min(_MAX_ROWS, BATCH_BYTES // size)))
        for batch in file.iter_batches(
            batch_rows, row_groups=[number], columns=task["columns"], use_threads=False
        ):
            yield from _handed_over(batch)
    yield {}


def arrow_rows(task: dict[str, Any], read: Read) -> Iterator[pa.RecordBatch | dict[str, Any]]:
    """The rows of an IPC file, or of a stream where it does not begin like a file."""
    source = pa.PythonFile(RangeFile(read, task["size"]), mode="r")
    if read(0, 6) == b"ARROW1":
        file = pa.ipc.open_file(source)
        batches: Iterator[pa.RecordBatch] = (file.get_batch(n) for n in range(file.num_record_batches))
    else:
        batches = iter(pa.ipc.open_stream(source))
    for batch in batches:
        if task["columns"] is not None:
            batch = batch.select([name for name in batch.schema.names if name in task["columns"]])
        yield from _handed_over(batch)
    yield {}


TASKS = {"parquet layout": parquet_layout, "parquet rows": parquet_rows, "arrow rows": arrow_rows}


def _parquet(task: dict[str, Any], read: Read) -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.PythonFile(RangeFile(read, task["size"]), mode="r"),
        buffer_size=1024 * 1024,
        pre_buffer=False,
        thrift_string_size_limit=_THRIFT_LIMIT,
        thrift_container_size_limit=_THRIFT_LIMIT,
        page_checksum_verification=True,
    )


def _span(column: Any) -> tuple[int, int]:
    start = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        start = min(start, column.dictionary_page_offset)
    return start, start + column.total_compressed_size


def _handed_over(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    names = batch.schema.names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"column {twice!r} is there twice")
    batch.validate(full=True)
    batch = _plain(batch)
    step = max(1, int(batch.num_rows * BATCH_BYTES // max(1, batch.nbytes)))
    for start in range(0, batch.num_rows, step):
        piece = batch.slice(start, step)
        if piece.num_rows == 1 and piece.nbytes > MAX_ROW_BYTES:
            raise ValueError(f"a row of {piece.nbytes} bytes, more than {MAX_ROW_BYTES}")
        yield piece


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dictionaries and views decoded, extension types as what they are stored as."""
    columns = []
    for column in batch.columns:
        if isinstance(column.type, pa.BaseExtensionType):
            column = column.storage
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if column.type == pa.string_view():
            column = column.cast(pa.large_string())
        if column.type == pa.binary_view():
            column = column.cast(pa.large_binary())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
