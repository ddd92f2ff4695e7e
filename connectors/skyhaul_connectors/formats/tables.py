"""Parquet and Arrow IPC files to records; both are read in a child process with limits (`isolated`).

*Parquet*. Row groups are the chunks: a plan reads the footer and cuts where a group begins; each chunk is
hauled with the footer. Page checksums are verified where pages carry them. With `columns`, only those are
read and the rest is neither decoded nor kept in `metadata`.

*Arrow IPC* (Feather 2), files and streams, stay whole.

A file whose footer cannot be read is damage as a whole; where a page is corrupt, the rows before it stay and
the rest of the chunk is damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from skyhaul_connectors.formats import isolated
from skyhaul_connectors.formats.decoder import Account, WholeObject, rows
from skyhaul_connectors.formats.fields import FieldMap
from skyhaul_connectors.formats.melt import MeltOptions
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.stream import Broken
from skyhaul_connectors.formats.table_columns import TableColumns
from skyhaul_connectors.formats.times import TimeOptions
from skyhaul_schemas.plan import Chunk, PinnedObject

FOOTER = 64 * 1024
"""Bytes at a Parquet object's end that are hauled with each chunk; a longer footer costs one more fetch."""

_CHILD = "skyhaul_connectors.formats.table_child"


class ParquetOptions(TimeOptions, MeltOptions):
    """columns: the columns that are read; all of them where it is not given."""

    columns: tuple[str, ...] | None = None


class ArrowOptions(ParquetOptions):
    """As for Parquet."""


class _Tables(WholeObject):
    def __init__(self, settings: DecodeSettings, options: ParquetOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._fields = FieldMap(settings, options, options.melt)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        return {"orjson": orjson.__version__, "pyarrow": pa.__version__}

    def _task(self, do: str, size: int, **more: Any) -> dict[str, Any]:
        columns = self._options.columns
        return {"do": do, "size": size, "columns": None if columns is None else list(columns), **more}


class ArrowDecoder(_Tables):
    """Decoder of Arrow IPC files and streams."""

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        mapped = TableColumns(self._fields.for_object(data.chunk.object.path), account)
        size = data.chunk.object.size
        at = 0
        try:
            for batch in isolated.run(_CHILD, self._task("arrow rows", size), data.read) if size else ():
                if isinstance(batch, pa.RecordBatch):
                    places = (at + np.arange(batch.num_rows, dtype=np.int64)) * mapped.width
                    yield account.step(rows(self.schema, mapped.columns(batch, places)))
                    at += batch.num_rows
        except Broken as broken:
            account.damage(0 if not at else at * mapped.width, 0, broken.reason, data.read(0, 64))
        if account.pending:
            yield account.step(self.empty())


class ParquetDecoder(_Tables):
    """Decoder of Parquet files."""

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        starts = [0]
        if read is not None and obj.size > chunk_size:
            try:
                groups = self._layout(obj.size, read)
            except Broken:
                groups = []  # decoding says what is wrong
            if _is_cuttable(groups, obj.size, max(1, len(self._fields.melt))):
                for start, stop, _ in groups[1:]:
                    if stop - starts[-1] > chunk_size:
                        starts.append(start)
        stops = [*starts[1:], obj.size]
        return iter([(start, stop - start) for start, stop in zip(starts, stops, strict=True)])

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        size = chunk.object.size
        footer = max(0, size - FOOTER)
        stop = chunk.offset + chunk.length
        if not chunk.length:
            return []
        if stop >= footer:
            return [(chunk.offset, size - chunk.offset)]
        return [(chunk.offset, chunk.length), (footer, size - footer)]

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        chunk, size = data.chunk, data.chunk.object.size
        mapped = TableColumns(self._fields.for_object(chunk.object.path), account)
        at = chunk.offset
        try:
            groups = self._layout(size, data.read) if chunk.length else []
            cuttable = _is_cuttable(groups, size, mapped.width)
            before = 0
            for number, (start, _, count) in enumerate(groups):
                place = start if cuttable else before * mapped.width
                before += count
                if cuttable and not chunk.offset <= start < chunk.offset + chunk.length:
                    continue
                at = place
                for batch in isolated.run(
                    _CHILD, self._task("parquet rows", size, groups=[number]), data.read
                ):
                    if isinstance(batch, pa.RecordBatch):
                        places = at + np.arange(batch.num_rows, dtype=np.int64) * mapped.width
                        yield account.step(rows(self.schema, mapped.columns(batch, places)))
                        at += batch.num_rows * mapped.width
        except Broken as broken:
            account.damage(at, max(0, chunk.offset + chunk.length - at), broken.reason, data.read(0, 64))
        if account.pending:
            yield account.step(self.empty())

    def _layout(self, size: int, read: Callable[[int, int], bytes]) -> list[tuple[int, int, int]]:
        """(first byte, end, rows) of the row groups. Raises Broken."""
        for found in isolated.run(_CHILD, self._task("parquet layout", size), read):
            if isinstance(found, dict):
                return [(start, stop, count) for start, stop, count in found["groups"]]
        raise Broken("no footer")


def _is_cuttable(groups: list[tuple[int, int, int]], size: int, width: int) -> bool:
    """Whether the groups lie one after the other, each with more bytes than rows, so that a row's place is in
    its group."""
    at = 0
    for start, stop, count in groups:
        if not at <= start <= stop <= size or count * width > stop - start or count < 0:
            return False
        at = stop
    return True
