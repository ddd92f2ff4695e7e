"""The footers of all data files: bounds, one schema, checksums on pages.

Readers verify a page's checksum only where there is one, so a file without any passes them. Hence the page
headers themselves are read: each is a struct in Thrift's compact protocol whose field 4 is `crc`, before it
integers only (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas.job.shards import FILE_LIMIT, ROW_GROUP_LIMIT


@dataclass(slots=True)
class Footers:
    """Taken in file by file. Sizes are uncompressed bytes. Each list names files, with what is wrong."""

    files: int = 0
    row_groups: int = 0
    largest_group: int = 0
    largest_file: int = 0
    fingerprints: set[str] = field(default_factory=set)
    groups_too_large: list[str] = field(default_factory=list)
    files_too_large: list[str] = field(default_factory=list)
    without_checksums: list[str] = field(default_factory=list)

    def add(self, store: DatasetStore, path: str) -> None:
        """Raises StorageError, OSError and ArrowException for a file that cannot be read."""
        with store.open_input(path) as file:
            parquet = pq.ParquetFile(file)
            footer = parquet.metadata
            self.files += 1
            self.row_groups += footer.num_row_groups
            total = 0
            for index in range(footer.num_row_groups):
                group = footer.row_group(index)
                total += group.total_byte_size
                self.largest_group = max(self.largest_group, group.total_byte_size)
                # One row cannot be cut.
                if group.total_byte_size > ROW_GROUP_LIMIT and group.num_rows > 1:
                    self.groups_too_large.append(f"row group {index} of {path}")
            self.largest_file = max(self.largest_file, total)
            # A row group is never parted between files, so one alone may be above the bound.
            if total > FILE_LIMIT and footer.num_row_groups > 1:
                self.files_too_large.append(path)
            self.fingerprints.add(schema_fingerprint(parquet.schema_arrow, parquet.schema))
            bare = without_checksum(file, footer)
            if bare is not None:
                self.without_checksums.append(f"{bare} of {path}")


def schema_fingerprint(arrow: pa.Schema, parquet: pq.ParquetSchema) -> str:
    """sha256 of the Parquet schema with its logical types, and of the Arrow schema that it stands for."""
    lines = [f"{column}" for column in (parquet.column(i) for i in range(len(parquet)))]
    return hashlib.sha256("\n".join([*lines, str(arrow)]).encode()).hexdigest()


_CRC = 4
_I32 = 5
"""Number of the field, and Thrift's compact type of it and of those before it."""

_HEADER = 64
"""Bytes that are read of a page's header: the field is behind three integers of six bytes at most."""


def without_checksum(file: BinaryIO, footer: pq.FileMetaData) -> str | None:
    """The first column chunk whose first page states no checksum, or None."""
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        for index in range(footer.num_columns):
            chunk = row_group.column(index)
            # A dictionary comes before the pages that use it. One page a column chunk: one writer wrote them
            # all.
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            file.seek(start)
            if not states_checksum(file.read(_HEADER)):
                return f"column {chunk.path_in_schema} of row group {group}"
    return None


def states_checksum(header: bytes) -> bool:
    """Whether the page header that `header` starts with has a checksum."""
    at, number = 0, 0
    while at < len(header):
        # A field's head: its type in the low half, in the high one how far its number is from the one before.
        # 0 there is the long form (or the end), which no small number needs.
        kind, step = header[at] & 0x0F, header[at] >> 4
        if kind != _I32 or step == 0:
            return False
        number += step
        if number >= _CRC:
            return number == _CRC
        at += 1
        # An integer's value: seven bits a byte, and the highest says that another one follows.
        while at < len(header) and header[at] & 0x80:
            at += 1
        at += 1
    return False
