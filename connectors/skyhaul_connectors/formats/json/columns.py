"""Many JSON lines at once: pyarrow's reader behind a screen that makes it equal to `json_exact`.

A window of lines either comes back as columns, equal to what the exact reader gives line by line, or is
declined (None), and the exact reader takes it. Declining is always right; taking needs this argument:

1. *One value a line.* Each line begins with `{` and ends with `}`. A line break inside a value would stand
   between `}` and `{`, where no JSON value has one (inside a string the reader refuses raw control
   characters). So every line holds whole values, and as many rows as lines means one a line. (The first
   `{` also keeps pyarrow 25 from the crash that it meets when all values of a block are null.)
2. *No unknown and no repeated key.* The schema is explicit and unexpected fields are errors; the reader
   refuses a known key that comes twice, at every level, and compares keys after their escapes.
3. *Text.* The window is valid UTF-8 and has no byte 0; lone surrogates are the reader's own error.
4. *Numbers.* Integer columns take integers of 64 bits only. A double that is not finite declines the
   window (the reader takes NaN and Infinity).
5. *Nulls.* The reader gives null for a null and for a missing key. Fields are null either way; what would go
   to `metadata` is told apart by counting keys (see `_Keys`), or the row is read exactly.
6. *Depth* is the schema's; lines longer than the cap decline.

`metadata` is then put together from the columns by kernels. Rows whose text that cannot give exactly as
`canonical` does (a double that may have been written as an integer, say) are read exactly, one by one; where
that is more than a quarter, the window is declined.

The schema is learned from lines that were read exactly; what it knows decides speed, never the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from skyhaul_connectors.formats.charsets.encodings import is_utf8
from skyhaul_connectors.formats.json.column_values import (
    Declined,
    own_values,
    read_as,
    refuse_odd_doubles,
    times_of,
)
from skyhaul_connectors.formats.records.fields import FieldMap
from skyhaul_connectors.formats.records.json_columns import Mask, Unwritable, member
from skyhaul_connectors.formats.records.json_exact import canonical

_Row = Callable[[bytes], tuple[Any, ...]]

MOST_REREAD = 4
"""A window is declined where more than one row in so many has to be read exactly."""

_MAX_COLUMNS = 256
"""Keys that are learned. Where keys are data, each line has new ones, and the schema would grow with them."""

_SAMPLE, _FAR_APART = 64 * 1024, 1200
"""Bytes that are looked at to choose a way of finding line ends, and the mean length of a line from which on
a call for each costs less than a look at each byte."""

_QUOTE, _COLON = 0x22, 0x3A
_NAME_END = np.zeros(256, np.bool_)
_NAME_END[[*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B), 0x5F, 0x2D]] = True


class JsonColumns:
    """The fast reader of one object's lines under `fields`. Learns as it goes."""

    def __init__(self, fields: FieldMap) -> None:
        self._fields = fields
        self._types: dict[str, pa.DataType | None] = {}
        self._schema: pa.Schema | None = None
        self._usable = fields.plain
        # Several fields may take one column.
        self._used: dict[str, list[str]] = {}
        for name, column in fields.columns.items():
            self._used.setdefault(column, []).append(name)
        # The types of a job's own schema are known; what is learned is which columns there are.
        self._own = read_as(fields)

    def learn(self, record: Mapping[str, Any]) -> None:
        """Notes the columns of a record that was read exactly, and their types."""
        for key, value in record.items():
            if key not in self._types and len(self._types) >= _MAX_COLUMNS:
                self._usable = False
                return
            known = self._types.get(key)
            merged = self._own[key] if key in self._own else _merged(known, value)
            if key not in self._types or merged != known:
                self._types[key] = merged
                self._schema = None
                if merged == pa.null():
                    self._usable = False

    @property
    def usable(self) -> bool:
        """Whether a window may be taken; False for good once the columns seen do not suit the reader."""
        return self._usable

    def knows(self, record: Mapping[str, Any]) -> bool:
        """Whether every column of `record` has been noted."""
        return record.keys() <= self._types.keys()

    def read(self, data: bytes, offset: int, max_line: int, exact: _Row) -> list[pa.Array] | None:
        """The rows of `data`, whole lines that begin at `offset`; None where it is declined.

        `exact(line)` gives the fields' values of one line; it may raise ValueError. Columns are the schema's
        body, offset and length.
        """
        if not self._usable or not self._types:
            return None
        try:
            lines = _Lines(data, max_line)
            table = self._parse(data, lines.count)
            columns = [self._field(name, column, table) for name, column in self._fields.columns.items()]
            if self._fields.rest == "metadata":
                columns.append(self._metadata(table, data, lines, exact))
            elif self._fields.rest == "reject" and self._types.keys() - self._fields.taken:
                return None
        except (Declined, Unwritable):
            return None
        columns += [pa.array(lines.starts + offset), pa.array(lines.stops - lines.starts)]
        return columns

    def _parse(self, data: bytes, count: int) -> pa.RecordBatch:
        if self._schema is None:
            self._schema = self._explicit()
        try:
            table = pj.read_json(
                pa.BufferReader(data),
                # All in one block: a line that is longer than a block is an error, and blocks have 1 MiB by
                # default.
                read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=pj.ParseOptions(
                    explicit_schema=self._schema, unexpected_field_behavior="error", newlines_in_values=False
                ),
            )
        except pa.ArrowException:
            raise Declined from None
        if table.num_rows != count:
            raise Declined
        batches = table.combine_chunks().to_batches()
        if len(batches) != 1:
            raise Declined
        return batches[0]

    def _explicit(self) -> pa.Schema:
        fields = []
        for key, kind in self._types.items():
            names = [] if key in self._own else self._used.get(key, [])
            if any(pa.types.is_floating(self._fields.types[name]) for name in names):
                kind = pa.float64()
            elif "text" in names:
                kind = pa.large_string()
            fields.append(pa.field(key, pa.string() if kind is None else kind))
        return pa.schema(fields)

    def _field(self, name: str, column: str, batch: pa.RecordBatch) -> pa.Array:
        kind = self._fields.types[name]
        if column in self._fields.of_object:
            return pa.repeat(pa.scalar(self._fields.of_object[column], kind), batch.num_rows)
        if column not in self._types:
            if name in self._fields.required:
                raise Declined
            return pa.nulls(batch.num_rows, kind)
        values = batch.column(column)
        if name in self._fields.required and values.null_count:
            raise Declined
        if self._fields.own is not None:
            return own_values(values, kind, self._fields)
        if pa.types.is_timestamp(kind):
            return times_of(values, kind, self._fields.times)
        if pa.types.is_floating(kind):
            refuse_odd_doubles(values)
            # The reader rounds such an integer; written as one, it is drift.
            if pc.any(pc.greater(pc.abs(values), 2.0**53)).as_py():
                raise Declined
            return values
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            return values if values.type == kind else values.cast(kind)
        if pa.types.is_integer(values.type) and self._fields.takes_integers(name):
            return values.cast(kind)
        raise Declined

    def _metadata(self, batch: pa.RecordBatch, data: bytes, lines: _Lines, exact: _Row) -> pa.Array:
        keys = sorted(key for key in self._types if key not in self._fields.taken)
        if not keys:
            return pa.nulls(batch.num_rows, pa.string())
        doubt = np.zeros(batch.num_rows, np.bool_)
        nulls = [key for key in keys if batch.column(key).null_count]
        # Without nulls nothing reads `absent`.
        absent = _Keys(batch, lines).absent(doubt) if nulls else doubt
        members = []
        for key in keys:
            text = member(canonical(key) + ":", batch.column(key), doubt)
            if nulls:
                if key in nulls:
                    there = pa.array(~absent)
                    missing = pc.if_else(there, canonical(key) + ":null", pa.scalar(None, pa.string()))
                    text = pc.coalesce(text, missing)
                text = pc.binary_join_element_wise(text, ",", "").fill_null("")
            members.append(text)
        # Where keys may be missing, each member brings its comma (`skip` of the join kernel loses rows).
        inner = pc.binary_join_element_wise(*members, "" if nulls else ",")
        if nulls:
            # No member ends in a comma itself: strings, objects and lists are closed.
            inner = pc.ascii_rtrim(inner, ",")
        whole = pc.binary_join_element_wise("{", inner, "}", "")
        if nulls:
            whole = pc.if_else(pc.equal(inner, ""), pa.scalar(None, pa.string()), whole)
        if doubt.any():
            again = np.flatnonzero(doubt)
            if len(again) * MOST_REREAD > batch.num_rows:
                raise Declined
            try:
                read = [exact(data[lines.starts[row] : lines.stops[row]])[-1] for row in again]
            except ValueError:
                raise Declined from None
            whole = pc.replace_with_mask(whole, pa.array(doubt), pa.array(read, pa.string()))
        return whole


class _Lines:
    """Where the lines of a window start and stop, line ends left out. Declines what the screen forbids."""

    def __init__(self, data: bytes, max_line: int) -> None:
        if b"\0" in data or not is_utf8(data):
            raise Declined
        self.bytes = np.frombuffer(data, np.uint8)
        ends = _line_ends(data)
        if not len(ends) or ends[-1] != len(data) - 1:
            ends = np.append(ends, len(data))
        starts = np.empty_like(ends)
        starts[0] = 0
        starts[1:] = ends[:-1] + 1
        filled = ends > starts
        if not filled.all():
            starts, ends = starts[filled], ends[filled]
        if not len(starts):
            raise Declined
        last = self.bytes[ends - 1]
        # Where only some lines end in CR, the exact reader takes the window.
        if (last == 13).all():
            last = self.bytes[ends - 2]
        if not (self.bytes[starts] == 0x7B).all() or not (last == 0x7D).all():
            raise Declined
        if int((ends - starts).max()) > max_line:
            raise Declined
        self.starts, self.stops = starts, ends
        self.count = len(starts)


def _line_ends(data: bytes) -> npt.NDArray[np.int64]:
    """Where each LF of `data` stands.

    Where the first ones are far apart, looking for one after the other is faster than looking at every
    byte."""
    first = data.find(b"\n")
    if first < 0 or data.count(b"\n", 0, _SAMPLE) * _FAR_APART > _SAMPLE:
        return np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    ends: list[int] = []
    found = first
    while found >= 0:
        ends.append(found)
        found = data.find(b"\n", found + 1)
    return np.array(ends, np.int64)


class _Keys:
    """Which nulls stand for a missing key, by counting the keys of each line.

    Where no white space stands before a colon, and all known names end in a letter, digit, `_` or `-`, a key
    is exactly a `":` after such a character: a quote inside a string follows a backslash, one that opens a
    string follows white space or punctuation, and one that closes a value is not followed by a colon. So
    the keys of a line are counted exactly. As many as the schema has: every null was written. Fewer by
    the number of nulls: none was. Rows in between are in doubt.
    """

    def __init__(self, batch: pa.RecordBatch, lines: _Lines) -> None:
        self._batch = batch
        self._lines = lines

    def absent(self, doubt: Mask) -> Mask:
        """Rows all of whose nulls are missing keys; marks rows in doubt."""
        found = self._count()
        if found is None:
            doubt |= self._nulls() > 0
            return np.zeros(self._batch.num_rows, np.bool_)
        nulls = self._nulls()
        full = self._batch.num_columns
        absent: Mask = (found == full - nulls) & (nulls > 0)
        doubt |= (nulls > 0) & (found != full) & ~absent
        return absent

    def _nulls(self) -> npt.NDArray[np.int64]:
        total = np.zeros(self._batch.num_rows, np.int64)
        for column in self._batch.columns:
            if column.null_count:
                total += column.is_null().to_numpy(zero_copy_only=False)
        return total

    def _count(self) -> npt.NDArray[np.int64] | None:
        names = self._batch.schema.names
        # Keys inside of values would be counted, too.
        if any(pa.types.is_nested(kind) for kind in self._batch.schema.types):
            return None
        if not all(name and name.isascii() and _NAME_END[ord(name[-1])] for name in names):
            return None
        raw = self._lines.bytes
        colons = np.flatnonzero(raw == _COLON)
        colons = colons[colons >= 2]
        before = raw[colons - 1]
        if np.isin(before, (0x20, 0x09, 0x0A, 0x0D)).any():
            return None
        keys = colons[(before == _QUOTE) & _NAME_END[raw[colons - 2]]]
        return np.searchsorted(keys, self._lines.stops) - np.searchsorted(keys, self._lines.starts)


def _merged(known: pa.DataType | None, value: Any) -> pa.DataType | None:
    """The column type that takes `known` and `value`; None while only nulls were seen; null() for never."""
    found = _type_of(value)
    if known is None or found is None:
        # A null fits any type.
        return known if found is None else found
    return _both(known, found)


def _both(known: pa.DataType, found: pa.DataType) -> pa.DataType:
    if known == found:
        return known
    if pa.types.is_floating(known) and pa.types.is_integer(found):
        return known
    if pa.types.is_integer(known) and pa.types.is_floating(found):
        return found
    if pa.types.is_list(known) and pa.types.is_list(found):
        inner = _both(known.value_type, found.value_type)
        return pa.null() if inner == pa.null() else pa.list_(inner)
    if pa.types.is_struct(known) and pa.types.is_struct(found):
        fields = {field.name: field.type for field in known}
        for field in found:
            fields[field.name] = _both(fields.get(field.name, field.type), field.type)
            if fields[field.name] == pa.null():
                return pa.null()
        return pa.struct(list(fields.items()))
    return pa.null()


def _type_of(value: Any) -> pa.DataType | None:
    if value is None:
        return None
    if isinstance(value, dict):
        kinds = {key: _type_of(inner) for key, inner in value.items()}
        if not kinds or len(kinds) > _MAX_COLUMNS or any(kind == pa.null() for kind in kinds.values()):
            return pa.null()
        return pa.struct([(key, pa.string() if kind is None else kind) for key, kind in kinds.items()])
    if isinstance(value, list):
        # Of an empty list nothing is known: strings are a guess that costs speed at most.
        item: pa.DataType | None = None
        for inner in value:
            item = _merged(item, inner)
        item = pa.string() if item is None else item
        return pa.null() if item == pa.null() else pa.list_(item)
    types: dict[type, pa.DataType] = {
        str: pa.string(),
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
    }
    return types.get(type(value), pa.null())
