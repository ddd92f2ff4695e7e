"""What decoders share: defaults of the protocol, and the account of what could not be taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from skyhaul_connectors.formats.options import FormatOptions
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings, PassedOver, Reject
from skyhaul_schemas.errors import DecodeError, DriftError
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.printable import brief, printable
from skyhaul_schemas.records import RAW_CAP, decoded_schema

LOOK_AHEAD = 16 * 1024
"""Bytes beyond a chunk that are hauled with it, so that the record that crosses its end is there. A longer
record costs one more small fetch. Chosen, not measured: next to nothing beside a chunk."""


class WholeObject(ABC):
    """Base of decoders that never cut: an object is one chunk, and all of it is needed."""

    def __init__(self, settings: DecodeSettings, options: FormatOptions) -> None:
        self.settings = settings
        self.schema = decoded_schema(settings.schema)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        return {"pyarrow": pa.__version__}

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        yield (0, obj.size)

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        return [(chunk.offset, chunk.length)] if chunk.length else []

    @abstractmethod
    def decode(self, data: ChunkBytes) -> Iterator[Decoded]: ...

    def empty(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in self.schema], schema=self.schema)


def even_cuts(size: int, chunk_size: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of stretches of `chunk_size`, the last one shorter; in bytes."""
    # An empty object gets its one chunk, too: without a chunk it would be planned and never accounted for.
    offset = 0
    while size - offset > chunk_size:
        yield (offset, chunk_size)
        offset += chunk_size
    yield (offset, size - offset)


def with_surroundings(chunk: Chunk) -> list[tuple[int, int]]:
    """The segments of a chunk that is cut by the record-that-starts-here rule (`bytes.chunk_bytes`).

    The byte before it says whether a record begins with the chunk; the look-ahead holds the end of its last
    one.
    """
    if not chunk.length:
        return []
    start = max(0, chunk.offset - 1)
    stop = min(chunk.object.size, chunk.offset + chunk.length + LOOK_AHEAD)
    return [(start, stop - start)]


_CROWD = 4096
"""Rejects that may wait for a step. Each holds up to RAW_CAP bytes, so that they are 16 MiB at most. Chosen,
not measured."""
_REASON = 500
"""Characters of a reason: a library's words may quote a record of any length. Chosen, not measured."""


class Account:
    """Rejects, damage and what is passed over of one chunk, under the job's `on_damage` and `on_drift`.

    A decoder reports here as it meets things, and hands all of it on with each step. Offsets and lengths are
    bytes of the object, or of its decompressed stream.
    """

    def __init__(self, settings: DecodeSettings, chunk: Chunk) -> None:
        self._settings = settings
        self._object = chunk.object
        self._rejects: list[Reject] = []
        self._damaged = False
        self._passed_over: dict[str, PassedOver] = {}
        self._nulled: dict[str, int] = {}

    def reject(self, offset: int, length: int, reason: str, raw: bytes) -> None:
        """A record whose bytes are bad. Raises DecodeError under `on_damage: fail`."""
        if self._settings.on_damage == "fail":
            raise DecodeError(self._said(offset, reason))
        self._add(offset, length, reason, raw)

    def drift(self, offset: int, length: int, reason: str, raw: bytes) -> None:
        """A sound record that does not fit the schema. Raises DriftError under `on_drift: fail`."""
        if self._settings.on_drift == "fail":
            raise DriftError(self._said(offset, reason))
        self._add(offset, length, reason, raw)

    def damage(self, offset: int, length: int, reason: str, raw: bytes) -> None:
        """The rest of the object cannot be read. Raises DecodeError under `on_damage: fail`."""
        self.reject(offset, length, reason, raw)
        self._damaged = True

    def pass_on(self, offset: int, length: int, reason: str, raw: bytes) -> None:
        """Take over what the decoder of a member has rejected under the same settings."""
        # Not judged again: under `fail` that decoder would have raised, with its own offset and words.
        self._add(offset, length, reason, raw)

    def mark_damaged(self) -> None:
        self._damaged = True

    def pass_over(self, offset: int, reason: str, count: int = 1) -> None:
        """Count what was read and is no record; see PassedOver for what a reason may be."""
        first = self._passed_over.get(reason)
        self._passed_over[reason] = PassedOver(
            reason, count + (first.count if first else 0), min(offset, first.offset) if first else offset
        )

    def null_fields(self, fields: Iterable[tuple[str, str]]) -> None:
        """Count fields that are null in a record that is kept: name, and kind of what did not fit."""
        for name, kind in fields:
            self.null_field(f"{name}: {kind}", 1)

    def null_field(self, reason: str, count: int) -> None:
        """Count `count` records that are kept with a field null; `reason` as in `Decoded.nulled`."""
        self._nulled[reason] = self._nulled.get(reason, 0) + count

    def step(self, batch: pa.RecordBatch) -> Decoded:
        """`batch` with all that was rejected, passed over or made null since the last step."""
        # New containers, because a step is its receiver's to keep.
        passed_over = list(self._passed_over.values())
        decoded = Decoded(batch, self._rejects, self._damaged, passed_over, self._nulled)
        self._rejects, self._damaged, self._passed_over, self._nulled = [], False, {}, {}
        return decoded

    @property
    def crowded(self) -> bool:
        """Whether so many rejects wait that a step should carry them off."""
        return len(self._rejects) >= _CROWD

    @property
    def pending(self) -> bool:
        return bool(self._rejects or self._passed_over or self._nulled) or self._damaged

    def _add(self, offset: int, length: int, reason: str, raw: bytes) -> None:
        # A library's words may quote the object.
        self._rejects.append(Reject(offset, length, printable(reason, _REASON), bytes(raw[:RAW_CAP])))

    def _said(self, offset: int, reason: str) -> str:
        where = f"{self._object.source}/{brief(self._object.path)} at byte {offset}"
        return f"{where}: {printable(reason, _REASON)}"


_TURNED = 256
"""Rows that are made columns at once. Measured on readings: a row takes 1.17 us where each value is put in
its column alone, 0.71 by 64 rows, 0.58 by 256, 0.53 by 1024; the tuples are held beside the columns."""


class RowBuffer:
    """Rows on their way into batches of at most `batch_bytes` (or one row).

    Call `add` for each row, `step` whenever it is `full`, and `rest` at the end: rejects leave with the
    steps, too.
    """

    def __init__(self, settings: DecodeSettings, schema: pa.Schema, account: Account) -> None:
        self._limit = settings.batch_bytes
        self._schema = schema
        self._account = account
        self._columns: list[list[Any]] = [[] for _ in schema]
        self._rows: list[tuple[Any, ...]] = []
        self._held = 0

    @property
    def full(self) -> bool:
        return self._held >= self._limit or self._account.crowded

    def add(self, row: Sequence[Any], offset: int, length: int, size: int | None = None) -> None:
        """The body's values in the schema's order, and the position.

        `size`: bytes of body, by default `length`; of a text in UTF-8, which may be three times what it is in
        another encoding."""
        self._rows.append((*row, offset, length))
        if len(self._rows) >= _TURNED:
            self._turn()
        self._held += length if size is None else size

    def _turn(self) -> None:
        """Turn the rows at hand into columns."""
        for column, values in zip(self._columns, zip(*self._rows, strict=True), strict=False):
            column.extend(values)
        self._rows.clear()

    def step(self) -> Decoded:
        self._turn()
        batch = rows(self._schema, self._columns)
        self._columns = [[] for _ in self._schema]
        self._held = 0
        return self._account.step(batch)

    def rest(self) -> Iterator[Decoded]:
        """Yield the last step, if there is anything in it."""
        # The last column is `length`, which every row has.
        if self._rows or self._columns[-1] or self._account.pending:
            yield self.step()


def utf8_length(text: str | bytes) -> int:
    """Bytes of a text in UTF-8."""
    # What is ASCII is known to Python without a look.
    return len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode("utf-8"))


def rows(schema: pa.Schema, columns: Sequence[Any]) -> pa.RecordBatch:
    """Make a batch of `schema` out of columns.

    Args:
        schema: As `decoded_schema` gives it: the last column is `length`, and never None.
        columns: Each an array, a list of values, or None for all null. Large texts may be str, or bytes that
            are known to be UTF-8.
    """
    length = len(columns[-1])
    arrays = []
    for field, column in zip(schema, columns, strict=True):
        if column is None:
            arrays.append(pa.nulls(length, field.type))
        elif isinstance(column, pa.Array):
            arrays.append(column if column.type == field.type else column.cast(field.type))
        elif pa.types.is_large_string(field.type):
            arrays.append(_texts(column))
        else:
            arrays.append(pa.array(column, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _texts(values: Sequence[str | bytes | None]) -> pa.Array:
    if not any(type(value) is bytes for value in values):
        return pa.array(values, pa.large_string())
    # Text that is UTF-8 goes to Arrow as it is: as a str it would be decoded here and encoded there. The view
    # checks nothing, so that the bytes must have been checked.
    raw = [value.encode("utf-8") if isinstance(value, str) else value for value in values]
    return pa.array(raw, pa.large_binary()).view(pa.large_string())
