"""Where the record batches of an Arrow IPC file lie, and the buffers of their columns.

pyarrow does not say, so the little that is needed is read from the flatbuffers themselves
(https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format, `File.fbs`, `Message.fbs`; numbers of
fields below are those of the schemas there).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

MAGIC = b"ARROW1"
_END = 4 + len(MAGIC)
"""Bytes behind the footer: its length, and the magic number."""

_CONTINUES = 0xFFFFFFFF
"""Stands before a message's length since Arrow 0.15; before, the length stood alone."""

_BLOCK = struct.Struct("<qi4xq")
"""`Block` of File.fbs: offset, length of the metadata, four bytes of padding, length of the body."""

_BUFFER = struct.Struct("<qq")
"""`Buffer` of Schema.fbs: offset in the body, length."""

_RECORD_BATCH = 3
"""Its number among the kinds of messages."""


@dataclass(frozen=True, slots=True)
class Block:
    """A message in the file: `metadata` bytes from `offset` on, then `body` bytes."""

    offset: int
    metadata: int
    body: int

    @property
    def stop(self) -> int:
        return self.offset + self.metadata + self.body


@dataclass(frozen=True, slots=True)
class IpcFooter:
    """What a file's footer says.

    Attributes:
        start: Offset at which it begins.
        dictionaries: All batches need them.
        batches: Record batches, in the order of the file's rows."""

    start: int
    dictionaries: list[Block]
    batches: list[Block]


def footer_start(tail: bytes, size: int) -> int:
    """Where the footer begins, by the file's last ten bytes. Raises ValueError."""
    length = int.from_bytes(tail[:4], "little", signed=True)
    if len(tail) != _END or tail[4:] != MAGIC or not 0 < length <= size - _END:
        raise ValueError("not an Arrow file: no footer at its end")
    return size - _END - length


def parse_footer(raw: bytes, start: int) -> IpcFooter:
    """The footer, whose bytes are those of the file from `start` on.

    Raises:
        ValueError: It is none, or names what lies outside of the file."""
    table = _Table.root(raw)
    # Fields 2 and 3 of `Footer`.
    found = [[Block(*_BLOCK.unpack_from(raw, at)) for at in table.vector(n, _BLOCK.size)] for n in (2, 3)]
    for block in (*found[0], *found[1]):
        if block.offset < 0 or block.metadata < 8 or block.body < 0 or block.stop > start:
            raise ValueError("its footer names a record batch that lies outside of the file")
    return IpcFooter(start, *found)


def parse_batch(raw: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Rows of a batch, and (offset in the body, length) of all its buffers, by its metadata.

    Raises:
        ValueError: It is no record batch."""
    at = 8 if int.from_bytes(raw[:4], "little") == _CONTINUES else 4
    raw = raw[at:]
    message = _Table.root(raw)
    if message.scalar(1, "<B") != _RECORD_BATCH:
        raise ValueError("its footer names as a record batch what is none")
    # `Message`: field 1 is the kind of its header, 2 the header. `RecordBatch`: 0 is its length, 2 its
    # buffers.
    batch = message.table(2)
    buffers = [_BUFFER.unpack_from(raw, at) for at in batch.vector(2, _BUFFER.size)]
    return batch.scalar(0, "<q"), buffers


def buffer_counts(schema: pa.Schema) -> list[int] | None:
    """How many buffers each column has in a batch, those of its children included.

    None where a type has a number of them that the schema leaves open (views), or that is not known here."""
    try:
        return [_buffers(field.type) for field in schema]
    except LookupError:
        return None


def _buffers(kind: pa.DataType) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _buffers(kind.storage_type)
    if pa.types.is_null(kind):
        return 0
    # Validity and indices; its values are batches of their own.
    if pa.types.is_dictionary(kind):
        return 2
    if pa.types.is_fixed_size_list(kind):
        return 1 + _buffers(kind.value_type)
    if pa.types.is_map(kind):
        # Offsets and validity, and the validity of the entries.
        return 3 + _buffers(kind.key_type) + _buffers(kind.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return 2 + _buffers(kind.value_type)
    if pa.types.is_struct(kind):
        return 1 + sum(_buffers(kind.field(n).type) for n in range(kind.num_fields))
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
        return 2
    if (
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    ):
        return 3
    raise LookupError(kind)


class _Table:
    """A table of a flatbuffer (https://flatbuffers.dev/internals/).

    Whatever points outside is ValueError: the bytes are those of a stranger."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw = raw
        self._at = at
        # A table begins with the way back to its vtable, which begins with its own size.
        self._fields = at - _unpack("<i", raw, at)
        self._size = _unpack("<H", raw, self._fields)

    @classmethod
    def root(cls, raw: bytes) -> _Table:
        return cls(raw, _unpack("<I", raw, 0))

    def scalar(self, field: int, form: str) -> int:
        """Zero where it is not there."""
        at = self._place(field)
        return _unpack(form, self._raw, at) if at else 0

    def table(self, field: int) -> _Table:
        at = self._place(field)
        if not at:
            raise ValueError("a message without content")
        return _Table(self._raw, at + _unpack("<I", self._raw, at))

    def vector(self, field: int, size: int) -> Iterator[int]:
        """Places of the items, each of `size` bytes."""
        at = self._place(field)
        if not at:
            return
        at += _unpack("<I", self._raw, at)
        count = _unpack("<I", self._raw, at)
        if at + 4 + count * size > len(self._raw):
            raise ValueError("a list that ends beyond its message")
        yield from range(at + 4, at + 4 + count * size, size)

    def _place(self, field: int) -> int:
        # Behind the sizes of vtable and table. A field behind the vtable's end is one that its writer did not
        # know.
        slot = 4 + 2 * field
        offset = _unpack("<H", self._raw, self._fields + slot) if slot < self._size else 0
        return self._at + offset if offset else 0


def _unpack(form: str, raw: bytes, at: int) -> int:
    if not 0 <= at <= len(raw) - struct.calcsize(form):
        raise ValueError("a message that points outside of itself")
    value: int = struct.unpack_from(form, raw, at)[0]
    return value
