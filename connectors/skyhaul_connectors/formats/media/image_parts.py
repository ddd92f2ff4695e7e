"""The parts of image files, as their structure states them: segments, chunks, boxes and directories.

A part is stated to reach from `start` to `stop`; `stop` may be beyond the end of the bytes, which is how a
file that was cut off looks. Nothing is decoded, no walk raises, and none goes beyond `PARTS` parts, which no
image has: a walk in Python takes microseconds for each.

Formats: ITU T.81 (JPEG), ISO/IEC 15444-1 (JPEG 2000 codestreams), PNG (W3C), the WebP container (RFC 9649),
TIFF 6.0 and BigTIFF, the ISO base media file format (ISO/IEC 14496-12).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import NamedTuple

SOI, EOI, SOS, APP1 = 0xD8, 0xD9, 0xDA, 0xE1

J2C_SOT, J2C_EOC = b"\xff\x90", b"\xff\xd9"
_J2C_SOT_SIZE = 12
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""What ends or interrupts a scan. A stuffed zero and a restart are parts of it, reserved codes are passed
over as decoders do."""

_MARKERS = frozenset((*range(0xC0, 0xD0), *range(0xD8, 0xFF)))
"""The second bytes that `_MARKER` takes."""
_KINDS = tuple(bytes((code,)) for code in range(256))

_BOX_TYPE = re.compile(rb"[ -~]{4}")
_PNG_CHUNK = struct.Struct(">I4s").unpack_from
_IFDS = 4096
"""Directories of one TIFF at most: pages, as a rule. Chosen, not measured."""

PARTS = 100_000
"""Parts of one image at most; 64 MiB of PNG are 8,000, as most encoders write them."""

_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}
"""Codes of `struct` for TIFF's whole numbers, by field type (TIFF 6.0, section 2; 16 and 17 are
BigTIFF's)."""
_WIDTHS = {kind: struct.calcsize(code) for kind, code in _CODES.items()}


class Part(NamedTuple):
    """A part of an image file."""

    kind: bytes
    """Its name in the format: a marker's code, a chunk's or a box's type."""
    start: int
    """Where its data begin."""
    stop: int
    """Where they end by what the part states; beyond the bytes if the file was cut off."""


def jpeg_segments(raw: bytes) -> Iterator[Part]:
    """Yield segments from the first marker to the end of the image; `kind` is the marker's code.

    What lies behind the end mark (padding, further images) is not looked at. A scan's entropy-coded data
    follow its SOS segment, and are passed over by the search for the marker that ends them.
    """
    at, size = 2, len(raw)
    for _ in range(PARTS):
        # Most segments follow one another without a gap: a search costs more than this look.
        if at + 1 < size and raw[at] == 0xFF and raw[at + 1] in _MARKERS:
            at += 2
        else:
            found = _MARKER.search(raw, at)
            if found is None:
                return
            at = found.end()
        code = raw[at - 1]
        if code in (SOI, EOI):
            yield Part(_KINDS[code], at, at)
            return
        if at + 2 <= size:
            # A length counts its own two bytes: with less than that the walk would not get on.
            stated = raw[at] << 8 | raw[at + 1]
            stop = at + (stated if stated > 2 else 2)
        else:
            stop = size + 1  # cut off inside of its length
        yield Part(_KINDS[code], at + 2, stop)
        at = stop


def codestream_parts(raw: bytes) -> Iterator[Part]:
    """Yield the parts of a JPEG 2000 codestream: segments of its head, tile-parts, the end mark."""
    at = 2
    for _ in range(PARTS):
        kind = raw[at : at + 2]
        if kind == J2C_EOC:
            yield Part(kind, at + 2, at + 2)
            return
        if len(kind) < 2 or kind[0] != 0xFF:
            return
        if kind == J2C_SOT:
            stated = int.from_bytes(raw[at + 6 : at + 10], "big")
            stop = at + stated if stated else raw.find(J2C_EOC, at + _J2C_SOT_SIZE)
            # Of the last one the length may be left out. No end mark is in its packets: what follows 0xff
            # there is 0x8f at most.
            least = at + _J2C_SOT_SIZE
            if stated == 0 and stop < 0:
                stop = len(raw) + 1
        else:
            stop = at + 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
            least = at + 4
        if least > len(raw):
            stop = len(raw) + 1
        elif stop < least:
            return
        yield Part(kind, at + 2, stop)
        at = stop


def png_chunks(raw: bytes) -> Iterator[Part]:
    """Yield the chunks of a PNG up to IEND; each reaches to the end of its checksum."""
    at, last = 8, len(raw) - 8
    for _ in range(PARTS):
        if at > last:
            return
        length, kind = _PNG_CHUNK(raw, at)
        yield Part(kind, at + 8, at + 12 + length)
        if kind == b"IEND":
            return
        at += 12 + length


def riff_chunks(raw: bytes) -> Iterator[Part]:
    """Yield the chunks of a WebP file, within the size that its header states."""
    end = 8 + int.from_bytes(raw[4:8], "little")
    at = 12
    for _ in range(PARTS):
        if at + 8 > min(end, len(raw)):
            return
        kind, length = struct.unpack_from("<4sI", raw, at)
        yield Part(kind, at + 8, at + 8 + length)
        # A chunk of odd length is padded, and its length does not count the padding (RFC 9649, section 2.3).
        at += 8 + length + (length & 1)


def boxes(raw: bytes) -> Iterator[Part]:
    """Yield boxes of the outermost level; what no longer looks like one is padding."""
    at = 0
    for _ in range(PARTS):
        if len(raw) - at < 8:
            return
        length, kind = struct.unpack_from(">I4s", raw, at)
        head = 8
        if not _BOX_TYPE.fullmatch(kind):
            return
        # ISO/IEC 14496-12, section 4.2: 1 has the length in 64 bits behind the type, 0 lets the box end with
        # the file.
        if length == 1:
            length, head = int.from_bytes(raw[at + 8 : at + 16], "big"), 16
        elif length == 0:
            length = len(raw) - at
        if length < head:
            return
        yield Part(kind, at + head, at + length)
        at += length


@dataclass(frozen=True, slots=True)
class Entry:
    """A field of a TIFF directory: `count` values of the type `kind`, at `start` of the file."""

    tag: int
    kind: int
    count: int
    start: int


class Tiff:
    """A TIFF file, or the EXIF data that has its form."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._order = "<" if raw[:2] == b"II" else ">"
        self._big = raw[2:4] in (b"\x2b\x00", b"\x00\x2b")
        self.cut = False
        """Whether a directory lies beyond the bytes, of those that `directories` has been asked for so
        far."""

    def directories(self, wanted: Set[int]) -> Iterator[list[Entry]]:
        """Yield the fields of each directory of the chain whose tags are `wanted`."""
        pointer, count_code, entry_size, value_at = ("Q", "Q", 20, 12) if self._big else ("I", "H", 12, 8)
        width = struct.calcsize(pointer)
        at = self._number(pointer, 8 if self._big else 4)
        seen: set[int] = set()
        # Directories may overlap: all of them together get no more entries than the file has room for, so
        # that a walk takes linear time. `seen` ends a ring.
        budget = len(self.raw) // entry_size + 1
        while at and at not in seen and len(seen) < _IFDS:
            seen.add(at)
            count = self._number(count_code, at)
            start = at + struct.calcsize(count_code)
            if count is None or start + count * entry_size > len(self.raw):
                self.cut = True
            if count is None:
                return
            held = min(count, max(0, len(self.raw) - start) // entry_size, budget)
            budget -= held
            held_bytes = memoryview(self.raw)[start : start + held * entry_size]
            # The tags of all entries are unpacked in C, and the rest of the few that are wanted.
            tags = struct.iter_unpack(f"{self._order}H{entry_size - 2}x", held_bytes)
            places = [start + n * entry_size for n, (tag,) in enumerate(tags) if tag in wanted]
            yield [self._entry(place, value_at, width) for place in places]
            at = self._number(pointer, start + count * entry_size)
        if at is None:
            self.cut = True

    def values(self, entry: Entry, limit: int) -> tuple[int, ...] | None:
        """The whole numbers of a field, at most `limit` of them.

        None if it has values of another type, or does not lie within the bytes.
        """
        # By what it states, before anything is unpacked: a count may be 2 ** 64 - 1.
        code = _CODES.get(entry.kind)
        count = min(entry.count, limit)
        if code is None or entry.start + entry.count * _WIDTHS[entry.kind] > len(self.raw):
            return None
        return struct.unpack_from(f"{self._order}{count}{code}", self.raw, entry.start)

    def reaches(self, entry: Entry) -> bool:
        """Whether the values of a field of whole numbers lie within the bytes."""
        return entry.start + entry.count * _WIDTHS.get(entry.kind, 0) <= len(self.raw)

    def _entry(self, at: int, value_at: int, width: int) -> Entry:
        tag, kind = struct.unpack_from(self._order + "HH", self.raw, at)
        count = struct.unpack_from(self._order + ("Q" if self._big else "I"), self.raw, at + 4)[0]
        # Values that fit into the offset's field stand there instead of it (TIFF 6.0, section 2).
        place = at + value_at
        if count * _WIDTHS.get(kind, 1) > width:
            place = struct.unpack_from(self._order + ("Q" if self._big else "I"), self.raw, place)[0]
        return Entry(tag, kind, count, place)

    def _number(self, code: str, at: int) -> int | None:
        if at + struct.calcsize(code) > len(self.raw):
            return None
        found: int = struct.unpack_from(self._order + code, self.raw, at)[0]
        return found
