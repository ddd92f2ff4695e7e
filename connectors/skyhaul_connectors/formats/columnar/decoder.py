"""Parquet and Arrow IPC files to records; both are read in a child process with limits (`isolated`).

*Parquet*. Row groups are the chunks: a plan reads the footer and cuts where a group begins; each chunk is
hauled with the footer. Page checksums are verified where pages carry them. With `columns`, only those are
read: of the others no page is hauled, decoded or kept in `metadata`. (An object with a checksum of the whole
is hauled whole, so that it is proven.) Times of 96 bits (INT96) are read in microseconds, so that none wraps.

*Arrow IPC* (Feather 2). Record batches are the chunks of a file, by its footer too, and with `columns` only
their buffers are hauled; files with dictionaries stay whole, since all batches need those, and streams, which
have no footer.

*Images*. To `image`, the bytes of each row are checked and measured as those of an image file (see `image`),
and may lie in a struct beside a path, as in Hugging Face's datasets: `bytes: image`, `bytes: /image/bytes`,
or nothing where the table has one such struct. A row whose image is not in the table is a reject.

A file whose footer cannot be read is damage as a whole; where a page is corrupt, the rows before it stay and
the rest of the chunk is damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.bytes.parts import merged
from skyhaul_connectors.formats.bytes.stream import Broken
from skyhaul_connectors.formats.columnar import reading
from skyhaul_connectors.formats.columnar.columns import TableColumns
from skyhaul_connectors.formats.columnar.image_columns import TableImages, places_of
from skyhaul_connectors.formats.columnar.parquet_layout import FOOTER, TableLayout, end_of, with_tail
from skyhaul_connectors.formats.decoder import Account, WholeObject, rows
from skyhaul_connectors.formats.isolated.protocol import Read
from skyhaul_connectors.formats.media.image_facts import IMAGE_VERSION, MAX_PIXELS, ImageRules, Truncated
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.records.fields import VERSION, FieldMap
from skyhaul_connectors.formats.records.melt import MeltOptions
from skyhaul_connectors.formats.records.missing import MissingOptions
from skyhaul_connectors.formats.records.same_names import NAMES_VERSION, Place
from skyhaul_connectors.formats.records.times import TimeOptions
from skyhaul_schemas.plan import Chunk, PinnedObject, Ranges


class ParquetOptions(TimeOptions, MeltOptions, MissingOptions):
    """Options of `parquet`.

    columns: the columns that are read; all of them where it is not given. max_pixels and
    truncated: as for images."""

    of_schema: ClassVar[Mapping[str, str]] = {"max_pixels": "image", "truncated": "image"}

    columns: tuple[str, ...] | None = None
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    truncated: Truncated = "keep"


class ArrowOptions(ParquetOptions):
    """As for Parquet."""


class _Tables(WholeObject):
    """What both kinds share. `_kind` names the child's tasks."""

    _kind: str

    def __init__(self, settings: DecodeSettings, options: ParquetOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._rules = ImageRules(options.max_pixels, options.truncated)
        self._fields = FieldMap(settings, options, options.melt, options.missing)
        self._width = max(1, len(self._fields.melt))
        self._mapped: list[Place] = places_of(self._fields, images=settings.schema == "image")

    @property
    def fingerprint(self) -> Mapping[str, str]:
        found = {**VERSION, **NAMES_VERSION, "orjson": orjson.__version__, "pyarrow": pa.__version__}
        if self.settings.schema == "image":
            found.update({"puremagic": version("puremagic"), "skyhaul.image": IMAGE_VERSION})
        return found

    @property
    def selects(self) -> bool:
        return self._options.columns is not None

    def first_read(self, obj: PinnedObject, chunk_size: int) -> tuple[int, int] | None:
        # `cut` reads what is larger than a chunk, `needed` what is larger than the footer that is hauled
        # anyway.
        if obj.size > min(chunk_size, FOOTER if self.selects else chunk_size):
            return end_of(obj.size)
        return None

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        layout = None
        if read is not None and obj.size > chunk_size:
            with suppress(Broken):  # decoding says what is wrong
                layout = self._layout(obj.size, with_tail(obj.size, read))
        if layout is None or not layout.is_cuttable(obj.size, self._width):
            return iter([(0, obj.size)])
        return iter(layout.cuts(obj.size, chunk_size))

    def needed(
        self, obj: PinnedObject, chunks: Sequence[tuple[int, int]], read: Callable[[int, int], bytes]
    ) -> list[Ranges | None]:
        layout = None
        # A smaller object lies within what each chunk brings: there is nothing to leave out.
        if obj.size > FOOTER:
            with suppress(Broken):
                layout = self._layout(obj.size, with_tail(obj.size, read))
        if layout is None:
            return [None] * len(chunks)
        return [layout.needed(offset, offset + length, obj.size) for offset, length in chunks]

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        """The chunk, or what is needed of it, and the object's end."""
        size = chunk.object.size
        if not chunk.length:
            return []
        if chunk.offset + chunk.length == size:
            return list(chunk.ranges)
        # The plan keeps ranges within their chunk, so that the footer is none of them but in the last one.
        footer = max(chunk.offset, size - FOOTER)
        # Merged where they touch, not over gaps: the plan has filled those that are worth it.
        return list(merged([*chunk.ranges, (footer, size - footer)], len(chunk.ranges) + 1, 1))

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        chunk, size = data.chunk, data.chunk.object.size
        fields = self._fields.for_object(chunk.object.path)
        images = TableImages(fields, self._rules) if self.settings.schema == "image" else None
        mapped = TableColumns(fields, account, images)
        at = chunk.offset
        try:
            for place, batch in self._batches(chunk, data.read) if chunk.length else ():
                at = place
                places = place + np.arange(batch.num_rows, dtype=np.int64) * self._width
                yield account.step(rows(self.schema, mapped.columns(batch, places)))
                at += batch.num_rows * self._width
        except Broken as broken:
            rest = max(0, chunk.offset + chunk.length - at)
            # From the first row that was not read to the chunk's end. The reject's bytes are the object's
            # first ones, which tell its kind: where in a page a library gave up it does not say.
            account.damage(at, rest, broken.reason, data.read(0, min(64, size)))
        if account.pending:
            yield account.step(self.empty())

    def _batches(self, chunk: Chunk, read: Read) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The batches of the chunk, each with the place of its first row. Raises Broken."""
        size = chunk.object.size
        # Again, and from the bytes: a decoder keeps nothing between calls, and the plan says nothing of
        # groups.
        layout = self._layout(size, read, (chunk.offset, chunk.offset + chunk.length))
        if layout is None:
            yield from self._placed(0, self._rows(size, read, None))
            return
        # What the plan has cut is cuttable: that cannot be seen again without all that was read for it.
        cuttable = chunk.length < size or layout.is_cuttable(size, self._width)
        before = 0
        for number, group in enumerate(layout.groups):
            place = group.start if cuttable else before * self._width
            # Of an object that stays whole, rows are numbered through: its groups may overlap, or have more
            # rows than bytes.
            before += group.rows
            if not cuttable or chunk.offset <= group.start < chunk.offset + chunk.length:
                yield from self._placed(place, self._rows(size, read, number))

    def _placed(self, at: int, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
        for batch in batches:
            yield at, batch
            at += batch.num_rows * self._width

    def _rows(self, size: int, read: Read, group: int | None) -> Iterator[pa.RecordBatch]:
        """The rows of a group, or of the whole object where it has none (a stream)."""
        groups = None if group is None else [group]
        return reading.rows(self._task("rows", size, groups=groups, mapped=self._mapped), read)

    def _layout(self, size: int, read: Read, within: tuple[int, int] | None = None) -> TableLayout | None:
        """Where the groups lie; None for a stream, which has none. Raises Broken.

        Args:
            size: Bytes of the object.
            read: Gives (offset, length) of it.
            within: Bytes [start, stop) whose groups are wanted; all of the object without it."""
        found = reading.layout(self._task("layout", size, within=within or (0, size)), read)
        return TableLayout.of(found) if found else None

    def _task(self, do: str, size: int, **more: Any) -> dict[str, Any]:
        columns = self._options.columns
        wanted = None if columns is None else list(columns)
        return {"do": f"{self._kind} {do}", "size": size, "columns": wanted, **more}


class ParquetDecoder(_Tables):
    """Decoder of Parquet files."""

    _kind = "parquet"


class ArrowDecoder(_Tables):
    """Decoder of Arrow IPC files and streams."""

    _kind = "arrow"
