"""Rows of a columnar table to a schema's columns, by Arrow kernels.

The rules are those of `fields`, on Arrow's types: text takes strings, and binary values that are UTF-8 (old
writers do not annotate strings); identifiers also integers; times take timestamps (without a zone they are
UTC or the source's `utc_offset`), dates, and strings as `times` reads them; numbers take floats, and integers
that a double can hold; bytes take binary values. A row that does not fit is drift. What is not taken goes to
`metadata`: times as ISO 8601, decimals as strings, binary as Base64, NaN and infinities as strings.

A row of a table has no bytes of its own: its offset is that of its row group plus its number in it (an object
is only cut where each group has more bytes than rows), its length 1.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from datetime import time as clock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.decoder import Account
from skyhaul_connectors.formats.encodings import is_utf8
from skyhaul_connectors.formats.fields import FieldMap
from skyhaul_connectors.formats.json_exact import canonical
from skyhaul_connectors.formats.json_text import Mask, Unwritable, member
from skyhaul_connectors.formats.plain_columns import plain
from skyhaul_connectors.formats.printable import printable
from skyhaul_connectors.formats.table_images import TableImages, parts_of, why_missing
from skyhaul_connectors.formats.times import FIRST, LAST
from skyhaul_schemas.records import RAW_CAP

_EXACT = 2**53
_UTC = pa.timestamp("us", tz="UTC")


class TableColumns:
    """Maps the batches of one object. `width` rows come of each row of the table (melting). images: where
    the rows are images."""

    def __init__(self, fields: FieldMap, account: Account, images: TableImages | None = None) -> None:
        self._fields = fields
        self._images = images
        self._account = account
        self.width = max(1, len(fields.melt))

    def columns(self, batch: pa.RecordBatch, offsets: npt.NDArray[np.int64]) -> list[pa.Array]:
        """The rows that fit, as columns of body, offset and length; the others go to the account.
        `offsets` are the rows' own; melted rows lie one apart."""
        table = dict(zip(batch.schema.names, batch.columns, strict=True))
        reasons: dict[int, str] = {}
        keep = np.ones(batch.num_rows, np.bool_)
        images, at = self._images, self._fields.columns
        if images is not None:
            at = {**at, "bytes": images.column(table)}
        found = {
            name: self._field(name, column, table, batch.num_rows, reasons)
            for name, column in at.items()
            if not (self._fields.melt and name in ("quantity", "value", "unit", "quality"))
        }
        melted = [self._measured(column, table, batch.num_rows, reasons) for column in self._fields.melt]
        if images is None:
            rest = {key: values for key, values in table.items() if key not in self._fields.taken}
            metadata = self._metadata(rest, batch.num_rows)
        else:
            metadata = self._metadata(images.rest(table, at["bytes"]), batch.num_rows)
            metadata, broken = images.measured(found, metadata, table, at["bytes"], reasons)
            for row, reason in broken.items():
                self._account.reject(int(offsets[row]), 1, reason, found["bytes"][row].as_py()[:RAW_CAP])
            keep[list(broken)] = False
        if reasons:
            keep[list(reasons)] = False
            self._reject(batch, offsets, reasons)
        if self._fields.melt:
            return self._melted(found, melted, metadata, keep, offsets)
        lengths = pa.array(np.ones(batch.num_rows, np.int64))
        columns = [*found.values(), metadata, pa.array(offsets), lengths]
        return columns if keep.all() else [column.filter(pa.array(keep)) for column in columns]

    def _field(
        self, name: str, column: str, table: dict[str, pa.Array], rows: int, reasons: dict[int, str]
    ) -> pa.Array:
        kind = self._fields.types[name]
        if column in self._fields.of_object:
            return pa.repeat(pa.scalar(self._fields.of_object[column], kind), rows)
        values = self._values(column, table)
        required = name in self._fields.required
        shown = printable(column)
        if values is None:
            if required:
                _mark(reasons, range(rows), f"{name}: column {shown!r} {why_missing(column, table)}")
                return _placeholder(kind, rows)
            return pa.nulls(rows, kind)
        taken, bad, problem = _converted(values, name, kind, self._fields)
        if bad is not None:
            _mark(reasons, np.flatnonzero(bad), f"{name}: column {shown!r} holds {problem}")
        if required and taken.null_count:
            nulls = taken.is_null().to_numpy(zero_copy_only=False)
            _mark(reasons, np.flatnonzero(nulls), f"{name}: column {shown!r} is null")
            taken = taken.fill_null(_filler(kind))
        return taken

    def _values(self, column: str, table: dict[str, pa.Array]) -> pa.Array | None:
        if column == "@time":
            parts = [table.get(part) for part in self._fields.joined]
            if any(part is None for part in parts):
                return None
            return pc.binary_join_element_wise(*[_as_text(part) for part in parts], " ")
        if not column.startswith("/"):
            return table.get(column)
        first, *inner = parts_of(column)
        values = table.get(first)
        for part in inner:
            if values is None or not pa.types.is_struct(values.type):
                return None
            if values.type.get_field_index(part) < 0:
                return None
            values = plain(pc.struct_field(values, part))
        return values

    def _measured(
        self, column: str, table: dict[str, pa.Array], rows: int, reasons: dict[int, str]
    ) -> tuple[pa.Array, pa.Array]:
        measured = self._fields.melt[column]
        if column not in table:
            _mark(reasons, range(rows), f"melt: column {printable(column)!r} is missing")
            return pa.nulls(rows, pa.float64()), pa.nulls(rows, pa.string())
        values, bad, problem = _converted(table[column], "value", pa.float64(), self._fields)
        if bad is not None:
            said = f"{measured.quantity}: column {printable(column)!r} holds {problem}"
            _mark(reasons, np.flatnonzero(bad), said)
        flags = table.get(measured.quality or "")
        return values, pa.nulls(rows, pa.string()) if flags is None else _as_text(flags)

    def _melted(
        self,
        found: dict[str, pa.Array],
        melted: Sequence[tuple[pa.Array, pa.Array]],
        metadata: pa.Array,
        keep: Mask,
        offsets: npt.NDArray[np.int64],
    ) -> list[pa.Array]:
        rows, width = np.flatnonzero(keep), self.width
        which = pa.array(np.repeat(rows, width))
        # Column after column, then dealt row by row.
        order = (np.arange(width)[None, :] * len(keep) + rows[:, None]).ravel()

        def dealt(columns: list[pa.Array]) -> pa.Array:
            return pa.concat_arrays(columns).take(pa.array(order))

        def repeated(values: list[str | None]) -> pa.Array:
            return pa.array(values, pa.string()).take(pa.array(np.tile(np.arange(width), len(rows))))

        measured = list(self._fields.melt.values())
        places = np.repeat(offsets[rows], width) + np.tile(np.arange(width), len(rows))
        return [
            found["station"].take(which),
            found["time"].take(which),
            repeated([one.quantity for one in measured]),
            dealt([value for value, _ in melted]),
            repeated([one.unit for one in measured]),
            dealt([flag for _, flag in melted]),
            found["latitude"].take(which),
            found["longitude"].take(which),
            metadata.take(which),
            pa.array(places),
            pa.array(np.ones(len(places), np.int64)),
        ]

    def _metadata(self, rest: dict[str, pa.Array], rows: int) -> pa.Array:
        if not rest:
            return pa.nulls(rows, pa.string())
        rest = dict(sorted(rest.items()))
        doubt = np.zeros(rows, np.bool_)
        members = []
        for key, values in rest.items():
            name = canonical(key) + ":"
            try:
                text = member(name, _writable(values), doubt, doubles=True)
            except (Unwritable, pa.ArrowException):
                written = [canonical(_json_value(value)) for value in _python(values)]
                text = pc.binary_join_element_wise(name, pa.array(written, pa.string()), "")
            members.append(text.fill_null(name + "null"))
        whole = pc.binary_join_element_wise("{", pc.binary_join_element_wise(*members, ","), "}", "")
        if doubt.any():
            mask = pa.array(doubt)
            records = pa.RecordBatch.from_arrays(list(rest.values()), names=list(rest)).filter(mask)
            cells = [[_json_value(value) for value in _python(column)] for column in records.columns]
            written = [canonical(dict(zip(rest, row, strict=True))) for row in zip(*cells, strict=True)]
            whole = pc.replace_with_mask(whole, mask, pa.array(written, pa.string()))
        return whole

    def _reject(self, batch: pa.RecordBatch, offsets: npt.NDArray[np.int64], reasons: dict[int, str]) -> None:
        for row in sorted(reasons):
            record = {
                name: _brief(column[row])
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }
            raw = canonical(record).encode("utf-8", "replace")
            self._account.drift(int(offsets[row]), 1, reasons[row], raw)


def _converted(
    values: pa.Array, name: str, kind: pa.DataType, fields: FieldMap
) -> tuple[pa.Array, Mask | None, str]:
    """`values` as `kind`; which rows do not fit, and how they are."""
    found = values.type
    nothing = pa.nulls(len(values), kind)
    if pa.types.is_null(found):
        return nothing, None, ""
    if pa.types.is_timestamp(kind):
        return _as_times(values, kind, fields)
    if pa.types.is_floating(kind):
        return _as_numbers(values, kind)
    if pa.types.is_integer(kind) and pa.types.is_integer(found):
        return values.cast(kind, safe=False), _outside(values, kind), f"{found} beyond {kind}"
    if pa.types.is_large_binary(kind) and _is_binary(found):
        return values.cast(kind), None, ""
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if text and (pa.types.is_string(found) or pa.types.is_large_string(found)):
        return values.cast(kind), None, ""
    if text and _is_binary(found):
        return _from_binary(values, kind)
    if text and pa.types.is_integer(found) and fields.takes_integers(name):
        return values.cast(kind), None, ""
    return nothing, values.is_valid().to_numpy(zero_copy_only=False), f"{found}"


def _as_times(values: pa.Array, kind: pa.DataType, fields: FieldMap) -> tuple[pa.Array, Mask | None, str]:
    found = values.type
    if pa.types.is_date(found):
        values = values.cast(pa.timestamp("ms"))
        found = values.type
    if pa.types.is_timestamp(found):
        number = values.cast(pa.int64())
        factor = {"s": 1_000_000, "ms": 1_000, "us": 1}.get(found.unit)
        if factor is None:
            micros = pc.divide(pc.subtract(number, _negative_rest(number)), 1000)
        else:
            # Within 2**62 microseconds, so that an offset cannot overflow; the calendar is narrower.
            most = 2**62 // factor
            micros = pc.multiply(pc.max_element_wise(pc.min_element_wise(number, most), -most), factor)
            micros = pc.if_else(number.is_valid(), micros, pa.scalar(None, pa.int64()))
        if found.tz is None:
            micros = pc.subtract(micros, fields.times.offset)
        beyond = pc.or_(pc.less(micros, FIRST), pc.greater(micros, LAST)).fill_null(False)
        bad = beyond.to_numpy(zero_copy_only=False) if beyond.true_count else None
        return micros.cast(kind), bad, "a time beyond the calendar"
    if not (pa.types.is_string(found) or pa.types.is_large_string(found)):
        return pa.nulls(len(values), kind), values.is_valid().to_numpy(zero_copy_only=False), f"{found}"
    read: list[int | None] = []
    bad_rows = np.zeros(len(values), np.bool_)
    problem = ""
    for row, text in enumerate(values.to_pylist()):
        try:
            read.append(None if text is None else fields.times.parse(text))
        except ValueError as error:
            read.append(None)
            bad_rows[row], problem = True, problem or str(error)
    return pa.array(read, pa.int64()).cast(kind), bad_rows if bad_rows.any() else None, problem


def _negative_rest(nanos: pa.Array) -> pa.Array:
    """What to take off so that a division by 1000 rounds down also before 1970."""
    raw = nanos.fill_null(0).to_numpy(zero_copy_only=False)
    return pc.if_else(nanos.is_valid(), pa.array(raw % 1000), pa.scalar(None, pa.int64()))


def _as_numbers(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, Mask | None, str]:
    found = values.type
    if pa.types.is_floating(found):
        return values.cast(kind), None, ""
    if pa.types.is_integer(found):
        numbers = values.cast(kind, safe=False)
        bad = pc.greater(pc.abs(numbers), float(_EXACT)).fill_null(False).to_numpy(zero_copy_only=False)
        return numbers, bad if bad.any() else None, "an integer that a double cannot hold"
    return pa.nulls(len(values), kind), values.is_valid().to_numpy(zero_copy_only=False), f"{found}"


def _from_binary(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, Mask | None, str]:
    whole = values.cast(pa.large_binary())
    text = whole.view(pa.large_string())
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        bad = np.array([value is not None and not is_utf8(value) for value in whole.to_pylist()])
        kept = pc.if_else(pa.array(bad), pa.scalar(b"", pa.large_binary()), whole)
        return kept.view(pa.large_string()).cast(kind), bad, "bytes that are not UTF-8"
    return text.cast(kind), None, ""


def _outside(values: pa.Array, kind: pa.DataType) -> Mask | None:
    limit = 2 ** (kind.bit_width - 1)
    numbers = values.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    bad = (numbers >= limit) | (numbers < -limit)
    return bad if bad.any() else None


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )


def _as_text(values: pa.Array) -> pa.Array:
    if pa.types.is_nested(values.type) or _is_binary(values.type):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _writable(values: pa.Array) -> pa.Array:
    """Types that stand for text in JSON, as text. Zones are left out: such times are UTC."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        plain = values.cast(pa.timestamp(kind.unit)).cast(pa.string())
        plain = pc.replace_substring(plain, " ", "T")
        return pc.binary_join_element_wise(plain, "Z", "") if kind.tz is not None else plain
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_decimal(kind):
        return values.cast(pa.string())
    if pa.types.is_large_string(kind):
        return values.cast(pa.string())
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return values.cast(pa.float64())
    return values


def _python(values: pa.Array) -> list[Any]:
    try:
        found: list[Any] = values.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        return [_python_one(value) for value in values]
    return found


def _python_one(scalar: pa.Scalar) -> Any:
    """What Python has no value for (a time beyond its calendar, say) as the number that stands for it."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        pass
    if pa.types.is_struct(scalar.type):
        names = [field.name for field in scalar.type]
        return {name: _python_one(scalar[place]) for place, name in enumerate(names)}
    if pa.types.is_nested(scalar.type):
        return _python(scalar.values)
    return getattr(scalar, "value", None)


def _json_value(value: Any) -> Any:
    """A Python value of Arrow's as one of JSON."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {str(key): _json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    if isinstance(value, datetime | date | clock):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def _brief(scalar: pa.Scalar) -> Any:
    """A value for the raw bytes of a reject, which are cut anyway."""
    value = _json_value(_python_one(scalar))
    return value if not isinstance(value, str) else value[:1000]


def _mark(reasons: dict[int, str], rows: Any, reason: str) -> None:
    for row in rows:
        reasons.setdefault(int(row), reason)


def _placeholder(kind: pa.DataType, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(_filler(kind), kind), rows)


def _filler(kind: pa.DataType) -> Any:
    return b"" if pa.types.is_large_binary(kind) else ""
