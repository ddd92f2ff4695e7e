"""Parquet as skyhaul writes it: one place for the settings, and files that roll at a size.

zstd, page index, page checksums and statistics, pages cut by content (so that equal stretches of two files
deduplicate on stores that chunk by content). Dictionaries only where values repeat; text and media are
plain, and without statistics, which no reader could use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.dataset.storage.files import NewFile
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.shards.assembler import within
from skyhaul_schemas.commit import CommittedFile

DICTIONARY = frozenset(
    {
        "language", "station", "quantity", "unit", "quality", "format", "width", "height", "media_type",
        "part", "parts", "metadata", "latitude", "longitude", "source", "object", "reason",
        "provenance.source", "provenance.object", "provenance.version",
    }
)  # fmt: skip
"""Column paths whose values repeat. Of others Parquet builds a dictionary too, until it has grown too large
and the rest of the column is plain."""

PLAIN = frozenset(
    {
        "id", "text", "source_id", "url", "created", "time", "value", "bytes", "caption", "duration",
        "transcript", "name", "raw", "offset", "length", "provenance.offset", "provenance.length",
    }
)  # fmt: skip
"""Column paths whose values do not repeat. A path that is in neither set is of a schema of the job's own:
nobody knows what is in it, so a dictionary is tried, and of text no least and greatest value is kept."""

BULK = frozenset({"text", "bytes", "raw"})
"""Columns whose least and greatest value mean nothing: no reader could skip a page by them, and each page's
head would repeat the beginning of two documents."""


@dataclass(frozen=True, slots=True)
class Compression:
    """A codec as Parquet names it, and its level; None: the codec's own."""

    codec: str
    level: int | None


def open_writer(
    sink: NewFile, schema: pa.Schema, compression: Compression, footers: list[Any]
) -> pq.ParquetWriter:
    """A writer with skyhaul's settings; its footer's metadata is appended to `footers` on close."""
    columns = _leaves(schema)
    return pq.ParquetWriter(
        pa.PythonFile(sink, mode="w"),
        schema,
        version="2.6",
        compression=compression.codec,
        compression_level=compression.level,
        use_dictionary=[column for column in columns if column not in PLAIN],
        write_statistics=[column for column, kind in columns.items() if not _is_bulk(column, kind)],
        write_page_index=True,
        # So that every reader that checks pages, ours and others, finds rot without our records.
        write_page_checksum=True,
        use_content_defined_chunking=True,
        metadata_collector=footers,
    )


def _leaves(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Path of each column as Parquet has it -> its type."""
    return {path: kind for field in schema for path, kind in _below(field.name, field.type)}


def _below(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _below(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind):
        yield from _below(f"{path}.list.element", kind.value_type)
    else:
        yield path, kind


def _is_bulk(path: str, kind: pa.DataType) -> bool:
    if path in DICTIONARY or path in PLAIN:
        return path in BULK
    return any(test(kind) for test in _TEXT_OR_BYTES)


_TEXT_OR_BYTES = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


@dataclass(slots=True)
class FinishedFile:
    """A file under its temporary name, synced, and what its commit record will say."""

    file: NewFile
    entry: CommittedFile


class RollingFiles:
    """Row groups in, files out: a new file where the next group would pass `file_size` (uncompressed).

    `name(part)` is the path in the dataset. A file exists only once it has a row group."""

    def __init__(
        self,
        store: DatasetStore,
        schema: pa.Schema,
        compression: Compression,
        name: Callable[[int], str],
        file_size: int | None,
    ) -> None:
        self.finished: list[FinishedFile] = []
        self._store = store
        self._schema = schema
        self._compression = compression
        self._name = name
        self._file_size = None if file_size is None else within(file_size)
        self._writer: pq.ParquetWriter | None = None
        self._file: NewFile | None = None
        self._footers: list[Any] = []
        self._bytes = 0

    def write(self, group: pa.RecordBatch, size: int) -> None:
        """One row group of `size` uncompressed bytes. Raises DiskFull or StorageError."""
        # By uncompressed bytes, which are a function of the rows; compressed ones depend on the library.
        full = self._file_size is not None and self._bytes + size > self._file_size
        if self._writer is not None and full:
            self.finish()
        if self._writer is None:
            self._file = self._store.files.create(self._store.temp_path(".parquet"))
            self._writer = open_writer(self._file, self._schema, self._compression, self._footers)
        # One batch, one row group: pyarrow gives other bytes for the same rows in several (docs/adr/0001).
        self._writer.write_table(pa.Table.from_batches([group]), row_group_size=group.num_rows)
        self._bytes += size

    def finish(self) -> None:
        """Close and sync the open file, if there is one."""
        if self._writer is None or self._file is None:
            return
        self._writer.close()
        # What goes to an object store is read back and held against its digest before it is sent
        # (docs/adr/0002); the temporary file need not last.
        self._file.finish(sync=self._store.local_root is not None)
        footer = self._footers.pop()
        raw = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        entry = CommittedFile(
            path=self._name(len(self.finished)),
            bytes=self._file.bytes,
            sha256=self._file.sha256,
            rows=footer.num_rows,
            raw_bytes=raw,
        )
        self.finished.append(FinishedFile(self._file, entry))
        self._writer, self._file, self._bytes = None, None, 0

    def discard(self) -> None:
        """Remove the temporary files, whatever state they are in; what was published stays."""
        if self._file is not None:
            self._file.discard()
            if self._writer is not None:
                self._writer.close()
        for finished in self.finished:
            self._store.files.unlink(finished.file.path)
        self._writer, self._file, self.finished = None, None, []
