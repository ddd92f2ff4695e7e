"""The elements of a JSON array, one after the other, with their bytes; the array is never held whole.

Only strings and brackets are looked at here; each element is then read by the exact policy, so a malformed
one is one reject. Where the brackets themselves do not add up, nothing after can be told apart: that is the
unreadable rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from skyhaul_connectors.formats.bytes.stream import PIECE, Broken, Stream
from skyhaul_connectors.formats.records.json_exact import BOM, BadJson, loads
from skyhaul_schemas.printable import brief
from skyhaul_schemas.records import RAW_CAP

# Possessive quantifiers throughout: what matches does so in one way. With backtracking, a string that is
# still open at the buffer's end would be parted in every possible way before the match failed.
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TO_STRUCTURE = re.compile(rb"(?:[^\"\[\]{},]++|" + _STRING + rb")*+", re.DOTALL)
_TO_BRACKET = re.compile(rb"(?:[^\"\[\]{}]++|" + _STRING + rb")*+", re.DOTALL)
_PLAIN_TO_STRUCTURE = re.compile(rb"[^\"\[\]{},]*+")
_PLAIN_TO_BRACKET = re.compile(rb"[^\"\[\]{}]*+")
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_MEMBER = re.compile(rb"[ \t\r\n]*(" + _STRING + rb")[ \t\r\n]*:", re.DOTALL)
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an array, or the unreadable rest of the stream.

    Attributes:
        offset: Where it begins in the stream.
        length: Its bytes.
        raw: Those bytes; of the unreadable rest their beginning, at most RAW_CAP.
        problem: Why the rest is unreadable; None of an element."""

    offset: int
    length: int
    raw: bytes
    problem: str | None = None


class _Unsound(Broken):
    """The stream can be read, but nothing after can be told apart: the rest goes to its end."""


class _NoMember(Broken):
    """The object has not the member: all of it is unreadable."""


class _Scanner:
    """A window that moves over the stream.

    Attributes:
        buffer: The window.
        start: The first byte of it that is kept.
        at: The next byte to look at; not before `start`.
        head: The stream's first bytes, at most RAW_CAP.
        what: What has to end yet, for messages."""

    def __init__(self, stream: Stream, cap: int) -> None:
        self._stream = stream
        self._cap = cap
        # `_base` is the offset in the stream of `buffer[0]`.
        self._base = self._first = stream.position
        self.head = b""
        self.what = "array"
        self.buffer = b""
        self.start = 0
        self.at = 0
        # Of what is passed over: where it begins, and its first bytes.
        self._passed: tuple[int, bytes] | None = None

    @property
    def offset(self) -> int:
        """Of the first byte that is kept, or was passed over since the last bracket."""
        return self._base + self.start if self._passed is None else self._passed[0]

    @property
    def kept(self) -> tuple[int, bytes]:
        """(length, the first bytes) of what lies between `offset` and the end of the window."""
        head = b"" if self._passed is None else self._passed[1]
        length = self._base + len(self.buffer) - self.offset
        return length, (head + self.buffer[self.start : self.start + RAW_CAP])[:RAW_CAP]

    def begin(self) -> None:
        """Keep what follows, and nothing before."""
        self.start, self._passed = self.at, None

    def pass_over(self) -> None:
        """Let go of what was looked at, but for what a message would show of it."""
        head = b"" if self._passed is None else self._passed[1]
        gone = self.buffer[self.start : min(self.at, self.start + RAW_CAP)]
        self._passed = self.offset, (head + gone)[:RAW_CAP]
        self.start = self.at

    @property
    def truncated(self) -> str:
        return f"truncated: the {self.what} does not end"

    def rest(self, reason: str, *, of_all: bool = False) -> Element:
        """What is kept and all that follows, up to where the stream ends or breaks.

        Args:
            reason: Why it is unreadable.
            of_all: Whether all of the stream is meant, from its first byte on."""
        offset = self._first if of_all else self.offset
        raw = self.head if of_all else self.kept[1]
        with suppress(Broken):
            while piece := self._stream.read(PIECE):
                raw += piece[: RAW_CAP - len(raw)]
        return Element(offset, self._stream.position - offset, raw, reason)

    def more(self) -> bool:
        """Reads on, dropping what is before `start`; False at the stream's end.

        Raises:
            Broken: The stream breaks, or more than the cap is kept."""
        if len(self.buffer) - self.start > self._cap:
            raise _Unsound(f"an element of more than max_line of {self._cap} bytes")
        piece = self._stream.read(PIECE)
        if len(self.head) < RAW_CAP:
            self.head = (self.head + piece)[:RAW_CAP]
        self.buffer = self.buffer[self.start :] + piece
        self._base += self.start
        self.at -= self.start
        self.start = 0
        return bool(piece)

    def next_token(self, inside: bool) -> bytes:
        """Goes to the next bracket (or comma, unless `inside` an element), and returns it.

        Raises:
            Broken: The stream ends before one, or breaks."""
        skip = _TO_BRACKET if inside else _TO_STRUCTURE
        while True:
            found = skip.match(self.buffer, self.at)
            stop = found.end() if found else self.at
            # The pattern stops at a quote only where the string behind it does not end in the buffer.
            if stop < len(self.buffer) and self.buffer[stop] != 0x22:
                self.at = stop
                return self.buffer[stop : stop + 1]
            # An open string is looked at again from its start; all else before it is done with.
            self.at = stop
            if not self.more():
                raise _Unsound(self.truncated)

    def pass_to_token(self, inside: bool) -> bytes:
        """As `next_token`, of what nobody wants: none of it is kept, however long it is."""
        skip = _PLAIN_TO_BRACKET if inside else _PLAIN_TO_STRUCTURE
        in_string = False
        while True:
            found = (_IN_STRING if in_string else skip).match(self.buffer, self.at)
            self.at = found.end() if found else self.at
            token = self.buffer[self.at : self.at + 1]
            if token == b'"':
                in_string = not in_string
                self.at += 1
            elif token and not in_string:
                return token
            else:
                # The window ends, perhaps behind the backslash of an escape.
                self.pass_over()
                if not self.more():
                    raise _Unsound(self.truncated)

    def skip_space(self) -> bytes:
        """The next byte that is no white space, or b"" at the end."""
        while True:
            rest = self.buffer[self.at :].lstrip(_SPACE)
            self.at = len(self.buffer) - len(rest)
            self.begin()
            if rest:
                return rest[:1]
            if not self.more():
                return b""


def elements_of(stream: Stream, cap: int, member: str | None = None) -> Iterator[Element]:
    """The elements of the array that `stream` is; the last one may be the unreadable rest.

    Args:
        stream: Read to its end.
        cap: Bytes of an element at most.
        member: The member of an object whose array is meant instead."""
    scanner = _Scanner(stream, cap)
    try:
        while len(scanner.buffer) < len(BOM) and scanner.more():
            pass
        if scanner.buffer.startswith(BOM):
            scanner.at = scanner.start = len(BOM)
        if member is not None:
            yield from _of_member(scanner, member)
            return
        yield from _elements(scanner)
        if scanner.skip_space():
            raise _Unsound("something follows the array")
    except _NoMember as missing:
        yield scanner.rest(missing.reason, of_all=True)
    except _Unsound as unsound:
        yield scanner.rest(unsound.reason)
    except Broken as broken:
        yield Element(scanner.offset, *scanner.kept, broken.reason)


def _elements(scanner: _Scanner) -> Iterator[Element]:
    if scanner.skip_space() != b"[":
        raise _Unsound("not a JSON array")
    scanner.at += 1
    scanner.start = scanner.at
    first, depth = True, 0
    while True:
        token = scanner.next_token(depth > 0)
        stop = scanner.at
        scanner.at += 1
        # Which kind of bracket closes which is not looked at within an element: one in which they do not
        # match is refused by the exact reader, alone.
        if token in (b"[", b"{"):
            depth += 1
            continue
        if depth:
            depth -= 1
            continue
        if token == b"}":
            raise _Unsound("brackets that do not match")
        raw = scanner.buffer[scanner.start : stop]
        element = raw.strip(_SPACE)
        # `[]` has no element; `[,1]` and `[1,]` have an empty one, which is malformed.
        if element or token == b"," or not first:
            lead = len(raw) - len(raw.lstrip(_SPACE)) if element else 0
            yield Element(scanner.offset + lead, len(element), element)
        first = False
        scanner.start = scanner.at
        if token == b"]":
            return


def _of_member(scanner: _Scanner, member: str) -> Iterator[Element]:
    """The elements of the array that is the object's `member`.

    The other members are passed over, those behind the array too: a second one of the same name, or an object
    that does not end, is damage."""
    if scanner.skip_space() != b"{":
        raise _missing(member)
    scanner.what = "object"
    scanner.at += 1
    found = False
    key = _next_key(scanner, may_end=True)
    while key is not None:
        if key != member:
            more = _skip_value(scanner)
        elif found:
            raise _Unsound(f"member {brief(member)!r} is there twice")
        else:
            found = True
            yield from _elements(scanner)
            more = _goes_on(scanner)
        key = _next_key(scanner, may_end=False) if more else None
    if not found:
        raise _missing(member)
    if scanner.skip_space():
        raise _Unsound("something follows the object")


def _missing(member: str) -> _NoMember:
    return _NoMember(f"no JSON object with a member {brief(member)!r}")


def _next_key(scanner: _Scanner, *, may_end: bool) -> str | None:
    """Goes to the value of the next member, and returns its key.

    None where the object ends, if it `may_end` here."""
    while True:
        found = _MEMBER.match(scanner.buffer, scanner.at)
        if found is not None:
            scanner.at = found.end()
            if not scanner.skip_space():
                raise _Unsound(scanner.truncated)
            try:
                # Keys are compared after their escapes, as JSON compares them.
                return str(loads(found[1]))
            except BadJson as bad:
                raise _Unsound(str(bad)) from None
        token = scanner.skip_space()
        if token == b"}" and may_end:
            scanner.at += 1
            return None
        if token not in (b'"', b""):
            raise _Unsound("malformed JSON: no member where one should be")
        if not scanner.more():
            raise _Unsound("truncated: the object does not end")


def _skip_value(scanner: _Scanner) -> bool:
    """Passes over a value and its comma; False where the object ends.

    What lies between two brackets of it is held until the second one, and counts against the cap."""
    depth = 0
    while True:
        token = scanner.pass_to_token(depth > 0)
        if not depth and token in (b",", b"}"):
            return _goes_on(scanner)
        scanner.at += 1
        scanner.begin()
        depth += 1 if token in (b"[", b"{") else -1
        if depth < 0:
            raise _Unsound("brackets that do not match")


def _goes_on(scanner: _Scanner) -> bool:
    """Passes over the comma behind a value; False where the object ends."""
    token = scanner.skip_space()
    if token not in (b",", b"}"):
        raise _Unsound("malformed JSON: no comma behind a member" if token else scanner.truncated)
    scanner.at += 1
    scanner.start = scanner.at
    return token == b","
