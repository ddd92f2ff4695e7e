"""Rows of one schema gathered into one batch, in memory that is used again for the next row group.

`pa.concat_batches` needs all pieces and their copy at once, and fresh pages for every row group. Here each
piece is copied when it comes, and may then go. Layouts are those of the Arrow columnar format
(https://arrow.apache.org/docs/format/Columnar.html): validity bits, offsets, values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_KEPT = 128 * 1024 * 1024
"""Bytes of a column's memory that are kept for the next row group; more was needed by one large row, and
would stay for the rest of the shard. Chosen, not measured."""


class Bytes:
    """A growing stretch of bytes; `clear` keeps its memory, and makes what `take` gave invalid."""

    def __init__(self) -> None:
        self._data: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self.length = 0

    def append(self, data: memoryview) -> None:
        stop = self.length + data.nbytes
        if stop > len(self._data):
            # NumPy's memory is not touched before it is used, so that twice the room costs nothing.
            grown = np.empty(max(stop, 2 * len(self._data)), np.uint8)
            grown[: self.length] = self._data[: self.length]
            self._data = grown
        # Copied once, and other threads run meanwhile; a bytearray would do neither.
        self._data[self.length : stop] = np.frombuffer(data, np.uint8) if data.nbytes else 0
        self.length = stop

    def take(self) -> pa.Buffer:
        return pa.py_buffer(self._data.data[: self.length])

    def clear(self) -> None:
        self.length = 0
        if len(self._data) > _KEPT:
            self._data = np.empty(0, np.uint8)


class _Validity:
    """A byte a row, packed into bits only where a null has come."""

    def __init__(self) -> None:
        self._flags = Bytes()
        self._nulls = 0

    def append(self, array: pa.Array) -> None:
        self._nulls += array.null_count
        if array.null_count:
            flags = array.is_valid().to_numpy(zero_copy_only=False).view(np.uint8)
        else:
            flags = np.ones(len(array), np.uint8)
        self._flags.append(memoryview(flags))

    def take(self) -> pa.Buffer | None:
        if not self._nulls:
            return None
        return pa.py_buffer(np.packbits(np.frombuffer(self._flags.take(), np.uint8), bitorder="little"))

    def clear(self) -> None:
        self._flags.clear()
        self._nulls = 0


class _Fixed:
    """Values of a whole number of bytes."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._width = kind.bit_width // 8
        self._validity = _Validity()
        self._values = Bytes()

    def append(self, array: pa.Array) -> None:
        self._validity.append(array)
        first = array.offset * self._width
        self._values.append(memoryview(array.buffers()[1])[first : first + len(array) * self._width])

    def take(self, rows: int) -> pa.Array:
        return pa.Array.from_buffers(self._kind, rows, [self._validity.take(), self._values.take()])

    def clear(self) -> None:
        self._validity.clear()
        self._values.clear()


class _Variable:
    """Text and binary: offsets of 4 or 8 bytes, and the bytes they point into."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
        self._offset: type[np.signedinteger[Any]] = np.int64 if large else np.int32
        self._validity = _Validity()
        self._offsets = Bytes()
        self._values = Bytes()
        self.clear()

    def append(self, array: pa.Array) -> None:
        self._validity.append(array)
        _, offsets_buffer, values = array.buffers()
        offsets: npt.NDArray[Any] = np.frombuffer(offsets_buffer, self._offset)
        offsets = offsets[array.offset : array.offset + len(array) + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        moved = offsets[1:] + (self._values.length - first)
        self._offsets.append(moved.data.cast("B"))
        if last > first:
            self._values.append(memoryview(values)[first:last])

    def take(self, rows: int) -> pa.Array:
        buffers = [self._validity.take(), self._offsets.take(), self._values.take()]
        return pa.Array.from_buffers(self._kind, rows, buffers)

    def clear(self) -> None:
        self._validity.clear()
        self._values.clear()
        self._offsets.clear()
        self._offsets.append(memoryview(bytes(np.dtype(self._offset).itemsize)))


class _Struct:
    """Fields side by side."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._validity = _Validity()
        self._fields = [_column(kind.field(index).type) for index in range(kind.num_fields)]

    def append(self, array: pa.Array) -> None:
        self._validity.append(array)
        for index, column in enumerate(self._fields):
            column.append(array.field(index))

    def take(self, rows: int) -> pa.Array:
        children = [column.take(rows) for column in self._fields]
        return pa.Array.from_buffers(self._kind, rows, [self._validity.take()], children=children)

    def clear(self) -> None:
        self._validity.clear()
        for column in self._fields:
            column.clear()


class _Boolean:
    """A byte a value, packed into bits when all are there."""

    def __init__(self) -> None:
        self._validity = _Validity()
        self._values = Bytes()

    def append(self, array: pa.Array) -> None:
        self._validity.append(array)
        values = array.fill_null(False) if array.null_count else array
        self._values.append(memoryview(values.to_numpy(zero_copy_only=False).view(np.uint8)))

    def take(self, rows: int) -> pa.Array:
        bits = np.packbits(np.frombuffer(self._values.take(), np.uint8), bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), rows, [self._validity.take(), pa.py_buffer(bits)])

    def clear(self) -> None:
        self._validity.clear()
        self._values.clear()


class _List:
    """Offsets of 4 bytes, and the items they point at."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._validity = _Validity()
        self._offsets = Bytes()
        self._items = _column(kind.value_type)
        self.clear()

    def append(self, array: pa.Array) -> None:
        self._validity.append(array)
        # A null may have a length, and items that are nothing; `flatten` leaves those out.
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        ends = (self._count + np.cumsum(lengths)).astype(np.int32)
        self._offsets.append(ends.data.cast("B"))
        items = array.flatten()
        self._items.append(items)
        self._count += len(items)

    def take(self, rows: int) -> pa.Array:
        buffers = [self._validity.take(), self._offsets.take()]
        return pa.Array.from_buffers(self._kind, rows, buffers, children=[self._items.take(self._count)])

    def clear(self) -> None:
        self._validity.clear()
        self._offsets.clear()
        self._offsets.append(memoryview(bytes(4)))
        self._items.clear()
        self._count = 0


_Column = _Fixed | _Variable | _Struct | _Boolean | _List


def _column(kind: pa.DataType) -> _Column:
    if pa.types.is_struct(kind):
        return _Struct(kind)
    if pa.types.is_list(kind):
        return _List(kind)
    if pa.types.is_boolean(kind):
        return _Boolean()
    if any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    ):
        return _Variable(kind)
    if pa.types.is_primitive(kind):
        return _Fixed(kind)
    raise TypeError(f"no shard has a column of {kind}")


class RowBuffer:
    """Append batches of one schema, `take` them as one, `clear`, and again."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        self._columns = [_column(field.type) for field in schema]

    def append(self, batch: pa.RecordBatch) -> None:
        for column, array in zip(self._columns, batch.columns, strict=True):
            column.append(array)
        self.rows += batch.num_rows

    def take(self) -> pa.RecordBatch:
        """All rows as one batch over this buffer's memory: valid until `clear`."""
        arrays = [column.take(self.rows) for column in self._columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def clear(self) -> None:
        for column in self._columns:
            column.clear()
        self.rows = 0
