"""ARC records out of a stream (Internet Archive ARC 1 and 2, archive.org/web/researcher/ArcFileFormat.php).

A record is one line `URL IP-address Archive-date Content-type … Archive-length` and as many bytes; the first
one describes the archive. Records come out as if they were WARC responses (or resources, where there is no
HTTP status line).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from skyhaul_connectors.formats.bytes.byte_reader import ByteReader
from skyhaul_connectors.formats.web.warc_records import ArchiveRecord
from skyhaul_schemas.records import RAW_CAP

ARC_LINE = 16 * 1024
"""Bytes of a record's line at most: so many are held before it is known to be one. Chosen, not measured."""

# Five fields, and the ten of ARC 2 (with result code, checksum, location, offset and file name before the
# length). URLs may hold spaces, so the first field takes whatever the others leave. A length of 15 digits
# fits 64 bits.
_VERSION_1 = re.compile(rb"(\S.*) (\S+) ([0-9]{14}) (\S+) ([0-9]{1,15})\r?\n")
_VERSION_2 = re.compile(rb"(\S.*) (\S+) ([0-9]{14}) (\S+) \S+ \S+ \S+ [0-9]+ \S+ ([0-9]{1,15})\r?\n")

# A candidate for a record's line inside of a block; `_parsed` decides. Its bounds let no line match that is
# longer than ARC_LINE.
_INSIDE = re.compile(rb"\n([^\n]{1,%d} [0-9]{14} [^\n]{1,1024}\n)" % (ARC_LINE - 2048))


def begins_arc(raw: bytes) -> bool:
    """Whether `raw` begins with a record's line."""
    return _parsed(raw[: raw.find(b"\n", 0, ARC_LINE) + 1]) is not None


def arc_records(reader: ByteReader, max_record: int) -> Iterator[ArchiveRecord]:
    """Yield the records of an ARC, and each stretch of it that is no record (`problem`).

    Args:
        reader: At the archive's start, or where a compressed member begins.
        max_record: Bytes of a record that are held; a longer one is passed over, and is a problem.

    Raises:
        Broken: The stream cannot be read further.
    """
    while _to_next_line(reader):
        start = reader.begin()
        line = reader.line(ARC_LINE)
        found = _parsed(line)
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
        block = reader.gather(size)
        raw = (line + block[:RAW_CAP])[:RAW_CAP]
        # No digest covers Archive-length. What lies behind the block proves it, or else a record's line
        # inside of the block disproves it, and what begins there is read as the record that it is.
        inside = -1 if len(block) == size and _at_border(reader) else _record_in(block)
        if inside >= 0:
            reader.unread(block[inside:])
            problem = "Archive-length is beyond the record's end"
            raw = (line + block[:inside])[:RAW_CAP]
            yield ArchiveRecord(start, reader.offset - start, problem=problem, raw=raw)
            continue
        if len(block) < size:
            # A stream that broke is reported in the codec's words; only one that ended is a truncated
            # archive.
            reader.check()
            problem = f"truncated: the archive ends inside a record, {size - len(block)} bytes before its end"
            yield ArchiveRecord(start, len(line) + len(block), problem=problem, raw=raw, ends=True)
            return
        # The description of the archive itself: counted under the reason that a WARC's warcinfo has.
        if url.startswith("filedesc:"):
            yield ArchiveRecord(start, len(line) + size, "warcinfo", unwanted=True)
            continue
        moment = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z"
        headers = {"warc-target-uri": url, "warc-date": moment, "content-type": kind}
        kind = "response" if block.startswith(b"HTTP/") else "resource"
        yield ArchiveRecord(start, len(line) + size, kind, headers, block, raw=raw)


def _passed_over(reader: ByteReader, start: int, line: bytes) -> ArchiveRecord:
    """Reject lines up to the next one that begins a record."""
    # Bounded, because what is no record may be all the rest of the archive.
    raw = line
    while True:
        at = reader.offset
        line = reader.line(ARC_LINE)
        if not line:
            return ArchiveRecord(start, at - start, problem="no ARC record", raw=raw, ends=True)
        if _parsed(line) is not None:
            reader.unread(line)
            return ArchiveRecord(start, at - start, problem="no ARC record", raw=raw)
        if len(raw) < RAW_CAP:
            raw = (raw + line)[:RAW_CAP]


def _parsed(line: bytes) -> re.Match[bytes] | None:
    return _VERSION_2.fullmatch(line) or _VERSION_1.fullmatch(line)


def _at_border(reader: ByteReader) -> bool:
    """Whether, after any line ends, a record or the end of the archive follows."""
    ahead = reader.ahead(ARC_LINE).lstrip(b"\r\n")
    return not ahead or begins_arc(ahead)


def _record_in(block: bytes) -> int:
    """The offset in `block` at which a record begins; -1 if none does."""
    for line in _INSIDE.finditer(block):
        if _parsed(line[1]) is not None:
            return line.start(1)
    return -1


def _to_next_line(reader: ByteReader) -> bool:
    while (ahead := reader.ahead(1)) in (b"\n", b"\r"):
        reader.skip(1)
    if not ahead:
        # Where the stream is broken here, it is not the record before that it breaks.
        reader.begin()
        reader.check()
    return bool(ahead)
