"""FASTA files to `document` records: one sequence, one record.

A record begins with a line `>id description`; the lines up to the next one are its sequence. Columns: text
(the sequence without white space), id, description. A record without a header or a sequence, or with
anything but letters, `*` and `-` in its sequence, is rejected, as is one longer than `max_record`.

Format: https://www.ncbi.nlm.nih.gov/genbank/fastaformat/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from skyhaul.plugins import (
    RAW_CAP,
    Account,
    Broken,
    ByteReader,
    ChunkBytes,
    Decoded,
    DecodeSettings,
    Drift,
    FieldMap,
    PlainStream,
    RowBuffer,
    Size,
    StreamOptions,
    WholeObject,
    open_stream,
)

_PIECE = 64 * 1024
_SEQUENCE = re.compile(r"[A-Za-z*-]+", re.ASCII)


class FastaOptions(StreamOptions):
    """max_record: bytes of a record at most, header and line ends counted."""

    max_record: Size = Field(default=16 * 1024**2, ge=16)


@dataclass(slots=True)
class _Record:
    offset: int
    length: int = 0
    raw: bytearray = field(default_factory=bytearray)
    broken: str | None = None

    def add(self, piece: bytes, cap: int) -> None:
        self.length += len(piece)
        if self.length <= cap:
            self.raw += piece
        else:  # it will be rejected: its beginning says enough
            del self.raw[RAW_CAP:]


class _Bad(ValueError):
    pass


class FastaDecoder(WholeObject):
    """Decoder of FASTA files; they stay whole, and are read in bounded memory."""

    def __init__(self, settings: DecodeSettings, options: FastaOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._fields = FieldMap(settings)

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        obj = data.chunk.object
        account = Account(self.settings, data.chunk)
        buffer = RowBuffer(self.settings, self.schema, account)
        fields = self._fields.for_object(obj.path)
        stream = open_stream(data, self._options) or PlainStream(data, 0, obj.size)
        for record in _records(ByteReader(stream), self._options.max_record):
            raw = bytes(record.raw)
            place = (record.offset, record.length)
            if record.broken is not None:
                account.damage(*place, record.broken, raw)
            elif record.length > self._options.max_record:
                account.reject(*place, f"more than max_record of {self._options.max_record} bytes", raw)
            elif raw.strip():
                try:
                    buffer.add(fields.row(_columns(raw), account), *place)
                except _Bad as bad:
                    account.reject(*place, str(bad), raw)
                except Drift as drift:
                    account.drift(*place, str(drift), raw)
            if buffer.full:
                yield buffer.step()
        yield from buffer.rest()


def _records(reader: ByteReader, cap: int) -> Iterator[_Record]:
    """The stretches from one header to the next; the last one may be broken."""
    record = _Record(0)
    begins = True
    try:
        while piece := reader.line(_PIECE):
            if begins and piece.startswith(b">") and record.length:
                yield record
                record = _Record(record.offset + record.length)
            record.add(piece, cap)
            begins = piece.endswith(b"\n")
    except Broken as broken:
        record.broken = broken.reason
    if record.length or record.broken is not None:
        yield record


def _columns(raw: bytes) -> dict[str, Any]:
    try:
        header, _, body = raw.decode("utf-8").partition("\n")
    except UnicodeDecodeError as error:
        raise _Bad(f"no UTF-8: {error.reason} at byte {error.start}") from None
    if not header.startswith(">"):
        raise _Bad("no header: the first line does not begin with `>`")
    sequence = "".join(body.split())
    if not _SEQUENCE.fullmatch(sequence):
        raise _Bad("its sequence is empty, or holds what is no letter, `*` or `-`")
    name, _, description = header[1:].strip().partition(" ")
    columns = {"text": sequence, "id": name, "description": description.strip()}
    return {key: value for key, value in columns.items() if value}
