"""Records of delimited text: cells, and the bytes they came from.

RFC 4180 with its open points decided, as Python's csv module reads it strictly: a cell that begins with the
quote runs to the next single quote, doubled quotes inside it are one; a quote elsewhere is itself. Line
breaks inside quotes belong to the cell. What follows a closing quote must be the delimiter or the line's end.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from skyhaul_connectors.formats.bytes.lines import LongLine, Rest, Window
from skyhaul_connectors.formats.bytes.stream import PIECE, Broken, PeekedStream
from skyhaul_connectors.formats.charsets.encodings import Encoding
from skyhaul_connectors.formats.charsets.not_text import CR_ALONE
from skyhaul_schemas.records import RAW_CAP

_MOST_BYTES = 4
"""Of a character in an encoding that is decoded first."""

_ESCAPED = re.compile("[\udc80-\udcff]")
"""What `Encoding.escaped` leaves of bytes that the encoding does not allow (PEP 383)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How records and cells are told.

    Attributes:
        delimiter: One character, or `whitespace` for runs of it; then nothing is quoted.
        quote: One character; None where nothing is quoted.
        escape: One character, or None.
        quoted_newlines: Whether a quoted cell may hold line breaks.
        max_record: Bytes of a record at most.
        comment: How a line begins that is passed over where a record would begin."""

    delimiter: str
    quote: str | None
    escape: str | None
    quoted_newlines: bool
    max_record: int
    comment: str | None = None


@dataclass(slots=True)  # not frozen: 0.35 us to make one instead of 1.2, and each line makes two such
class Line:
    """One line.

    Attributes:
        offset: In the object.
        length: Its bytes without the LF.
        raw: Those bytes; where there is a problem maybe only their beginning.
        text: Without the LF.
        problem: Why it cannot be read.
        end: The LF's bytes; none where the object ends instead."""

    offset: int
    length: int
    raw: bytes
    text: str
    problem: str | None = None
    end: bytes = b"\n"

    @property
    def size(self) -> int:
        """Bytes with the LF."""
        return self.length + len(self.end)


@dataclass(slots=True)  # not frozen, as Line is not
class Cells:
    """One record: its cells, or the problem that makes it a reject.

    Attributes:
        offset: In the object.
        length: Its bytes without the last LF.
        raw: Those bytes, or their beginning.
        cells: Its cells; they count only without a problem.
        problem: Why it is a reject.
        is_rest: Whether it is the unreadable rest of the object."""

    offset: int
    length: int
    raw: bytes
    cells: Sequence[str]
    problem: str | None = None
    is_rest: bool = False


def lines_in(
    items: Iterator[Window | LongLine | Rest], encoding: Encoding, cap: int
) -> Iterator[Line | Rest]:
    """Lines found in the bytes, each decoded on its own."""
    for item in items:
        if isinstance(item, Rest):
            yield item
            return
        if isinstance(item, LongLine):
            # Whether a LF ends it is not known here.
            yield Line(item.offset, item.length, item.raw, "", _too_long(item.length, cap, item.raw), b"")
            continue
        offset = item.offset
        *pieces, last = item.data.split(b"\n")
        for raw in pieces:
            yield _line(offset, raw, encoding, cap)
            offset += len(raw) + 1
        if last:
            yield replace(_line(offset, last, encoding, cap), end=b"")


def lines_decoded(stream: PeekedStream, encoding: Encoding, cap: int) -> Iterator[Line | Rest]:
    """Lines of a stateless encoding in which they cannot be found in the bytes (UTF-16, say).

    The stream is decoded first, and offsets are counted by encoding the lines again. Holds about `cap` +
    PIECE bytes."""
    name = encoding.plain(stream.head)  # one that writes no mark of its own before each line
    decoder = codecs.getincrementaldecoder(name)("strict")
    newline = "\n".encode(name)
    held = ""
    passed, head = 0, b""  # of a line over the cap: bytes that are no longer held, and its beginning
    offset = stream.position
    done = False
    while not done:
        broken: str | None = None
        unread = b""
        try:
            piece = stream.read(PIECE)
            held += decoder.decode(piece, not piece)
            done = not piece
        except Broken as error:
            # The decoder holds the first bytes of a character that the break cut off.
            broken, unread = error.reason, decoder.getstate()[0]
        except UnicodeDecodeError as error:
            broken, unread = f"invalid {encoding.name}: {error.reason}", error.object[error.start :]
            # The whole input of this call is lost with the error; what is before it is sound. `error.object`
            # begins with what the decoder held.
            held += error.object[: error.start].decode(name)
        *lines, held = held.split("\n")
        ends = [newline] * len(lines)
        if done and (held or passed):
            lines.append(held)
            ends.append(b"")
        for text, end in zip(lines, ends, strict=True):
            raw = text.encode(name)
            length = passed + len(raw)
            # The mark is no part of the first name, but of the bytes: `raw` and `length` keep it.
            text = text if offset else text.removeprefix("\ufeff")
            if length > cap:
                raw = (head + raw)[:RAW_CAP]
                yield Line(offset, length, raw, "", _too_long(length, cap), end)
            else:
                yield Line(offset, length, raw, text, "a NUL character" if "\0" in text else None, end)
            passed, head = 0, b""
            offset += length + len(end)
        if broken is not None:
            raw = head + held[:RAW_CAP].encode(name) + unread
            yield Rest(offset, stream.position - offset, raw[:RAW_CAP], broken)
            return
        # To encode what is held at each piece would cost time in its square: it is done where it may be too
        # long.
        if passed or len(held) * _MOST_BYTES > cap:
            raw = held.encode(name)
            if passed or len(raw) > cap:
                passed, head, held = passed + len(raw), (head + raw)[:RAW_CAP], ""


def records_of(lines: Iterator[Line | Rest], dialect: Dialect) -> Iterator[Cells]:
    """The records of `lines`; blank lines are passed over. The last one may be the unreadable rest."""
    if dialect.quoted_newlines and dialect.quote is not None and dialect.delimiter != "whitespace":
        return _quoted(lines, dialect)
    # Where each record is a line, the lines can be left out before; in quotes `_Feed` must know where it is.
    if dialect.comment:
        lines = _uncommented(lines, dialect.comment)
    return _split(lines) if dialect.delimiter == "whitespace" else _one_a_line(lines, dialect)


def _uncommented(lines: Iterator[Line | Rest], mark: str) -> Iterator[Line | Rest]:
    return (line for line in lines if isinstance(line, Rest) or not line.text.startswith(mark))


def _split(lines: Iterator[Line | Rest]) -> Iterator[Cells]:
    for line in lines:
        if isinstance(line, Rest):
            yield _rest(line)
        elif line.problem or line.text.strip():
            problem = line.problem or (CR_ALONE if "\r" in line.text.rstrip() else None)
            yield Cells(line.offset, line.length, line.raw, line.text.split(), problem)


def _one_a_line(lines: Iterator[Line | Rest], dialect: Dialect) -> Iterator[Cells]:
    for line in lines:
        if isinstance(line, Rest):
            yield _rest(line)
            return
        text = line.text.removesuffix("\r")
        problem = line.problem
        if not problem and not text:
            continue
        cells: Sequence[str] = ()
        try:
            if not problem:
                # A reader of its own for each line: one that goes on would look for an open quote's end in
                # the next.
                cells = next(_reader(iter((text,)), dialect))
        except csv.Error as error:
            problem = _malformed(error, text)
        yield Cells(line.offset, line.length, line.raw, cells, problem)


class _Feed:
    """Hands lines to csv.reader, and remembers which ones made the record that it is at.

    csv.reader knows of no bytes. It asks for exactly the lines of one record between two calls of `next` on
    it, so that `taken` are those.

    Attributes:
        taken: The lines of the record.
        rest: The unreadable rest, where it ended there.
        over: Whether it ended since a record is too long.
        ended: Whether no more lines are handed out."""

    def __init__(self, lines: Iterator[Line | Rest], dialect: Dialect) -> None:
        self._lines = lines
        self._cap = dialect.max_record
        self._comment = dialect.comment
        self.taken: list[Line] = []
        self.rest: Rest | None = None
        self.over = False
        self.ended = False
        self._size = 0

    def begin(self) -> None:
        self.taken = []
        self._size = 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.ended:
            raise StopIteration
        line = next(self._lines, None)
        if self._comment and not self.taken:
            # Inside of a record such a line is part of a quoted cell.
            while isinstance(line, Line) and line.text.startswith(self._comment):
                line = next(self._lines, None)
        if line is None or isinstance(line, Rest):
            self.rest = line
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        self._size += line.size
        # A single line that is too long has its problem from `_line`, and costs only itself. An open quote
        # that runs on may be any quote of the object: nothing after it can be told apart.
        if self._size > self._cap and len(self.taken) > 1:
            self.over = self.ended = True
            raise StopIteration
        # Only a line break inside quotes reaches a cell; csv.reader drops the others.
        return line.text + "\n"


def _quoted(lines: Iterator[Line | Rest], dialect: Dialect) -> Iterator[Cells]:
    feed = _Feed(lines, dialect)
    reader = _reader(feed, dialect)
    while True:
        feed.begin()
        cells: Sequence[str] = ()
        problem: str | None = None
        try:
            cells = next(reader)
        except StopIteration:
            break
        # csv.reader begins anew with the next line after an error, so that a malformed record costs itself
        # alone.
        except csv.Error as error:
            problem = _malformed(error, *(line.text for line in feed.taken))
        # The feed ended within a record; being strict, csv.reader calls that an error (else it would give the
        # part as a record).
        if feed.ended:
            break
        if not cells and not problem and not any(line.problem for line in feed.taken):
            continue
        yield _record(feed.taken, cells, problem)
    yield from _ended(feed)


def _ended(feed: _Feed) -> Iterator[Cells]:
    """What a feed that stopped leaves: nothing, an open quote, or the unreadable rest."""
    if feed.rest is None and not feed.taken:
        return
    rest = feed.rest
    start = feed.taken[0].offset if feed.taken else rest.offset if rest else 0
    raw = b"".join(line.raw + line.end for line in feed.taken)[:RAW_CAP]
    stop = feed.taken[-1].offset + feed.taken[-1].size if feed.taken else start
    if rest is not None:
        raw, stop = raw + rest.raw, rest.offset + rest.length
        problem = rest.reason
    elif feed.over:
        problem = "a quoted cell that does not end within max_record"
    else:
        problem = "a quoted cell that does not end"
    yield Cells(start, stop - start, raw[:RAW_CAP], (), problem, is_rest=True)


def _record(taken: list[Line], cells: Sequence[str], problem: str | None) -> Cells:
    if len(taken) == 1:
        line = taken[0]
        return Cells(line.offset, line.length, line.raw, cells, line.problem or problem)
    first, last = taken[0], taken[-1]
    raw = b"".join(line.raw + line.end for line in taken[:-1]) + last.raw
    problem = next((line.problem for line in taken if line.problem), problem)
    return Cells(first.offset, last.offset + last.length - first.offset, raw, cells, problem)


def _line(offset: int, raw: bytes, encoding: Encoding, cap: int) -> Line:
    length = len(raw)
    if length > cap:
        return Line(offset, length, raw[:RAW_CAP], "", _too_long(length, cap, raw[:RAW_CAP]))
    problem = "a NUL byte" if b"\0" in raw else None
    if raw.isascii() and encoding.name == "utf-8":
        return Line(offset, length, raw, raw.decode("ascii"), problem)
    # Not strict: a bad byte makes its record a reject, and the quotes in its line count all the same.
    text = encoding.escaped(raw).removeprefix("\ufeff" if not offset else "")
    if _ESCAPED.search(text):
        problem = f"invalid {encoding.name}"
    return Line(offset, length, raw, text, problem)


def _reader(lines: Iterator[str], dialect: Dialect) -> Iterator[list[str]]:
    # The limit is the process's, 128 KiB by default, and anybody may set it; max_record bounds our records.
    csv.field_size_limit(2**31 - 1)
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape,
        doublequote=True,
        # Else what follows a closing quote would be joined to the cell, and an open quote at the end would be
        # none.
        strict=True,
    )


def _rest(rest: Rest) -> Cells:
    return Cells(rest.offset, rest.length, rest.raw, (), rest.reason, is_rest=True)


def _malformed(error: csv.Error, *lines: str) -> str:
    # csv's own words for a CR in a cell advise what only a programmer can do.
    if any("\r" in line.rstrip("\r") for line in lines):
        return f"malformed CSV: {str(error).partition(' - ')[0]}; {CR_ALONE}"
    return f"malformed CSV: {error}"


def _too_long(length: int, cap: int, raw: bytes = b"") -> str:
    said = f"a record of {length} bytes, more than max_record of {cap}"
    return f"{said}; {CR_ALONE}" if b"\r" in raw[:-1] else said
