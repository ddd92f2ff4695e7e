"""Whether Parquet pages carry checksums, read from the page headers themselves.

Readers verify a checksum only where there is one, so a file without any passes them. A page header is a
struct in Thrift's compact protocol whose field 4 is `crc`, before it integers only
(https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

from typing import BinaryIO

import pyarrow.parquet as pq

_CRC = 4
_I32 = 5
_HEADER = 64


def without_checksum(file: BinaryIO, footer: pq.FileMetaData) -> str | None:
    """The first column chunk whose first page states no checksum, or None."""
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        for index in range(footer.num_columns):
            chunk = row_group.column(index)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            file.seek(start)
            if not states_checksum(file.read(_HEADER)):
                return f"column {chunk.path_in_schema} of row group {group}"
    return None


def states_checksum(header: bytes) -> bool:
    """Whether the page header that `header` starts with has a checksum."""
    at, number = 0, 0
    while at < len(header):
        kind, step = header[at] & 0x0F, header[at] >> 4
        if kind != _I32 or step == 0:
            return False
        number += step
        if number >= _CRC:
            return number == _CRC
        at += 1
        while at < len(header) and header[at] & 0x80:
            at += 1
        at += 1
    return False
