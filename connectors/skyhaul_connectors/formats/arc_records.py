"""ARC records out of a stream (Internet Archive ARC 1 and 2, archive.org/web/researcher/ArcFileFormat.php).

A record is one line `URL IP-address Archive-date Content-type … Archive-length` and as many bytes; the first
one describes the archive. Records come out as if they were WARC responses (or resources, where there is no
HTTP status line).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from skyhaul_connectors.formats.byte_reader import ByteReader
from skyhaul_connectors.formats.warc_records import ArchiveRecord
from skyhaul_schemas.records import RAW_CAP

_LINE_LIMIT = 16 * 1024
_VERSION_1 = re.compile(rb"(\S.*) (\S+) ([0-9]{14}) (\S+) ([0-9]{1,15})\r?\n")
_VERSION_2 = re.compile(rb"(\S.*) (\S+) ([0-9]{14}) (\S+) \S+ \S+ \S+ [0-9]+ \S+ ([0-9]{1,15})\r?\n")


def arc_records(reader: ByteReader, max_record: int) -> Iterator[ArchiveRecord]:
    """The records and all stretches that are none. What the stream raises comes through."""
    while _to_next_line(reader):
        start = reader.begin()
        line = reader.line(_LINE_LIMIT)
        found = _VERSION_2.fullmatch(line) or _VERSION_1.fullmatch(line)
        if found is None:
            yield _passed_over(reader, start, line)
            continue
        url, _, date, kind, length = (part.decode("utf-8", "replace") for part in found.groups())
        size = int(length)
        if size > max_record:
            have = reader.skip(size)
            problem = f"a record of {size} bytes, more than max_record of {max_record}"
            yield ArchiveRecord(
                start, len(line) + have, problem=problem, raw=line[:RAW_CAP], ends=have < size
            )
            continue
        block = reader.take(size)
        raw = (line + block[:RAW_CAP])[:RAW_CAP]
        if len(block) < size:
            problem = f"truncated: the archive ends inside a record, {size - len(block)} bytes before its end"
            yield ArchiveRecord(start, len(line) + len(block), problem=problem, raw=raw, ends=True)
            return
        if url.startswith("filedesc:"):
            continue
        moment = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z"
        headers = {"warc-target-uri": url, "warc-date": moment, "content-type": kind}
        kind = "response" if block.startswith(b"HTTP/") else "resource"
        yield ArchiveRecord(start, len(line) + size, kind, headers, block, raw=raw)


def _passed_over(reader: ByteReader, start: int, line: bytes) -> ArchiveRecord:
    """Reject lines up to the next one that is a record's."""
    raw = line
    while True:
        at = reader.offset
        line = reader.line(_LINE_LIMIT)
        if not line:
            return ArchiveRecord(start, at - start, problem="no ARC record", raw=raw, ends=True)
        if _VERSION_1.fullmatch(line) or _VERSION_2.fullmatch(line):
            reader.unread(line)
            return ArchiveRecord(start, at - start, problem="no ARC record", raw=raw)
        if len(raw) < RAW_CAP:
            raw = (raw + line)[:RAW_CAP]


def _to_next_line(reader: ByteReader) -> bool:
    while (ahead := reader.peek(1)) in (b"\n", b"\r"):
        reader.skip(1)
    return bool(ahead)
