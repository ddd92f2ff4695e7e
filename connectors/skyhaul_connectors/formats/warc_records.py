"""WARC records out of a stream (ISO 28500, WARC 1.0 and 1.1), with damage confined to its record.

A record is a version line, headers, an empty line, a block of Content-Length bytes and two line ends. What is
not like that costs the bytes up to the next line that begins with `WARC/`; an archive that ends inside
a record is truncated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from skyhaul_connectors.formats.byte_reader import ByteReader
from skyhaul_schemas.records import RAW_CAP

Wanted = Callable[[Mapping[str, str]], bool]

_HEADER_LIMIT = 64 * 1024
_VERSION = re.compile(rb"WARC/\d\.\d[ \t]*\r?\n")
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
_HEADER = re.compile(r"\n([^:\n]+):[ \t]*([^\n]*)")
_FOLD = re.compile(r"\r?\n[ \t]+(?=[^\r\n])")
_NEXT = b"\nWARC/"


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record that is wanted, or a stretch that is none (`problem`).

    type: `response`, `conversion`, `resource`, …; headers: by lower-case name. `ends`: nothing after it could
    be read. raw: the beginning of what is rejected.
    """

    offset: int
    length: int
    type: str = ""
    headers: Mapping[str, str] | None = None
    block: bytes = b""
    problem: str | None = None
    raw: bytes = b""
    ends: bool = False


def warc_records(reader: ByteReader, wanted: Wanted, max_record: int) -> Iterator[ArchiveRecord]:
    """The wanted records and all stretches that are none. What the stream raises comes through."""
    while _to_next_line(reader):
        start = reader.begin()
        if not reader.peek(5).startswith(b"WARC/"):
            yield _passed_over(reader, start, b"", "no WARC record")
            continue
        head = _head(reader)
        if head is None:
            yield _passed_over(reader, start, reader.take(5), "a WARC header that does not end")
            continue
        headers = parse_headers(head)
        length = headers.get("content-length", "")
        if _VERSION.match(head) is None or _LENGTH.fullmatch(length) is None:
            problem = (
                f"Content-Length is {length[:40]!r}" if _VERSION.match(head) else "a malformed version line"
            )
            yield _passed_over(reader, start, head, problem)
            continue
        record = _body(reader, start, head, headers, int(length), wanted, max_record)
        if record is not None:
            yield record


def _body(
    reader: ByteReader,
    start: int,
    head: bytes,
    headers: Mapping[str, str],
    size: int,
    wanted: Wanted,
    max_record: int,
) -> ArchiveRecord | None:
    keep = wanted(headers) and size <= max_record
    block = reader.take(size) if keep else b""
    have = len(block) if keep else reader.skip(size)
    length = len(head) + have
    raw = (head + block[:RAW_CAP])[:RAW_CAP]
    if have < size:
        problem = f"truncated: the archive ends inside a record, {size - have} bytes before its end"
        return ArchiveRecord(start, length, problem=problem, raw=raw, ends=True)
    if not _at_border(reader):
        return _wrong_length(reader, start, head, block, length)
    if not wanted(headers):
        return None
    if not keep:
        problem = f"a record of {size} bytes, more than max_record of {max_record}"
        return ArchiveRecord(start, length, problem=problem, raw=raw)
    return ArchiveRecord(start, length, headers.get("warc-type", "").lower(), headers, block, raw=raw)


def _wrong_length(reader: ByteReader, start: int, head: bytes, block: bytes, length: int) -> ArchiveRecord:
    """The block does not end where Content-Length says: too long where a record begins inside it, else too
    short."""
    inside = block.find(_NEXT)
    if inside >= 0:
        reader.unread(block[inside + 1 :])
        return ArchiveRecord(
            start,
            reader.offset - start,
            problem="Content-Length is beyond the record's end",
            raw=(head + block[:inside])[:RAW_CAP],
        )
    return _passed_over(reader, start, head + block, "Content-Length is not the record's end")


def _passed_over(reader: ByteReader, start: int, taken: bytes, problem: str) -> ArchiveRecord:
    """Reject everything up to the next line that may begin a record."""
    raw = (taken + reader.ahead(RAW_CAP))[:RAW_CAP]
    found = reader.seek_to(_NEXT)
    if found:
        reader.skip(1)
    length = reader.offset - start
    return ArchiveRecord(start, length, problem=problem, raw=raw[:length], ends=not found)


def _to_next_line(reader: ByteReader) -> bool:
    """Pass over line ends between records; False at the end of the archive."""
    while True:
        ahead = reader.peek(4)
        if not ahead:
            return False
        left = ahead.lstrip(b"\r\n")
        reader.skip(len(ahead) - len(left))
        if left:
            return True


def _at_border(reader: ByteReader) -> bool:
    """Two line ends follow, as they should; or fewer, but then a record or the end."""
    ahead = reader.ahead(16)
    if ahead.startswith((b"\r\n\r\n", b"\n\n")):
        return True
    ahead = ahead.lstrip(b"\r\n")
    return not ahead or ahead.startswith(b"WARC/")


def _head(reader: ByteReader) -> bytes | None:
    """Version line and headers, the empty line included; None where they do not end within the limit."""
    ahead = reader.ahead(4096)
    while True:
        crlf = ahead.find(b"\r\n\r\n")
        lf = ahead.find(b"\n\n", 0, len(ahead) if crlf < 0 else crlf + 1)
        if lf >= 0:
            return reader.take(lf + 2)
        if crlf >= 0:
            return reader.take(crlf + 4)
        if len(ahead) >= _HEADER_LIMIT:
            return None
        longer = reader.ahead(min(2 * max(len(ahead), 4096), _HEADER_LIMIT))
        if len(longer) == len(ahead):
            reader.check()
            return None
        ahead = longer


def parse_headers(head: bytes) -> dict[str, str]:
    """Header lines after the first, by lower-case name; of repeated ones the first; folded lines unfolded."""
    text = head.decode("utf-8", "replace")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    headers: dict[str, str] = {}
    for name, value in _HEADER.findall(text):
        headers.setdefault(name.strip().lower(), value.rstrip())
    return headers
