"""The elements of a JSON array, one after the other, with their bytes; the array is never held whole.

Only strings and brackets are looked at here; each element is then read by the exact policy, so a malformed
one is one reject. Where the brackets themselves do not add up, nothing after can be told apart: that is the
unreadable rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from skyhaul_connectors.formats.json_exact import BOM, BadJson, loads
from skyhaul_connectors.formats.printable import printable
from skyhaul_connectors.formats.stream import PIECE, Broken, Stream
from skyhaul_schemas.records import RAW_CAP

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TO_STRUCTURE = re.compile(rb"(?:[^\"\[\]{},]++|" + _STRING + rb")*+", re.DOTALL)
_TO_BRACKET = re.compile(rb"(?:[^\"\[\]{}]++|" + _STRING + rb")*+", re.DOTALL)
_MEMBER = re.compile(rb"[ \t\r\n,]*(" + _STRING + rb")[ \t\r\n]*:[ \t\r\n]*", re.DOTALL)
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Element:
    """raw: the element's bytes; of the unreadable rest (`problem`), their beginning."""

    offset: int
    length: int
    raw: bytes
    problem: str | None = None


class _Scanner:
    """A window that moves over the stream: looked at from `at` on, kept from `start` on."""

    def __init__(self, stream: Stream, cap: int) -> None:
        self._stream = stream
        self._cap = cap
        self._base = stream.position
        self.buffer = b""
        self.start = 0
        self.at = 0

    @property
    def offset(self) -> int:
        """Of the first byte that is kept."""
        return self._base + self.start

    def more(self) -> bool:
        """Read on, dropping what is before `start`. Raises Broken, also where too much is kept."""
        if len(self.buffer) - self.start > self._cap:
            raise Broken(f"an element of more than max_line of {self._cap} bytes")
        piece = self._stream.read(PIECE)
        self.buffer = self.buffer[self.start :] + piece
        self._base += self.start
        self.at -= self.start
        self.start = 0
        return bool(piece)

    def next_token(self, inside: bool) -> bytes:
        """Go to the next bracket (or comma, unless `inside` an element). Raises Broken at the end."""
        skip = _TO_BRACKET if inside else _TO_STRUCTURE
        while True:
            found = skip.match(self.buffer, self.at)
            stop = found.end() if found else self.at
            if stop < len(self.buffer) and self.buffer[stop] != 0x22:
                self.at = stop
                return self.buffer[stop : stop + 1]
            # An open string is looked at again from its start; all else before it is done with.
            self.at = stop
            if not self.more():
                raise Broken("truncated: the array does not end")

    def skip_space(self) -> bytes:
        """The next byte that is no white space, or b"" at the end."""
        while True:
            rest = self.buffer[self.at :].lstrip(_SPACE)
            self.at = len(self.buffer) - len(rest)
            self.start = self.at
            if rest:
                return rest[:1]
            if not self.more():
                return b""


def elements_of(stream: Stream, cap: int, member: str | None = None) -> Iterator[Element]:
    """The elements of the array that `stream` is, or of the one that is the object's `member`. The last one
    may be the unreadable rest. `cap`: bytes of an element at most."""
    scanner = _Scanner(stream, cap)
    try:
        while len(scanner.buffer) < len(BOM) and scanner.more():
            pass
        if scanner.buffer.startswith(BOM):
            scanner.at = scanner.start = len(BOM)
        if member is not None:
            _enter(scanner, member)
        yield from _elements(scanner, closing=member is None)
    except Broken as broken:
        kept = scanner.buffer[scanner.start :]
        yield Element(scanner.offset, len(kept), kept[:RAW_CAP], broken.reason)


def _elements(scanner: _Scanner, closing: bool) -> Iterator[Element]:
    if scanner.skip_space() != b"[":
        raise Broken("not a JSON array")
    scanner.at += 1
    scanner.start = scanner.at
    first, depth = True, 0
    while True:
        token = scanner.next_token(depth > 0)
        stop = scanner.at
        scanner.at += 1
        if token in (b"[", b"{"):
            depth += 1
            continue
        if depth:
            depth -= 1
            continue
        if token == b"}":
            raise Broken("brackets that do not match")
        raw = scanner.buffer[scanner.start : stop]
        element = raw.strip(_SPACE)
        if element or token == b"," or not first:
            lead = len(raw) - len(raw.lstrip(_SPACE)) if element else 0
            yield Element(scanner.offset + lead, len(element), element)
        first = False
        scanner.start = scanner.at
        if token == b"]":
            break
    if closing and scanner.skip_space():
        raise Broken("something follows the array")


def _enter(scanner: _Scanner, member: str) -> None:
    """Go to the value of the object's `member`."""
    missing = Broken(f"no JSON object with a member {printable(member)!r}")
    if scanner.skip_space() != b"{":
        raise missing
    scanner.at += 1
    while True:
        found = _MEMBER.match(scanner.buffer, scanner.at)
        if found is None or found.end() == len(scanner.buffer):
            if scanner.skip_space() in (b"}", b"") or not scanner.more():
                raise missing
            continue
        scanner.at = scanner.start = found.end()
        try:
            if loads(found[1]) == member:
                return
        except BadJson as bad:
            raise Broken(str(bad)) from None
        if not _skip_value(scanner):
            raise missing


def _skip_value(scanner: _Scanner) -> bool:
    """Pass over a value and its comma; False where the object ends."""
    depth = 0
    while True:
        token = scanner.next_token(depth > 0)
        scanner.at += 1
        scanner.start = scanner.at
        if token in (b"[", b"{"):
            depth += 1
        elif depth:
            depth -= 1
        else:
            return token == b","
