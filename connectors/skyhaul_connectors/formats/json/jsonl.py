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

from skyhaul_connectors.formats.bytes.compression import is_compressed, open_stream
from skyhaul_connectors.formats.bytes.lines import LongLine, Rest, Window, lines_of_chunk, lines_of_stream
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.decoder import Account, WholeObject, even_cuts, rows, with_surroundings
from skyhaul_connectors.formats.json.reader import LineReader
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.records.fields import VERSION, FieldMap
from skyhaul_connectors.formats.records.melt import MeltOptions
from skyhaul_connectors.formats.records.missing import MissingOptions
from skyhaul_connectors.formats.records.times import TimeOptions
from skyhaul_schemas.job.model import Size
from skyhaul_schemas.plan import Chunk, PinnedObject

WINDOW = 4 * 1024 * 1024
"""Bytes of lines that are read at once: pyarrow's reader takes a fifth longer for windows of 1 MiB (its
set-up) and a third longer for 16 MiB (the caches)."""


class JsonlOptions(StreamOptions, TimeOptions, MeltOptions, MissingOptions):
    """max_line: bytes of one line at most. max_depth: levels of nesting at most."""

    max_line: Size = Field(default=16 * 1024**2, ge=2)
    # What reads and writes values here recurses, two frames a level at most; Python stops at 1,000.
    max_depth: int = Field(default=128, ge=1, le=200)


class JsonlDecoder(WholeObject):
    """Decoder of JSON lines; plain objects are cut, compressed ones stay whole."""

    def __init__(self, settings: DecodeSettings, options: JsonlOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._fields = FieldMap(settings, options, options.melt, options.missing)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        # Both write the numbers of `metadata`, and pyarrow reads times.
        return {**VERSION, "orjson": orjson.__version__, "pyarrow": pa.__version__}

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
            windows = lines_of_chunk(data, self._options.max_line, window=WINDOW)
        else:
            windows = lines_of_stream(stream, self._options.max_line)
        yield from self.decode_windows(windows, data, account)

    def decode_windows(
        self, windows: Iterator[Window | LongLine | Rest], data: ChunkBytes, account: Account
    ) -> Iterator[Decoded]:
        """The rows of lines that were found already; what could not be taken goes to `account`."""
        fields = self._fields.for_object(data.chunk.object.path)
        reader = LineReader(fields, account, self._options.max_line, self._options.max_depth)
        for window in windows:
            if isinstance(window, Window):
                for columns in reader.columns(window):
                    yield from self._steps(columns, account)
            elif isinstance(window, LongLine):
                account.reject(
                    window.offset, window.length, reader.too_long(window.length, window.raw), window.raw
                )
            else:
                account.damage(window.offset, window.length, window.reason, window.raw)
        if account.pending:
            yield account.step(self.empty())

    def _steps(self, columns: list[Any], account: Account) -> Iterator[Decoded]:
        """`columns` as batches of at most `batch_bytes` of lines (or of one line)."""
        batch = rows(self.schema, columns)
        # A window's rows are one batch; slices of it share its memory. The last column is the length of each
        # record.
        ends = np.cumsum(batch.column(batch.num_columns - 1).to_numpy())
        start = 0
        while start < batch.num_rows:
            before = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, before + self.settings.batch_bytes, "right"))
            stop = max(stop, start + 1)
            yield account.step(batch.slice(start, stop - start))
            start = stop
        # Rejects are held in memory until a step carries them off, and a window may be full of them.
        if account.crowded:
            yield account.step(self.empty())
