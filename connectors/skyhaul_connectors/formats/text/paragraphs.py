"""Paragraphs in bytes: runs of lines that are not blank, by the record-that-starts-here rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from skyhaul_connectors.formats.bytes.lines import LongLine, Rest, Window, lines_of_chunk, lines_of_stream
from skyhaul_connectors.formats.bytes.stream import PlainStream, Stream
from skyhaul_connectors.formats.decoder import LOOK_AHEAD
from skyhaul_connectors.formats.protocol import ChunkBytes
from skyhaul_schemas.records import RAW_CAP

# Without the LF, at which lines were parted.
_BLANK = b" \t\r\x0b\x0c"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A run of lines that are not blank, without its last line end."""

    offset: int
    length: int
    raw: bytes
    """The whole paragraph, or its beginning if it is longer than the cap."""


class _Open:
    """The paragraph that is being read. At most `cap` bytes of it are held."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._lines: list[bytes] = []
        self._held = 0
        self.offset = -1
        self.stop = -1

    @property
    def begun(self) -> bool:
        return self.offset >= 0

    def add(self, offset: int, length: int, line: bytes) -> None:
        if self.offset < 0:
            self.offset = offset
        self.stop = offset + length
        # Beyond the cap it is a reject, of which RAW_CAP bytes are kept.
        if self._held <= max(self._cap, RAW_CAP):
            self._lines.append(line)
            self._held += len(line) + 1

    def end(self) -> Paragraph:
        length = self.stop - self.offset
        raw = b"\n".join(self._lines)
        if length > self._cap:
            raw = raw[:RAW_CAP]
        # Of a last CRLF the LF is gone already.
        elif raw.endswith(b"\r"):
            raw, length = raw[:-1], length - 1
        found = Paragraph(self.offset, length, raw)
        self._lines, self._held, self.offset = [], 0, -1
        return found


def paragraphs_of_chunk(data: ChunkBytes, cap: int) -> Iterator[Paragraph | Rest]:
    """Yield the paragraphs whose first byte lies in the chunk.

    Args:
        data: The chunk.
        cap: Bytes of a paragraph that are held; a longer one comes with its beginning only.
    """
    chunk = data.chunk
    stop = chunk.offset + chunk.length
    first = True
    ours = True
    current = _Open(cap)
    end = stop
    for item in lines_of_chunk(data, cap):
        if first:
            # Otherwise the chunk begins inside of a paragraph, which the chunk before reads to its end.
            ours = _follows_blank(data, item.offset, cap)
            first = False
        for offset, length, line in _lines(item):
            end = offset + length + 1
            if _is_blank(line, length, cap):
                ours = True
                if current.begun:
                    yield current.end()
            elif ours:
                current.add(offset, length, line)
    if not current.begun:
        return
    # Behind the chunk the open paragraph is read in small pieces, none across the border of what was hauled
    # with it: the blank line is near as a rule, and each read beyond that border is a fetch.
    rest = PlainStream(data, end, chunk.object.size, border=stop + LOOK_AHEAD)
    for item in lines_of_stream(rest, cap, piece=LOOK_AHEAD):
        for offset, length, line in _lines(item):
            if _is_blank(line, length, cap):
                yield current.end()
                return
            current.add(offset, length, line)
    yield current.end()


def paragraphs_of_stream(stream: Stream, cap: int) -> Iterator[Paragraph | Rest]:
    """Yield all paragraphs of `stream`, in the order of its bytes.

    One that is open where the stream breaks belongs to the `Rest`: nobody knows where it would have ended.
    """
    current = _Open(cap)
    for item in lines_of_stream(stream, cap):
        if isinstance(item, Rest):
            if item.raw.strip(_BLANK) or current.begun:
                start = current.offset if current.begun else item.offset
                raw = current.end().raw + b"\n" + item.raw if current.begun else item.raw
                item = Rest(start, item.offset + item.length - start, raw[:RAW_CAP], item.reason)
            yield item
            return
        for offset, length, line in _lines(item):
            if _is_blank(line, length, cap):
                if current.begun:
                    yield current.end()
            else:
                current.add(offset, length, line)
    if current.begun:
        yield current.end()


def _lines(item: Window | LongLine | Rest) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, length, bytes or the beginning) of each line; what is empty after a last LF is none."""
    if not isinstance(item, Window):
        yield item.offset, item.length, item.raw
        return
    offset = item.offset
    lines = item.data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        yield offset, len(line), line
        offset += len(line) + 1


def _is_blank(line: bytes, length: int, cap: int) -> bool:
    """Whether a line is blank. One over the cap counts as text, since its rest may not be here."""
    return length <= cap and not line.strip(_BLANK)


def _follows_blank(data: ChunkBytes, start: int, cap: int) -> bool:
    """Whether the line before the one that begins at `start` is blank, or there is none."""
    # Backwards and in small pieces: all but one byte of it is outside of the chunk, so that a read may be a
    # fetch. The cap counts as in `_is_blank`, or a line would be blank in one chunk and text in the next.
    stop = start - 1
    while stop > 0:
        if start - 1 - stop > cap:
            return False
        begin = max(0, stop - 4096)
        piece = data.read(begin, stop - begin).rstrip(_BLANK)
        if piece:
            return piece.endswith(b"\n") and start - 1 - (begin + len(piece)) <= cap
        stop = begin
    return start - 1 <= cap
