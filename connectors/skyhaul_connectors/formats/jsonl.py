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

import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats import json_quick
from skyhaul_connectors.formats.compression import is_compressed, open_stream
from skyhaul_connectors.formats.decoder import Account, WholeObject, even_cuts, rows, with_surroundings
from skyhaul_connectors.formats.fields import Drift, FieldMap
from skyhaul_connectors.formats.json_columns import JsonColumns
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

    def fast(self) -> JsonColumns:
        return JsonColumns(self._fields)

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
        reader = _Reader(self, account)
        for window in windows:
            if isinstance(window, Window):
                for columns in reader.columns(window):
                    yield from self._steps(columns, account)
            elif isinstance(window, LongLine):
                account.reject(window.offset, window.length, self._too_long(window.length), window.raw)
            else:
                account.damage(window.offset, window.length, window.reason, window.raw)
        if account.pending:
            yield account.step(self.empty())

    def _steps(self, columns: list[Any], account: Account) -> Iterator[Decoded]:
        """`columns` as batches of at most `batch_bytes` of lines (or of one line)."""
        batch = rows(self.schema, columns)
        if not batch.num_rows:
            return
        ends = np.cumsum(batch.column(batch.num_columns - 1).to_numpy())
        start = 0
        while start < batch.num_rows:
            before = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, before + self.settings.batch_bytes, "right"))
            stop = max(stop, start + 1)
            yield account.step(batch.slice(start, stop - start))
            start = stop

    def fields_of(self, line: bytes) -> tuple[Any, ...]:
        """The fields' values of a line that is known to be sound. Raises ValueError."""
        return self._fields.row(json_quick.loads(line, self._options.max_depth))

    def exact_row(
        self, line: bytes, offset: int, account: Account, learn: JsonColumns
    ) -> tuple[Any, ...] | None:
        """The fields' values of any line; None where it is blank, or has gone to the account."""
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
        if not learn.knows(record):
            learn.learn(record)
        try:
            return self._fields.row(record)
        except Drift as drift:
            account.drift(offset, len(line), str(drift), line)
            return None

    @property
    def max_line(self) -> int:
        return self._options.max_line

    def _too_long(self, length: int) -> str:
        return f"a line of {length} bytes, more than max_line of {self._options.max_line}"


class _Reader:
    """Chooses between the fast and the exact reader; the choice never changes what is read.

    A window that the fast reader declines is halved down to `_SMALLEST` bytes, so that a bad line costs its
    neighbourhood only. After `_PATIENCE` windows without any success it is left alone for a while.
    """

    _SMALLEST = 96 * 1024
    _PATIENCE = 3
    _PAUSE = 50

    def __init__(self, decoder: JsonlDecoder, account: Account) -> None:
        self._decoder = decoder
        self._account = account
        self._fast = decoder.fast()
        self._failures = 0
        self._paused = 0

    def columns(self, window: Window) -> Iterator[list[Any]]:
        if self._paused:
            self._paused -= 1
            yield self._exact(window)
            return
        if not self._failures:
            self._look_at_first_line(window)
        taken = False
        pending = [window]
        while pending:
            part = pending.pop()
            columns = None
            if self._fast.usable:
                decoder = self._decoder
                columns = self._fast.read(part.data, part.offset, decoder.max_line, decoder.fields_of)
            if columns is not None:
                taken = True
                yield columns
                continue
            halves = _halves(part) if self._fast.usable and len(part.data) > self._SMALLEST else []
            if halves:
                pending += reversed(halves)
            else:
                yield self._exact(part)
        self._failures = 0 if taken else self._failures + 1
        if self._failures >= self._PATIENCE:
            self._failures, self._paused = 0, self._PAUSE

    def _look_at_first_line(self, window: Window) -> None:
        line = window.data[: window.data.find(b"\n") + 1 or len(window.data)]
        try:
            record = json_quick.loads(line)
        except BadJson:
            return
        if isinstance(record, dict):
            self._fast.learn(record)

    def _exact(self, window: Window) -> list[Any]:
        columns: list[list[Any]] = [[] for _ in self._decoder.schema]
        offset = window.offset
        for line in window.data.split(b"\n"):
            row = self._decoder.exact_row(line, offset, self._account, self._fast)
            if row is not None:
                for column, value in zip(columns, row, strict=False):
                    column.append(value)
                columns[-2].append(offset)
                columns[-1].append(len(line))
            offset += len(line) + 1
        return columns


def _halves(window: Window) -> list[Window]:
    """Two windows of whole lines; none where there is but one line."""
    middle = window.data.find(b"\n", len(window.data) // 2) + 1 or window.data.rfind(b"\n", 0, -1) + 1
    if not 0 < middle < len(window.data):
        return []
    return [Window(window.offset, window.data[:middle]), Window(window.offset + middle, window.data[middle:])]
