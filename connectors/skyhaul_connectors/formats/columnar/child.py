"""What the child process does with Parquet and Arrow files: their layout, and their rows (see `isolated`).

A task names the format, the object's size, the columns wanted and those that fields take (`mapped`: names
from a column inwards). Columns of one name come told apart (see `same_names`). Batches are validated in full
before they are handed over, since a file may state offsets and texts that are none; each holds about
`BATCH_BYTES`, so that the parent's memory is bounded whatever the file expands to here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul_connectors.formats.bytes.range_file import RangeFile
from skyhaul_connectors.formats.bytes.stream import Broken
from skyhaul_connectors.formats.columnar.column_names import ColumnNames
from skyhaul_connectors.formats.columnar.ipc_layout import (
    MAGIC,
    buffer_counts,
    footer_start,
    parse_batch,
    parse_footer,
)
from skyhaul_connectors.formats.columnar.plain_columns import plain
from skyhaul_connectors.formats.isolated.protocol import Done, Read, Service, Task
from skyhaul_schemas.storage_errors import is_passing

BATCH_BYTES = 4 * 1024 * 1024
"""Bytes of a batch that is handed over: the parent holds one, and copies it into its row groups."""

MAX_ROW_BYTES = 256 * 1024 * 1024
"""Bytes of one row, which no batch can be cut below."""

_MAX_ROWS = 65_536
"""Rows that are decoded at once, where a group states that they take next to nothing."""

_THRIFT_LIMIT = 100 * 1024 * 1024
"""Bytes of a string, and entries of a list, in a footer; the child's memory bounds what passes it."""

_OLD_PADDING = 100
"""Bytes beyond a column chunk that Arrow reads of old parquet-mr files, which state it too short
(PARQUET-816)."""
_REFUSALS = (pa.ArrowException, Broken, OSError, ValueError, ArithmeticError, LookupError, TypeError)


def parquet_layout(task: dict[str, Any], read: Read) -> Iterator[dict[str, Any]]:
    """The row groups, in the order of the file, as `TableLayout.of` takes them."""
    metadata = _parquet(task, read).metadata
    chosen = _chosen(metadata, task["columns"])
    padding = _OLD_PADDING if (metadata.created_by or "").startswith("parquet-mr") else 0
    groups = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        spans = [_span(group.column(column)) for column in range(group.num_columns)]
        start = min((span[0] for span in spans), default=0)
        stop = max((span[1] for span in spans), default=start)
        parts = None
        if chosen is not None:
            # The padding of the last column would reach beyond the group.
            parts = [(spans[n][0], min(stop, spans[n][1] + padding) - spans[n][0]) for n in chosen]
        groups.append([start, stop, group.num_rows, parts])
    yield {"groups": groups, "footer": task["size"] - _footer(task["size"], read), "shared": []}


def parquet_rows(task: dict[str, Any], read: Read) -> Iterator[pa.RecordBatch | dict[str, Any]]:
    """The rows of `task["groups"]`, one group after the other, and an empty closing word."""
    file = _parquet(task, read)
    names = ColumnNames(file.schema_arrow, task)
    # Only files with INT96 pay for being read twice.
    wide: list[str] | None = _int96(file.metadata, task["columns"])
    coarse = _parquet(task, read, int96="ms") if wide else file
    # A path that stands twice would bring other columns than the ones that it came from: then all come again,
    # and are held against each other by place.
    again_of = task["columns"] if names.repeat else wide
    for number in task["groups"]:
        group = file.metadata.row_group(number)
        rows = group.num_rows
        # A footer may state any number.
        if rows <= 0:
            continue
        # Bytes of a row as its pages hold it; of a dictionary's values that is far less than they take here,
        # so that batches are cut again before they are handed over.
        size = max(1, group.total_byte_size // rows)
        batch_rows = int(max(1, min(_MAX_ROWS, BATCH_BYTES // size)))
        batches = file.iter_batches(
            batch_rows, row_groups=[number], columns=task["columns"], use_threads=False
        )
        if wide:
            again = coarse.iter_batches(batch_rows, row_groups=[number], columns=again_of, use_threads=False)
            batches = _not_wrapped(batches, again)
        for batch in batches:
            yield from _handed_over(batch, names)
    yield {}


def arrow_layout(task: dict[str, Any], read: Read) -> Iterator[dict[str, Any]]:
    """The record batches of an IPC file; an empty answer for a stream.

    Of batches outside of the bytes `task["within"]` nothing is read, and they have no rows here."""
    size = task["size"]
    first, stop = task["within"]
    # A stream is never cut, so that only a chunk from 0 on can be one; others need not fetch the object's
    # head.
    if first == 0 and read(0, len(MAGIC)) != MAGIC:
        yield {}
        return
    start = footer_start(read(max(0, size - 10), 10), size)
    footer = parse_footer(read(start, size - start - 10), start)
    columns = task["columns"]
    counts = chosen = None
    if columns is not None:
        schema = pa.ipc.open_file(pa.PythonFile(RangeFile(read, size), mode="r")).schema
        counts = buffer_counts(schema)
        chosen = [n for n, name in enumerate(schema.names) if name in columns]
    groups: list[list[Any]] = []
    for block in footer.batches:
        rows = 0
        buffers: list[tuple[int, int]] = []
        if first <= block.offset < stop:
            rows, buffers = parse_batch(read(block.offset, block.metadata))
        parts = None
        # Buffers are told by their number alone. Where they are not as many as the schema makes, or none is
        # wanted, all of the batch is hauled.
        if counts is not None and chosen and len(buffers) == sum(counts):
            at = block.offset + block.metadata
            ends = [*itertools.accumulate(counts)]
            taken = [buffer for n in chosen for buffer in buffers[ends[n] - counts[n] : ends[n]]]
            parts = [(block.offset, block.metadata), *((at + offset, length) for offset, length in taken)]
        groups.append([block.offset, block.stop, rows, parts])
    shared = [(block.offset, block.stop - block.offset) for block in footer.dictionaries]
    if groups and groups[0][3] is not None:
        # Whatever columns are wanted: the reader looks for the magic number at the object's start.
        groups[0][3].append((0, len(MAGIC)))
    yield {"groups": groups, "footer": start, "shared": shared}


def arrow_rows(task: dict[str, Any], read: Read) -> Iterator[pa.RecordBatch | dict[str, Any]]:
    """The rows of an IPC file's batches `task["groups"]`, or of a stream where that is None."""
    source = pa.PythonFile(RangeFile(read, task["size"]), mode="r")
    columns = task["columns"]
    if task["groups"] is None:
        stream = pa.ipc.open_stream(source)
        schema, batches = stream.schema, iter(stream)
    else:
        schema = pa.ipc.open_file(source).schema
        # Chosen by number, Arrow reads no other column's buffers. None chosen would mean all of them.
        chosen = [n for n, name in enumerate(schema.names) if name in (columns or ())]
        options = pa.ipc.IpcReadOptions(included_fields=chosen, use_threads=False)
        file = pa.ipc.open_file(source, options=options)
        batches = (file.get_batch(n) for n in task["groups"])
    names = ColumnNames(schema, task)
    for batch in batches:
        if columns is not None:
            batch = batch.select([n for n, name in enumerate(batch.schema.names) if name in columns])
        yield from _handed_over(batch, names)
    yield {}


_Told = dict[str, Any]


def _served(work: Callable[[_Told, Read], Iterator[pa.RecordBatch | _Told]]) -> Task:
    """What `work` yields as bytes, a batch as an Arrow IPC stream of its own."""

    def serve(task: _Told, given: bytes, read: Read) -> Iterator[memoryview | Done]:
        for item in work(task, read):
            if isinstance(item, dict):
                yield Done(item)
                continue
            out = pa.BufferOutputStream()
            with pa.ipc.new_stream(out, item.schema) as writer:
                writer.write_batch(item)
            yield memoryview(out.getvalue())

    return serve


def _refusal(error: Exception, memory: int) -> str | None:
    """The library's own words for what is wrong with the file; nothing of ours raises these here."""
    if isinstance(error, MemoryError):
        return f"needs more memory than {memory} bytes to read"
    if not isinstance(error, _REFUSALS) or (isinstance(error, OSError) and is_passing(error)):
        return None
    said = " ".join(str(error).split())[:300]
    if isinstance(error, LookupError) or not said:
        said = f"unsupported: {type(error).__name__} {said}"
    return said


def _one_thread() -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


SERVICE = Service(
    {
        "parquet layout": _served(parquet_layout),
        "parquet rows": _served(parquet_rows),
        "arrow layout": _served(arrow_layout),
        "arrow rows": _served(arrow_rows),
    },
    _refusal,
    _one_thread,
)


class _ParquetBytes(RangeFile):
    """An object of which only the footer need be here.

    Arrow reads 64 KiB at the end to find the footer in them; what lies before the footer comes as zeros."""

    def __init__(self, read: Read, size: int) -> None:
        super().__init__(self._short, size)
        self._all = read
        self._size_of_all = size
        self._footer = _footer(size, read)

    def _short(self, offset: int, length: int) -> bytes:
        wanted = self._footer
        # Only the read that looks for the footer ends with the object and is longer than the footer.
        if offset + length < self._size_of_all or not 8 < wanted < length:
            return self._all(offset, length)
        return bytes(length - wanted) + self._all(offset + length - wanted, wanted)


def _footer(size: int, read: Read) -> int:
    """Bytes of the footer with its length and magic number; of those two alone where they state none.

    See https://parquet.apache.org/docs/file-format/."""
    tail = read(size - 8, 8) if size >= 8 else b""
    length = int.from_bytes(tail[:4], "little") + 8
    # PARE stands at the end of an encrypted footer: Arrow is to see it, to say that.
    return length if length <= size and tail[4:] in (b"PAR1", b"PARE") else 8


def _chosen(metadata: Any, columns: list[str] | None) -> list[int] | None:
    """Numbers of the leaf columns below one of `columns`, which are names or dotted paths."""
    if columns is None:
        return None
    paths = [metadata.schema.column(n).path for n in range(metadata.num_columns)]
    # With a dot behind both, `a` takes `a` and `a.b`, and not `ab`.
    return [n for n, path in enumerate(paths) if any(f"{path}.".startswith(f"{c}.") for c in columns)]


def _int96(metadata: Any, columns: list[str] | None) -> list[str]:
    """Paths of the leaf columns wanted that hold 96 bits: 32 of days and 64 of nanoseconds."""
    chosen = _chosen(metadata, columns)
    leaves = range(metadata.num_columns) if chosen is None else chosen
    found = (metadata.schema.column(n) for n in leaves)
    return [leaf.path for leaf in found if leaf.physical_type == "INT96"]


def _not_wrapped(
    batches: Iterator[pa.RecordBatch], again: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """`batches` as they are, unless a time in them has wrapped.

    Arrow lets days beyond 64 bits of microseconds (the year 294247) wrap without a word; milliseconds, in
    which the same columns come `again`, hold all of 96 bits.

    Raises:
        ValueError: Both do not say the same time."""
    for batch, coarse in zip(batches, again, strict=True):
        for name, column, fine in _paired(coarse.schema, coarse.columns, batch.schema, batch.columns):
            if not _agree(fine, column):
                raise ValueError(f"column {name!r} holds an INT96 time beyond 64 bits of microseconds")
        yield batch


def _agree(fine: pa.Array, coarse: pa.Array) -> bool:
    """Whether the leaves of `coarse`, in milliseconds, are those of `fine`, which may have more columns."""
    if pa.types.is_struct(coarse.type):
        found = _paired(coarse.type, coarse.flatten(), fine.type, fine.flatten())
        return all(_agree(inner, column) for _, column, inner in found)
    if pa.types.is_map(coarse.type):
        return _agree(fine.keys, coarse.keys) and _agree(fine.items, coarse.items)
    if pa.types.is_nested(coarse.type):
        return _agree(fine.flatten(), coarse.flatten())
    if coarse.type != pa.timestamp("ms") or fine.type != pa.timestamp("us"):
        return True  # a map's keys, which come along
    micros = fine.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    millis = coarse.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return bool((micros // 1000 == millis).all())


def _parquet(task: dict[str, Any], read: Read, int96: str = "us") -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.PythonFile(_ParquetBytes(read, task["size"]), mode="r"),
        # Column chunks are read in pieces of so much. Reading a whole group ahead (`pre_buffer`) would hold
        # it in memory, and ask for columns in the gaps.
        buffer_size=1024 * 1024,
        pre_buffer=False,
        thrift_string_size_limit=_THRIFT_LIMIT,
        thrift_container_size_limit=_THRIFT_LIMIT,
        # Off by default; a flipped bit in a page is silent without it, mostly.
        page_checksum_verification=True,
        # Nanoseconds, Arrow's own choice, hold the years 1677 to 2262 only, and wrap beyond.
        coerce_int96_timestamp_unit=int96,
    )


def _span(column: Any) -> tuple[int, int]:
    start = column.data_page_offset
    # A chunk begins with its dictionary, where it has one; the size counts from there.
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        start = min(start, column.dictionary_page_offset)
    return start, start + column.total_compressed_size


def _paired(
    coarse: Any, columns: list[pa.Array], fine: Any, among: list[pa.Array]
) -> Iterator[tuple[str, pa.Array, pa.Array]]:
    """(name, coarse column, fine column), paired by place where both have the same columns, else by name."""
    names, known = ([field.name for field in kind] for kind in (coarse, fine))
    if names == known:
        yield from zip(names, columns, among, strict=True)
        return
    inner = dict(zip(known, among, strict=True))
    yield from ((name, column, inner[name]) for name, column in zip(names, columns, strict=True))


def _handed_over(batch: pa.RecordBatch, names: ColumnNames) -> Iterator[pa.RecordBatch]:
    # Before anything looks inside: kernels trust offsets, dictionary indices and texts, and a file may state
    # any.
    for column in batch.schema.types:
        _check_names(column)
    batch.validate(full=True)
    batch = _plain(names.told_apart(batch))
    # By the mean: rows of one batch may differ, so that a piece may have more.
    step = max(1, int(batch.num_rows * BATCH_BYTES // max(1, batch.nbytes)))
    for start in range(0, batch.num_rows, step):
        piece = batch.slice(start, step)
        if piece.num_rows == 1 and piece.nbytes > MAX_ROW_BYTES:
            raise ValueError(f"a row of {piece.nbytes} bytes, more than {MAX_ROW_BYTES}")
        yield piece


def _check_names(kind: pa.DataType) -> None:
    """Refuse inner fields' names and zones of times that are no UTF-8, which Arrow takes as they are.

    Raises:
        UnicodeDecodeError: One is none.
    """
    if isinstance(kind, pa.BaseExtensionType):
        _check_names(kind.storage_type)
    elif pa.types.is_dictionary(kind):
        _check_names(kind.value_type)
    elif pa.types.is_timestamp(kind):
        kind.tz  # noqa: B018  # decodes it
    else:
        for place in range(kind.num_fields):
            field = kind.field(place)
            field.name  # noqa: B018  # decodes it
            _check_names(field.type)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dictionaries and views decoded, extension types as what they are stored as."""
    if not batch.columns:
        return batch  # made anew it would have no rows
    return pa.RecordBatch.from_arrays([plain(column) for column in batch.columns], names=batch.schema.names)
