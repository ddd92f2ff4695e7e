"""JSON objects that are not JSON lines, or do not say so: arrays, one value, or lines after all.

What an object is, is told by its bytes: an array where it begins with `[`; JSON lines where its first line is
a JSON object by itself, or the next line that is not blank is one and no part of what the first line began;
else one JSON object, which is one record. With `records: features` the records are the elements of that
member of the object, as in GeoJSON.

The policy for each record is that of JSON lines (`jsonl`); offset and length are those of the element.
Objects are read whole, in bounded memory: an element may have `max_line` bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

import orjson
import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.bytes.compression import open_stream
from skyhaul_connectors.formats.bytes.lines import LongLine, Rest, Window, lines_of_stream
from skyhaul_connectors.formats.bytes.stream import PIECE, Broken, PeekedStream, PlainStream, Stream
from skyhaul_connectors.formats.bytes.whole_body import read_whole
from skyhaul_connectors.formats.decoder import Account, RowBuffer, WholeObject
from skyhaul_connectors.formats.json.elements import Element, elements_of
from skyhaul_connectors.formats.json.jsonl import JsonlDecoder, JsonlOptions
from skyhaul_connectors.formats.json.reader import LineReader
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.records.fields import VERSION, FieldMap
from skyhaul_connectors.formats.records.json_exact import BOM, BadJson
from skyhaul_connectors.formats.records.json_quick import loads

_NONE: Final = object()
"""Stands for the value of a line that is no JSON text; None is the value of `null`."""


class JsonOptions(JsonlOptions):
    """records: the member of the object whose elements are the records."""

    records: str | None = Field(default=None, min_length=1)


class JsonDecoder(WholeObject):
    """Decoder of JSON arrays, values and lines."""

    def __init__(self, settings: DecodeSettings, options: JsonOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._lines = JsonlDecoder(settings, options)
        self._fields = FieldMap(settings, options, options.melt, options.missing)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        return {**VERSION, "orjson": orjson.__version__, "pyarrow": pa.__version__}

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        stream: Stream = open_stream(data, self._options) or PlainStream(data, 0, data.chunk.object.size)
        # Its first bytes say which reader it is for, and that reader begins at the first byte again. An
        # object whose first MiB is blank is taken for lines.
        peeked = PeekedStream(stream, PIECE)
        begins = peeked.head.removeprefix(BOM).lstrip()[:1]
        if self._options.records is not None:
            found = elements_of(peeked, self._options.max_line, self._options.records)
            yield from self._elements(found, data, account)
        elif begins == b"[":
            yield from self._elements(elements_of(peeked, self._options.max_line), data, account)
        else:
            yield from self._lines_or_one(peeked, data, account)

    def _elements(self, elements: Iterator[Element], data: ChunkBytes, account: Account) -> Iterator[Decoded]:
        fields = self._fields.for_object(data.chunk.object.path)
        reader = LineReader(fields, account, self._options.max_line, self._options.max_depth)
        buffer = RowBuffer(self.settings, self.schema, account)
        for element in elements:
            if element.problem is not None:
                account.damage(element.offset, element.length, element.problem, element.raw)
                continue
            # An empty element (`[1,,2]`) is malformed, where an empty line is none. Melted rows lie a byte
            # apart, and all end where the element does.
            for number, row in enumerate(reader.rows(element.raw, element.offset, blank=False)):
                buffer.add(row, element.offset + number, element.length - number)
            if buffer.full:
                yield buffer.step()
        yield from buffer.rest()

    def _lines_or_one(self, stream: PeekedStream, data: ChunkBytes, account: Account) -> Iterator[Decoded]:
        windows = lines_of_stream(stream, self._options.max_line)
        # A window holds many lines, so that one is mostly enough to tell lines from one object over several.
        seen = list(islice(windows, 1))
        if not seen:
            return
        if not isinstance(seen[0], Window) or self._is_lines(seen, windows):
            yield from self._lines.decode_windows(chain(seen, windows), data, account)
            return
        # The stream is read up already to where `windows` is: its bytes come out of these.
        rest = _Again(chain(seen, windows))
        raw = read_whole(rest, self._options.max_line, "max_line", account)
        if raw is not None and raw.strip():
            # The record's bytes are those of the value, without the white space around it.
            lead = len(raw) - len(raw.lstrip())
            raw = raw.strip()
            yield from self._elements(iter([Element(lead, len(raw), raw)]), data, account)
        elif account.pending:
            yield account.step(self.empty())

    def _is_lines(
        self, seen: list[Window | LongLine | Rest], more: Iterator[Window | LongLine | Rest]
    ) -> bool:
        """Whether the object is JSON lines (see the module).

        Args:
            seen: The first window. Up to two more are added to it where it does not hold three lines.
            more: The windows after it."""
        lines = _first_lines(seen)
        # One long line may fill a window. Where the first line is an object by itself, the others need not be
        # seen.
        if len(lines) < 3 and not (lines and isinstance(self._value(lines[0]), dict)):
            seen += islice(more, 2)
            lines = _first_lines(seen)
        first, second = (self._value(line) for line in (*lines, b"", b"")[:2])
        if isinstance(first, dict) or not isinstance(second, dict):
            return isinstance(first, dict)
        # Of one JSON text that the first line has begun, something must follow the second line's value.
        begun = first is _NONE and lines[2:] and lines[2].lstrip()[:1] in (b",", b"}", b"]")
        return not begun

    def _value(self, line: bytes) -> Any:
        """The JSON value that `line` is by itself, or _NONE."""
        try:
            return loads(line, self._options.max_depth)
        except BadJson:
            return _NONE


def _first_lines(windows: list[Window | LongLine | Rest]) -> list[bytes]:
    """The lines that are not blank, of the first 64: a bound on the look, not on the object."""
    head = b"".join(window.data for window in windows if isinstance(window, Window))
    return [line for line in head.removeprefix(BOM).split(b"\n", 64)[:64] if line.strip()]


class _Again:
    """What was read as lines, as a stream again, from the object's start.

    It is for `read_whole` only: a read may give more bytes than were asked for."""

    def __init__(self, items: Iterator[Window | LongLine | Rest]) -> None:
        self._items = items
        self.position = 0

    def read(self, length: int) -> bytes:
        item = next(self._items, None)
        if item is None:
            return b""
        if isinstance(item, Window):
            self.position += len(item.data)
            return item.data
        if isinstance(item, LongLine):
            # What it belongs to is lost to its end.
            for last in chain([item], self._items):
                stop = last.offset + (len(last.data) if isinstance(last, Window) else last.length)
                self.position = max(self.position, stop)
            raise Broken(f"a line of {item.length} bytes, more than max_line")
        # Of a line above the cap only the beginning is here, but all of it is lost.
        self.position += item.length
        self._items = iter([Rest(self.position, 0, b"", item.reason)])
        if item.raw:
            return item.raw
        raise Broken(item.reason)
