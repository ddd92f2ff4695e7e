"""CSV, TSV and other delimited text to records: the header names the columns, each cell is text.

Options say what the bytes don't: the delimiter (one character, or `whitespace`), quote and escape, lines to
skip before the header and below it, a header of one's own (`columns`), a row of units below it, a comment
mark (see `table_header` for which line is the header then; later lines that begin with the mark are passed
over, but not inside a quoted cell), which cells mean null (see `missing`), the mark before the fraction of a
number, and the encoding: a stateless one, since offsets are counted in bytes.

Cells at the header's end that name nothing (a spreadsheet's `a,b,,`) are no columns; a record that holds
something there is rejected.

An object is read whole, in bounded memory, since a quoted cell may hold line breaks; where the job says
`quoted_newlines: false` it is cut like lines, and each chunk reads the header from the object's head. A
record with too few or too many cells is rejected. A quote that never ends makes the rest of the object
damage.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, ValidationInfo, field_validator, model_validator

from skyhaul_connectors.formats.bytes.compression import is_compressed, open_stream
from skyhaul_connectors.formats.bytes.lines import Rest, lines_of_chunk, lines_of_stream
from skyhaul_connectors.formats.bytes.stream import PeekedStream, PlainStream, Stream
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.charsets import whatwg
from skyhaul_connectors.formats.charsets.encodings import Encoding, encoding_named, encoding_of, marked_or
from skyhaul_connectors.formats.charsets.not_text import not_text
from skyhaul_connectors.formats.decoder import (
    LOOK_AHEAD,
    Account,
    RowBuffer,
    WholeObject,
    even_cuts,
    with_surroundings,
)
from skyhaul_connectors.formats.delimited.header import Header, HeaderReader, HeaderRules
from skyhaul_connectors.formats.delimited.rows import (
    Cells,
    Dialect,
    Line,
    lines_decoded,
    lines_in,
    records_of,
)
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.records.fields import VERSION, Drift, FieldMap
from skyhaul_connectors.formats.records.melt import MeltOptions
from skyhaul_connectors.formats.records.missing import Missing, MissingOptions, Sentinel
from skyhaul_connectors.formats.records.same_names import NAMES_VERSION
from skyhaul_connectors.formats.records.times import TimeOptions
from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.job.model import Size
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.records import RAW_CAP

_BOM = 4
"""Bytes of the longest byte order mark, that of UTF-32."""

_HEAD = 4096
"""Bytes that `not_text` looks at: an Office file is a ZIP archive with a certain name among its first
ones."""


class CsvOptions(StreamOptions, TimeOptions, MeltOptions, MissingOptions):
    """Options of `csv`.

    delimiter: one character, `tab` or `whitespace`. quote, escape: one character, or `none`. columns:
    names, where the object has no header. skip_lines: lines before the header. units_row: the line below
    the header holds units. skip_after_header: lines below the header (and its units) that are no records, as
    USGS's `5s 15s 20d`. comment: how lines that are no records begin; the header may stand behind the mark or
    below such lines. missing: cells that mean null; in
    columns of numbers white space around them is passed over. A number in this list (`-9999`) stands in
    columns of numbers for all ways to write it (-9999.0), elsewhere for its text. decimal: the mark before a
    number's fraction, `.` or `,`; numbers have no other marks.
    max_record: bytes of a record at most. max_columns: of a header. quoted_newlines: false where no cell
    holds a line break: the object may be cut. encoding: a label of the Encoding
    Standard, or a name that Python knows; UTF-8, or what a byte order mark says, without it."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = "none"
    columns: tuple[str, ...] = ()
    skip_lines: int = Field(default=0, ge=0, le=1000)
    units_row: bool = False
    skip_after_header: int = Field(default=0, ge=0, le=1000)
    comment: str | None = Field(default=None, min_length=1, max_length=8)
    missing: tuple[Sentinel, ...] = ("",)
    decimal: Literal[".", ","] = "."
    encoding: str | None = None
    max_record: Size = Field(default=16 * 1024**2, ge=1024)
    max_columns: int = Field(default=500_000, ge=1)
    quoted_newlines: bool = True

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, value: str) -> str:
        value = "\t" if value == "tab" else value
        # `"` is the quote unless the job says otherwise, and csv.reader would take it for both.
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

    @model_validator(mode="after")
    def _marks(self) -> CsvOptions:
        if self.decimal == self.delimiter:
            raise ValueError("decimal is the delimiter; say which other character that is")
        return self


class TsvOptions(CsvOptions):
    """Options of `tsv`: those of `csv`."""

    delimiter: str = "\t"


class CsvDecoder(WholeObject):
    """Decoder of delimited text."""

    def __init__(self, settings: DecodeSettings, options: CsvOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._declared = encoding_named(options.encoding) if options.encoding else None
        if self._declared is not None and not self._declared.stateless:
            why = f"lines of {self._declared.name} have no byte offsets; convert the objects to UTF-8"
            said = f"decode option 'encoding': {why}"
            raise ValueRefused(said, ("decode", "encoding"), options.encoding, f"another one: {why}")
        self._missing = Missing(options.missing).texts
        self._fields = FieldMap(
            settings, options, options.melt, options.missing, text_table=True, decimal=options.decimal
        )
        self._dialect = Dialect(
            options.delimiter,
            None if options.quote == "none" else options.quote,
            None if options.escape == "none" else options.escape,
            options.quoted_newlines,
            options.max_record,
            options.comment,
        )
        self._rules = HeaderRules(
            self._dialect,
            options.columns,
            options.skip_lines,
            options.skip_after_header,
            options.units_row,
            frozenset((*self._fields.taken, *self._fields.columns.values())),
            options.max_columns,
        )

    @property
    def fingerprint(self) -> Mapping[str, str]:
        # The cells are those of Python's csv module, and times by a pattern those of its strptime.
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        versions = {**VERSION, **NAMES_VERSION, "pyarrow": pa.__version__, "python": python}
        # Only a declared encoding has changed its meaning; a mark says no more than it did.
        return versions if self._declared is None else {**versions, **whatwg.fingerprint()}

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        lines = not self._options.quoted_newlines or self._options.delimiter == "whitespace"
        if obj.size <= chunk_size or not lines or is_compressed(obj, self._options, read):
            return iter([(0, obj.size)])
        encoding = self._declared
        # Four bytes may cost a round trip: they are read of objects only that would be cut.
        if read is not None:
            encoding = self._under_mark(read(0, _BOM))
        if encoding is None or not encoding.cuttable:
            return iter([(0, obj.size)])
        return even_cuts(obj.size, chunk_size)

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        """The chunk with its surroundings, and the object's first 16 KiB, which hold the header.

        A longer header costs each chunk a further fetch."""
        found = with_surroundings(chunk)
        if not found or found[0][0] <= LOOK_AHEAD:
            return [(0, sum(found[0]))] if found else []
        return [(0, LOOK_AHEAD), *found]

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        buffer = RowBuffer(self.settings, self.schema, account)
        fields = self._fields.for_object(data.chunk.object.path)
        lines, encoding, problem = self._lines(data)
        if problem is not None:
            size = data.chunk.object.size
            # Of an object in several chunks each tells its own part, so that together they are all of it,
            # once.
            account.damage(data.chunk.offset, data.chunk.length, problem, data.read(0, min(size, RAW_CAP)))
            yield from buffer.rest()
            return
        # What is wrong with the header is told once, by the chunk in which it lies. Where that fails the
        # shard, each fails.
        told = account if data.chunk.offset == 0 else Account(self.settings, data.chunk)
        reader = HeaderReader(lines, self._rules, told)
        header = reader.read()
        lines = reader.lines
        if header is not None:
            if data.chunk.offset > 0:
                lines = lines_in(
                    lines_of_chunk(data, self._options.max_record), encoding, self._options.max_record
                )
                # The chunk may begin within the header or the lines that are skipped; those are no records.
                lines = _from(lines, header.stop)
            for record in records_of(lines, self._dialect):
                self._take(record, header, fields, account, buffer)
                if buffer.full:
                    yield buffer.step()
        yield from buffer.rest()

    def _lines(self, data: ChunkBytes) -> tuple[Iterator[Line | Rest], Encoding, str | None]:
        """The object's lines from its start, their encoding, and what the object is where it is no text.

        Of the first of several chunks only its own lines: they begin with the header, too."""
        chunk, cap = data.chunk, self._options.max_record
        stream: Stream | None = open_stream(data, self._options)
        plain = stream is None
        peeked = PeekedStream(stream or PlainStream(data, 0, chunk.object.size), _HEAD)
        encoding = self._under_mark(peeked.head)
        # What the job declares goes before what the bytes look like.
        problem = not_text(peeked.head) if self._declared is None else None
        if not encoding.cuttable:
            return lines_decoded(peeked, encoding, cap), encoding, problem
        if plain and chunk.offset == 0:
            return lines_in(lines_of_chunk(data, cap), encoding, cap), encoding, problem
        if plain:
            # In pieces of what `segments` has hauled: a larger one would fetch bytes of other chunks for the
            # header.
            head = lines_of_stream(PlainStream(data, 0, chunk.object.size), cap, piece=LOOK_AHEAD)
            return lines_in(head, encoding, cap), encoding, problem
        return lines_in(lines_of_stream(peeked, cap), encoding, cap), encoding, problem

    def _under_mark(self, head: bytes) -> Encoding:
        return encoding_of(head) if self._declared is None else marked_or(self._declared, head)

    def _take(
        self, record: Cells, header: Header, fields: FieldMap, account: Account, buffer: RowBuffer
    ) -> None:
        if record.is_rest:
            account.damage(record.offset, record.length, record.problem or "unreadable", record.raw)
            return
        names, cells = header.names, record.cells
        problem = record.problem
        # A spreadsheet writes its empty columns as cells without a name; a row may have them or not.
        if not problem and header.unnamed and len(names) < len(cells) <= len(names) + header.unnamed:
            beyond, cells = cells[len(names) :], cells[: len(names)]
            if any(cell.strip() for cell in beyond):
                problem = "a cell in a column that has no name"
        if problem or len(cells) != len(names):
            problem = problem or f"{len(cells)} cells where the header has {len(names)}"
            account.reject(record.offset, record.length, problem, record.raw)
            return
        written = self._missing
        values: dict[str, str | None] = dict(zip(names, cells, strict=True))
        if not written.isdisjoint(cells):  # rare, and a loop of its own costs more than to look
            values = {name: None if cell in written else cell for name, cell in values.items()}
        # Sensors pad their cells; in texts white space is part of the value.
        for name in fields.numbers:
            cell = values.get(name)
            if cell is not None and cell.strip() in written:
                values[name] = None
        try:
            found = fields.rows(values, header.units, account)
        except Drift as drift:
            account.drift(record.offset, record.length, str(drift), record.raw)
            return
        for number, row in enumerate(found):
            buffer.add(row, record.offset + number, record.length - number)


class TsvDecoder(CsvDecoder):
    """Decoder of tab-separated text."""


def _from(lines: Iterator[Line | Rest], start: int) -> Iterator[Line | Rest]:
    return (line for line in lines if line.offset >= start)
