"""JSON lines to records: one JSON object a line, whose fate depends on the line alone.

A line is read by the policy of `json_exact`; on top of it:
- lines end in LF (a CR before it is white space); the last line needs no end; a line of white space only
  is passed over and not counted;
- a line longer than `max_line` bytes is rejected unread;
- a line that holds anything but one object is rejected;
- an object that does not fit the schema is drift (see `fields`).

Offset and length of a record are those of its line without the LF.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats import json_quick
from skyhaul_connectors.formats.compression import is_compressed, open_stream
from skyhaul_connectors.formats.decoder import Account, WholeObject, even_cuts, rows, with_surroundings
from skyhaul_connectors.formats.fields import Drift, FieldMap
from skyhaul_connectors.formats.json_exact import BadJson
from skyhaul_connectors.formats.lines import LongLine, Window, lines_of_chunk, lines_of_stream
from skyhaul_connectors.formats.options import StreamOptions
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_schemas.job import Size
from skyhaul_schemas.plan import Chunk, PinnedObject

_BLANK = b" \t\r"


class JsonlOptions(StreamOptions):
    """max_line: bytes of one line at most. max_depth: levels of nesting at most."""

    max_line: Size = Field(default=16 * 1024**2, ge=2)
    max_depth: int = Field(default=128, ge=1, le=200)


class JsonlDecoder(WholeObject):
    """Decoder of JSON lines; plain objects are cut, compressed ones stay whole."""

    def __init__(self, settings: DecodeSettings, options: JsonlOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._fields = FieldMap(settings)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        return {"orjson": orjson.__version__, "pyarrow": pa.__version__}

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        if obj.size <= chunk_size or is_compressed(obj, self._options, read):
            return iter([(0, obj.size)])
        return even_cuts(obj.size, chunk_size)

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        return with_surroundings(chunk)

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        stream = open_stream(data, self._options)
        if stream is None:
            windows = lines_of_chunk(data, self._options.max_line)
        else:
            windows = lines_of_stream(stream, self._options.max_line)
        for window in windows:
            if isinstance(window, Window):
                yield from self._window(window, account)
            elif isinstance(window, LongLine):
                account.reject(window.offset, window.length, self._too_long(window.length), window.raw)
            else:
                account.damage(window.offset, window.length, window.reason, window.raw)
        if account.pending:
            yield account.step(self.empty())

    def _window(self, window: Window, account: Account) -> Iterator[Decoded]:
        columns: list[list[Any]] = [[] for _ in self.schema]
        held = 0
        offset = window.offset
        for line in window.data.split(b"\n"):
            length = len(line)
            row = self._row(line, offset, account)
            if row is not None:
                for column, value in zip(columns, row, strict=False):
                    column.append(value)
                columns[-2].append(offset)
                columns[-1].append(length)
                held += length
            offset += length + 1
            if held >= self.settings.batch_bytes:
                yield account.step(rows(self.schema, columns))
                columns = [[] for _ in self.schema]
                held = 0
        if held or account.pending:
            yield account.step(rows(self.schema, columns))

    def _row(self, line: bytes, offset: int, account: Account) -> tuple[Any, ...] | None:
        if not line.strip(_BLANK):
            return None
        if len(line) > self._options.max_line:
            account.reject(offset, len(line), self._too_long(len(line)), line)
            return None
        try:
            record = json_quick.loads(line, self._options.max_depth)
        except BadJson as bad:
            account.reject(offset, len(line), str(bad), line)
            return None
        if type(record) is not dict:
            account.reject(offset, len(line), "not a JSON object", line)
            return None
        try:
            return self._fields.row(record)
        except Drift as drift:
            account.drift(offset, len(line), str(drift), line)
            return None

    def _too_long(self, length: int) -> str:
        return f"a line of {length} bytes, more than max_line of {self._options.max_line}"
