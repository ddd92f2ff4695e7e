"""CSV, TSV and other delimited text to records: the header names the columns, each cell is text.

Options say what the bytes don't: the delimiter (one character, or `whitespace`), quote and escape, lines to
skip before the header, a header of one's own (`columns`), a row of units below it, a comment mark (stripped
from the header; later lines that begin with it are passed over, but not inside a quoted cell), which cells
mean null (`missing`), and the encoding: a stateless one, since offsets are counted in bytes.

An object is read whole, in bounded memory, since a quoted cell may hold line breaks; where the job says
`quoted_newlines: false` it is cut like lines, and each chunk reads the header from the object's head. A
record with too few or too many cells is rejected. A quote that never ends makes the rest of the object
damage.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pydantic import Field, ValidationInfo, field_validator

from skyhaul_connectors.formats import whatwg
from skyhaul_connectors.formats.compression import is_compressed, open_stream
from skyhaul_connectors.formats.decoder import (
    LOOK_AHEAD,
    Account,
    RowBuffer,
    WholeObject,
    even_cuts,
    with_surroundings,
)
from skyhaul_connectors.formats.encodings import Encoding, encoding_named, encoding_of, marked_or
from skyhaul_connectors.formats.fields import Drift, FieldMap
from skyhaul_connectors.formats.lines import Rest, lines_of_chunk, lines_of_stream
from skyhaul_connectors.formats.melt import MeltOptions
from skyhaul_connectors.formats.options import StreamOptions
from skyhaul_connectors.formats.printable import printable
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.stream import PeekedStream, PlainStream, Stream
from skyhaul_connectors.formats.table_lines import Cells, Dialect, Line, lines_decoded, lines_in, records_of
from skyhaul_connectors.formats.times import TimeOptions
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job import Size
from skyhaul_schemas.plan import Chunk, PinnedObject

_BOM = 4


class CsvOptions(StreamOptions, TimeOptions, MeltOptions):
    """delimiter: one character, `tab` or `whitespace`. quote, escape: one character, or `none`. columns:
    names, where the object has no header. skip_lines: lines before the header. units_row: the line below
    the header holds units. comment: how lines that are no records begin. missing: cells that mean null; in
    columns of numbers white space around them is passed over. A number in this list stands for its text.
    max_record: bytes of a record at most. quoted_newlines: false where no cell holds a line break: the
    object may be cut. encoding: a label of the Encoding Standard, or a
    name that Python knows; UTF-8, or what a byte order mark says, without it."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = "none"
    columns: tuple[str, ...] = ()
    skip_lines: int = Field(default=0, ge=0, le=1000)
    units_row: bool = False
    comment: str | None = Field(default=None, min_length=1, max_length=8)
    missing: tuple[str, ...] = ("",)
    encoding: str | None = None
    max_record: Size = Field(default=16 * 1024**2, ge=1024)
    quoted_newlines: bool = True

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, value: str) -> str:
        value = "\t" if value == "tab" else value
        if value != "whitespace" and (len(value) != 1 or value in '\r\n"\0'):
            raise ValueError("write one character, tab or whitespace")
        return value

    @field_validator("quote", "escape")
    @classmethod
    def _one_character(cls, value: str, info: ValidationInfo) -> str:
        if value != "none" and (len(value) != 1 or value in "\r\n\0"):
            raise ValueError("write one character, or none")
        for other in ("delimiter", "quote"):
            if other != info.field_name and value != "none" and value == info.data.get(other):
                raise ValueError(f"write another character than that of {other}")
        return value

    @field_validator("columns")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("name each column once")
        return value

    @field_validator("missing", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [str(one) if type(one) in (int, float) else one for one in value]


class TsvOptions(CsvOptions):
    delimiter: str = "\t"


@dataclass(frozen=True, slots=True)
class _Header:
    """names: the columns. units: by column. stop: where the records begin."""

    names: tuple[str, ...]
    units: Mapping[str, str]
    stop: int


class CsvDecoder(WholeObject):
    """Decoder of delimited text."""

    def __init__(self, settings: DecodeSettings, options: CsvOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._declared = encoding_named(options.encoding) if options.encoding else None
        if self._declared is not None and not self._declared.stateless:
            raise UsageError(
                f"decode option 'encoding': lines of {self._declared.name} have no byte offsets;"
                " convert the objects to UTF-8"
            )
        self._missing = frozenset(options.missing)
        self._fields = FieldMap(settings, options, options.melt, text_table=True)
        self._dialect = Dialect(
            options.delimiter,
            None if options.quote == "none" else options.quote,
            None if options.escape == "none" else options.escape,
            options.quoted_newlines,
            options.max_record,
            options.comment,
        )

    @property
    def fingerprint(self) -> Mapping[str, str]:
        versions = {"pyarrow": pa.__version__, "python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        # Only a declared encoding has changed its meaning; a mark says no more than it did.
        return versions if self._declared is None else {**versions, **whatwg.fingerprint()}

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        lines = not self._options.quoted_newlines or self._options.delimiter == "whitespace"
        if obj.size <= chunk_size or not lines or is_compressed(obj, self._options, read):
            return iter([(0, obj.size)])
        encoding = self._declared
        if read is not None:
            encoding = self._under_mark(read(0, _BOM))
        if encoding is None or not encoding.cuttable:
            return iter([(0, obj.size)])
        return even_cuts(obj.size, chunk_size)

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        """The chunk with its surroundings, and the object's head, which holds the header."""
        found = with_surroundings(chunk)
        if not found or found[0][0] <= LOOK_AHEAD:
            return [(0, sum(found[0]))] if found else []
        return [(0, LOOK_AHEAD), *found]

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        buffer = RowBuffer(self.settings, self.schema, account)
        fields = self._fields.for_object(data.chunk.object.path)
        lines, encoding = self._lines(data)
        header = self._header(lines, account)
        if header is not None:
            if data.chunk.offset > 0:
                lines = lines_in(
                    lines_of_chunk(data, self._options.max_record), encoding, self._options.max_record
                )
                lines = _from(lines, header.stop)
            for record in records_of(lines, self._dialect):
                self._take(record, header, fields, account, buffer)
                if buffer.full:
                    yield buffer.step()
        yield from buffer.rest()

    def _lines(self, data: ChunkBytes) -> tuple[Iterator[Line | Rest], Encoding]:
        """The object's lines from its start; those of the chunk where it is the first of several."""
        chunk, cap = data.chunk, self._options.max_record
        stream: Stream | None = open_stream(data, self._options)
        plain = stream is None
        peeked = PeekedStream(stream or PlainStream(data, 0, chunk.object.size), _BOM)
        encoding = self._under_mark(peeked.head)
        if not encoding.cuttable:
            return lines_decoded(peeked, encoding, cap), encoding
        if plain and chunk.offset == 0:
            return lines_in(lines_of_chunk(data, cap), encoding, cap), encoding
        if plain:
            head = lines_of_stream(PlainStream(data, 0, chunk.object.size), cap, piece=LOOK_AHEAD)
            return lines_in(head, encoding, cap), encoding
        return lines_in(lines_of_stream(peeked, cap), encoding, cap), encoding

    def _under_mark(self, head: bytes) -> Encoding:
        return encoding_of(head) if self._declared is None else marked_or(self._declared, head)

    def _header(self, lines: Iterator[Line | Rest], account: Account) -> _Header | None:
        """Reads the header off `lines`. None where there is none: an empty object, or damage."""
        stop = 0
        head: Cells | None = None
        for _ in range(self._options.skip_lines):
            line = next(lines, None)
            if line is None:
                return None
            if isinstance(line, Rest):
                account.damage(line.offset, line.length, line.reason, line.raw)
                return None
            stop = line.offset + line.size
        names = self._options.columns
        units: tuple[str, ...] = ()
        if not names:
            read = self._head_record(lines, account)
            if read is None:
                return None
            names, stop, head = read
        if self._options.units_row:
            read = self._head_record(lines, account)
            if read is None:
                return None
            units, stop, _ = read
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None and head is not None:
            reason = f"header: column {printable(twice)!r} is there twice (name them by `columns`)"
            account.damage(head.offset, head.length, reason, head.raw)
            return None
        return _Header(names, dict(zip(names, units, strict=False)), stop)

    def _head_record(
        self, lines: Iterator[Line | Rest], account: Account
    ) -> tuple[tuple[str, ...], int, Cells] | None:
        """The cells of the header or the units, where the lines after them begin, and the record."""
        seen = _Seen(self._without_mark(lines))
        record = next(records_of(seen, replace(self._dialect, comment=None)), None)
        if record is None:
            return None
        if record.problem:
            account.damage(record.offset, record.length, f"header: {record.problem}", record.raw)
            return None
        return tuple(cell.strip() for cell in record.cells), seen.stop, record

    def _without_mark(self, lines: Iterator[Line | Rest]) -> Iterator[Line | Rest]:
        """The lines of one record, whose first one may begin with the comment mark."""
        mark = self._options.comment
        begun = False
        for line in lines:
            if mark and not begun and isinstance(line, Line) and line.text.startswith(mark):
                line = replace(line, text=line.text[len(mark) :])
            begun = begun or (isinstance(line, Line) and bool(line.text.strip()))
            yield line

    def _take(
        self, record: Cells, header: _Header, fields: FieldMap, account: Account, buffer: RowBuffer
    ) -> None:
        if record.is_rest:
            account.damage(record.offset, record.length, record.problem or "unreadable", record.raw)
            return
        names, cells = header.names, record.cells
        if record.problem or len(cells) != len(names):
            problem = record.problem or f"{len(cells)} cells where the header has {len(names)}"
            account.reject(record.offset, record.length, problem, record.raw)
            return
        missing = self._missing
        values = {name: None if cell in missing else cell for name, cell in zip(names, cells, strict=True)}
        for name in fields.numbers:
            cell = values.get(name)
            if cell is not None and cell.strip() in missing:
                values[name] = None
        try:
            found = fields.rows(values, header.units)
        except Drift as drift:
            account.drift(record.offset, record.length, str(drift), record.raw)
            return
        for number, row in enumerate(found):
            buffer.add(row, record.offset + number, record.length - number)


class TsvDecoder(CsvDecoder):
    """Decoder of tab-separated text."""


class _Seen:
    """Remembers where the last line that was taken stops."""

    def __init__(self, lines: Iterator[Line | Rest]) -> None:
        self._lines = lines
        self.stop = 0

    def __iter__(self) -> _Seen:
        return self

    def __next__(self) -> Line | Rest:
        line = next(self._lines)
        if isinstance(line, Line):
            self.stop = line.offset + line.size
        return line


def _from(lines: Iterator[Line | Rest], start: int) -> Iterator[Line | Rest]:
    return (line for line in lines if line.offset >= start)
