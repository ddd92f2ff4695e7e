"""WARC records out of a stream (ISO 28500, WARC 1.0 and 1.1, and the drafts 0.17 and 0.18), with damage
confined to its record.

A record is a version line, headers, an empty line, a block of Content-Length bytes and two line ends. What is
not like that costs the bytes up to the next line that begins with `WARC/`, also where that lies inside what
Content-Length takes for the block; an archive that ends inside a record, with no other one begun in it, is
truncated. Of the drafts, which the crawlers of 2008 and ClueWeb09 wrote, many records state a wrong length:
they end where the next one begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from skyhaul_connectors.formats.bytes.byte_reader import ByteReader
from skyhaul_connectors.formats.bytes.stream import PIECE
from skyhaul_schemas.records import RAW_CAP

Wanted = Callable[[Mapping[str, str]], bool]

_HEADER_LIMIT = 64 * 1024
_VERSION = re.compile(rb"WARC/\d{1,3}\.\d{1,3}[ \t]*\r?\n")
_VERSION_LINE = re.compile(rb"\nWARC/\d\.\d{1,3}[ \t]*\r?\n")
_NEARBY = 256 * 1024
"""Bytes beyond a draft's Content-Length in which the next record is looked for."""
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
_HEADER = re.compile(r"\n([^:\n]+):[ \t]*([^\n]*)")
_FOLD = re.compile(r"\r?\n[ \t]+(?=[^\r\n])")
_HEAD_END = re.compile(rb"\n\r?\n")
_DRAFT = b"WARC/0."
_NEXT = b"\nWARC/"


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record, or a stretch that is none (`problem`).

    type: `response`, `conversion`, `resource`, …; headers: by lower-case name. `ends`: nothing after it could
    be read. raw: the beginning of what is rejected. unwanted: its headers say that it is not wanted, and it
    comes without its block. is_draft: its version is before 1.0.
    """

    offset: int
    length: int
    type: str = ""
    headers: Mapping[str, str] | None = None
    block: bytes = b""
    problem: str | None = None
    raw: bytes = b""
    ends: bool = False
    unwanted: bool = False
    is_draft: bool = False


def warc_records(reader: ByteReader, wanted: Wanted, max_record: int) -> Iterator[ArchiveRecord]:
    """The records and all stretches that are none. What the stream raises comes through."""
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
        yield _body(reader, start, head, headers, int(length), wanted, max_record)


def _body(
    reader: ByteReader,
    start: int,
    head: bytes,
    headers: Mapping[str, str],
    size: int,
    wanted: Wanted,
    max_record: int,
) -> ArchiveRecord:
    if size > max_record:
        return _too_large(reader, start, head, headers, size, wanted(headers), max_record)
    # Also what is not wanted is taken: where its length is wrong, there are other records in it.
    block = reader.gather(size)
    at_border = len(block) == size and _at_border(reader)
    if not at_border and head.startswith(_DRAFT):
        block, at_border = _to_the_next(reader, block, size, max_record)
    if not at_border:
        raw = head + block[:RAW_CAP]
        inside = _next_in(block, reader)
        if inside >= 0:
            return _ended_early(reader, start, (head + block[:inside])[:RAW_CAP], block[inside:])
        if len(block) < size:
            return _truncated(reader, start, raw, size - len(block))
        return _passed_over(reader, start, raw, "Content-Length is not the record's end")
    if not wanted(headers):
        return _unwanted(start, head, headers, len(block))
    raw = (head + block[:RAW_CAP])[:RAW_CAP]
    kind = headers.get("warc-type", "").lower()
    is_draft = head.startswith(_DRAFT)
    return ArchiveRecord(start, len(head) + len(block), kind, headers, block, raw=raw, is_draft=is_draft)


def _next_in(block: bytes, reader: ByteReader) -> int:
    """Where another record begins in what was taken for a block, also if its line ends behind it; else -1."""
    inside = block.find(_NEXT)
    if inside >= 0:
        return inside
    kept = block[1 - len(_NEXT) :]
    across = (kept + reader.ahead(len(_NEXT) - 1)).find(_NEXT)
    return -1 if across < 0 else len(block) - len(kept) + across


def _to_the_next(reader: ByteReader, block: bytes, size: int, max_record: int) -> tuple[bytes, bool]:
    """The block of a draft's record whose length is wrong, up to the next one; and whether that was found."""
    ahead = reader.ahead(_NEARBY) if len(block) == size else b""
    # The line may begin in the block and end behind it.
    found = _VERSION_LINE.search(block + ahead)
    if found is not None and found.start() < len(block):
        reader.unread(block[found.start() + 1 :])
        return block[: found.start()].rstrip(b"\r\n"), True
    if len(block) < size or (found is None and len(ahead) == _NEARBY):
        return block, False
    if found is None:
        reader.check()
    more = reader.take(len(ahead) if found is None else found.start() - len(block))
    longer = (block + more).rstrip(b"\r\n")
    return (longer, True) if len(longer) <= max_record else (block, False)


def _unwanted(start: int, head: bytes, headers: Mapping[str, str], size: int) -> ArchiveRecord:
    kind = headers.get("warc-type", "").lower()
    return ArchiveRecord(start, len(head) + size, kind, headers, unwanted=True)


def _too_large(
    reader: ByteReader,
    start: int,
    head: bytes,
    headers: Mapping[str, str],
    size: int,
    is_wanted: bool,
    max_record: int,
) -> ArchiveRecord:
    """Pass over a block that is not held in memory.

    From where another record seems to begin in it, up to `max_record` bytes are held. If the block's end is
    within them, it tells whether Content-Length is right; if not, a whole record in them tells that it is
    wrong.
    """
    raw = head + reader.ahead(min(size, RAW_CAP))
    have = reader.skip_to(_NEXT, size)
    if have < size and reader.ahead(len(_NEXT)) == _NEXT:
        before = raw[: len(head) + have]
        held = reader.gather(min(size - have, max(max_record, PIECE)))
        have += len(held)
        if have < size and reader.ahead(1):
            if _begins_with_a_record(held):
                return _ended_early(reader, start, before, held)
            have += reader.skip(size - have)
        elif have < size or not _at_border(reader):
            return _ended_early(reader, start, before, held)
    if have < size:
        return _truncated(reader, start, raw, size - have)
    if not _at_border(reader):
        return _passed_over(reader, start, raw, "Content-Length is not the record's end")
    if not is_wanted:
        return _unwanted(start, head, headers, size)
    problem = f"a record of {size} bytes, more than max_record of {max_record}"
    return ArchiveRecord(start, len(head) + size, problem=problem, raw=raw[:RAW_CAP])


def _begins_with_a_record(held: bytes) -> bool:
    """Whether a whole record follows the first line end, and another one follows that."""
    end = _HEAD_END.search(held, 1, _HEADER_LIMIT)
    if end is None:
        return False
    head = held[1 : end.end()]
    length = parse_headers(head).get("content-length", "")
    if _VERSION.match(head) is None or _LENGTH.fullmatch(length) is None:
        return False
    behind = end.end() + int(length)
    return held[behind : behind + 16].lstrip(b"\r\n").startswith(b"WARC/")


def _ended_early(reader: ByteReader, start: int, raw: bytes, rest: bytes) -> ArchiveRecord:
    """The record ends where another one begins in what was taken for its block; `rest` is that one, with the
    line end before it."""
    reader.unread(rest[1:])
    problem = "Content-Length is beyond the record's end"
    return ArchiveRecord(start, reader.offset - start, problem=problem, raw=raw[:RAW_CAP])


def _truncated(reader: ByteReader, start: int, raw: bytes, missing: int) -> ArchiveRecord:
    """Raises Broken where it is the stream that is."""
    reader.check()
    problem = f"truncated: the archive ends inside a record, {missing} bytes before its end"
    return ArchiveRecord(start, reader.offset - start, problem=problem, raw=raw[:RAW_CAP], ends=True)


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
        ahead = reader.ahead(4)
        if not ahead:
            # Where the stream is broken here, it is not the record before that it breaks.
            reader.begin()
            reader.check()
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
