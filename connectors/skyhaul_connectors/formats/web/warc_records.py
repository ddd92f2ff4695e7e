"""WARC records out of a stream, with damage confined to its record.

The formats are those of ISO 28500 (WARC 1.0 and 1.1), and the drafts 0.17 and 0.18.

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
"""Says by a record's headers whether its block is of use."""

_HEADER_LIMIT = 64 * 1024
"""Bytes of a record's version line and headers at most: so many are held in memory. Chosen, not measured."""
_VERSION = re.compile(rb"WARC/\d{1,3}\.\d{1,3}[ \t]*\r?\n")
_VERSION_LINE = re.compile(rb"\nWARC/\d\.\d{1,3}[ \t]*\r?\n")
_NEARBY = 256 * 1024
"""Bytes beyond a draft's Content-Length in which the next record is looked for. Chosen, not measured."""
# Fifteen digits fit 64 bits. Not `\d`: that and `int` take the digits of all scripts.
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
_HEADER = re.compile(r"\n([^:\n]+):[ \t]*([^\n]*)")
_FOLD = re.compile(r"\r?\n[ \t]+(?=[^\r\n])")
_HEAD_END = re.compile(rb"\n\r?\n")
_DRAFT = b"WARC/0."
# With the line end before it: records begin at a line, and text may say `WARC/` anywhere.
_NEXT = b"\nWARC/"


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record, or a stretch of the archive that is none (`problem`)."""

    offset: int
    length: int
    """Bytes of its headers and block, or of the stretch."""
    type: str = ""
    """Such as `response`, `conversion` or `resource`."""
    headers: Mapping[str, str] | None = None
    """By lower-case name."""
    block: bytes = b""
    problem: str | None = None
    """Why it is a reject."""
    raw: bytes = b""
    """The beginning of what is rejected."""
    ends: bool = False
    """Nothing after it can be read: the archive is damaged, not the record alone."""
    unwanted: bool = False
    """Its headers say that it is of no use, so it comes without its block."""
    is_draft: bool = False
    """Its version is before 1.0."""


def warc_records(reader: ByteReader, wanted: Wanted, max_record: int) -> Iterator[ArchiveRecord]:
    """Yield the records of an archive, and each stretch of it that is no record (`problem`).

    Args:
        reader: At the archive's start, or where a compressed member begins.
        wanted: Decides by its headers whether a record comes with its block.
        max_record: Bytes of a block that are held; a larger one that is wanted is a problem.

    Raises:
        Broken: The stream cannot be read further.
    """
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
    # A length that leads to a record or to the end is believed, whatever the block holds: a page about WARC,
    # or an archive inside of an archive, has lines in it that begin with `WARC/`.
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
    """The offset in `block` at which another record begins; -1 if none does.

    The line that begins it may end behind the block.
    """
    inside = block.find(_NEXT)
    if inside >= 0:
        return inside
    kept = block[1 - len(_NEXT) :]
    across = (kept + reader.ahead(len(_NEXT) - 1)).find(_NEXT)
    return -1 if across < 0 else len(block) - len(kept) + across


def _to_the_next(reader: ByteReader, block: bytes, size: int, max_record: int) -> tuple[bytes, bool]:
    """Find the end of a draft's record whose stated length is wrong.

    Returns:
        Its block up to the next record, and True; or the block as it was, and False.
    """
    ahead = reader.ahead(_NEARBY) if len(block) == size else b""
    # The line may begin in the block and end behind it.
    found = _VERSION_LINE.search(block + ahead)
    if found is not None and found.start() < len(block):
        reader.unread(block[found.start() + 1 :])
        return block[: found.start()].rstrip(b"\r\n"), True
    # Another one is not near, or the archive ends before: that is no quirk of the drafts, but damage.
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

    From where another record seems to begin in it, up to `max_record` bytes are held, or PIECE if that is
    more. If the block's end is within them, it shows whether Content-Length is right; if not, a whole record
    in them shows that it is wrong.
    """
    # Before anything is passed over, since that is gone from memory.
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
    """Whether a whole record follows the first line end, and another one follows that.

    One alone is no proof: a block may quote a record's head. That what it states leads to yet another one is
    hardly chance.
    """
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
    """Report a record that ends where another one begins in what was taken for its block.

    `rest` is that other one with the line end before it, which stays with this record.
    """
    reader.unread(rest[1:])
    problem = "Content-Length is beyond the record's end"
    return ArchiveRecord(start, reader.offset - start, problem=problem, raw=raw[:RAW_CAP])


def _truncated(reader: ByteReader, start: int, raw: bytes, missing: int) -> ArchiveRecord:
    """Report that the archive ends inside a record. Raises Broken if it is the stream that broke there."""
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
    """Whether two line ends follow, as they should; or fewer, if a record or the end comes right after."""
    # Sixteen: two line ends and `WARC/`, with room for a few more empty lines.
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
        # Doubled, so that a long head is searched a few times and not once a piece.
        longer = reader.ahead(min(2 * max(len(ahead), 4096), _HEADER_LIMIT))
        if len(longer) == len(ahead):
            reader.check()
            return None
        ahead = longer


def parse_headers(head: bytes) -> dict[str, str]:
    """Header lines after the first, by lower-case name; of repeated ones the first; folded lines unfolded."""
    # Values are UTF-8 (ISO 28500); what is not must not cost the record.
    text = head.decode("utf-8", "replace")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    headers: dict[str, str] = {}
    for name, value in _HEADER.findall(text):
        headers.setdefault(name.strip().lower(), value.rstrip())
    return headers
