"""Lines of a chunk or a stream, in windows of whole lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from skyhaul_connectors.formats.bytes.stream import PIECE, Broken, PlainStream, Stream
from skyhaul_connectors.formats.decoder import LOOK_AHEAD
from skyhaul_connectors.formats.protocol import ChunkBytes
from skyhaul_schemas.records import RAW_CAP

_TAIL = 16 * 1024
"""Bytes before a window's end in which the end of its last line is looked for. Longer lines go the slower
way, in pieces; a longer look would read more bytes twice."""


@dataclass(frozen=True, slots=True)
class Window:
    """Whole lines with their ends; the last line of an object may have none.

    Attributes:
        offset: Of the first line, in the object or stream.
        data: The lines' bytes."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line of more bytes than the cap.

    Attributes:
        offset: Of the line, in the object or stream.
        length: Its bytes without the LF.
        raw: Its beginning, at most RAW_CAP."""

    offset: int
    length: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Rest:
    """The end of a stream that broke.

    Attributes:
        offset: Where the line begins that was cut off.
        length: Bytes of it that were seen.
        raw: Those bytes; of a line over the cap its beginning.
        reason: Why the stream broke."""

    offset: int
    length: int
    raw: bytes
    reason: str


def lines_of_chunk(
    data: ChunkBytes, max_line: int, *, window: int = PIECE
) -> Iterator[Window | LongLine | Rest]:
    """The lines whose first byte lies in the chunk (the record-that-starts-here rule, see `chunk_bytes`).

    They come in windows of at most `window` bytes, and a little more where lines are long."""
    chunk = data.chunk
    start, stop, size = chunk.offset, chunk.offset + chunk.length, chunk.object.size
    if 0 < start < stop and data.read(start - 1, 1) != b"\n":
        start = _after_newline(data, start, stop)
    while stop - start > window:
        # A look at where the last line of the window ends lets the window be read as it is, in one copy.
        end = _last_line_end(data, start, start + window)
        if end is not None:
            whole = data.read(start, end - start)
            if len(whole) < end - start:
                break
            yield Window(start, whole)
            start = end
            continue
        for item in lines_of_stream(PlainStream(data, start, size), max_line, start + window):
            yield item
            # A PlainStream never breaks, so that there is no Rest. A LongLine's length is without its LF.
            start = item.offset + (len(item.data) if isinstance(item, Window) else item.length + 1)
    if start < stop:
        yield from lines_of_stream(PlainStream(data, start, size), max_line, stop)


def lines_of_stream(
    stream: Stream, max_line: int, stop: int | None = None, *, piece: int = PIECE
) -> Iterator[Window | LongLine | Rest]:
    """The lines of `stream`; with `stop`, those that begin before it. Holds about `max_line` + PIECE bytes.

    Only a line that is longer than a window is sure to come as LongLine: whoever reads a window checks its
    lines against the cap, too.

    Args:
        stream: Read from its position on.
        max_line: Bytes of a line beyond which no more than its first RAW_CAP bytes are held.
        stop: Offset in the stream; the line that holds the byte before it is the last one.
        piece: Bytes to read at once."""
    offset = stream.position
    held: list[bytes] = []
    size = 0
    over = False
    while True:
        at = stream.position
        try:
            # Not beyond what `with_surroundings` had hauled: each further read is a fetch of its own.
            read = stream.read(piece if stop is None else min(piece, max(stop - at, 0) + LOOK_AHEAD))
        except Broken as broken:
            yield Rest(offset, size, b"".join(held), broken.reason)
            return
        if not read:
            break
        # The last line of a chunk is the one that holds its last byte.
        last = -1
        if stop is not None and at + len(read) >= stop:
            last = read.find(b"\n", max(0, stop - 1 - at))
        end = (last if last >= 0 else read.rfind(b"\n")) + 1
        body, tail = read[:end], read[end:]
        if body:
            if over:
                first = body.find(b"\n") + 1
                yield LongLine(offset, size + first - 1, _head(held[0], body[: first - 1]))
                offset += size + first
                held, size, over = [], 0, False
                body = body[first:]
            if body:
                window = b"".join([*held, body]) if held else body
                yield Window(offset, window)
                offset += len(window)
            held, size = [], 0
        if last >= 0:
            return
        if tail:
            size += len(tail)
            if over:
                # From here on the line costs no more memory, however long it is; its bytes are counted only.
                held = [_head(held[0], tail)]
            else:
                held.append(tail)
                if size > max_line:
                    over = True
                    held = [_head(*held)]
    if over:
        yield LongLine(offset, size, held[0])
    elif size:
        yield Window(offset, b"".join(held))


def _head(*parts: bytes) -> bytes:
    # The first part is mostly long enough: then nothing is joined.
    return b"".join(parts)[:RAW_CAP] if len(parts[0]) < RAW_CAP else parts[0][:RAW_CAP]


def _last_line_end(data: ChunkBytes, start: int, stop: int) -> int | None:
    """Where the last line that ends in [start, stop) ends; None where no line ends in its last 16 KiB."""
    begin = max(start, stop - _TAIL)
    found = data.read(begin, stop - begin).rfind(b"\n")
    return None if found < 0 else begin + found + 1


def _after_newline(data: ChunkBytes, start: int, stop: int) -> int:
    """Where the first line that begins in (start, stop) begins; `stop` where none does."""
    while start < stop:
        piece = data.read(start, min(PIECE, stop - start))
        found = piece.find(b"\n")
        if found >= 0:
            return start + found + 1
        start += len(piece)
    return stop
