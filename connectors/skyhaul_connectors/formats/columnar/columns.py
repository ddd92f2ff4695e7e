"""Rows of a columnar table to a schema's columns, by Arrow kernels.

The rules are those of `fields`, on Arrow's types: text takes strings, and binary values that are UTF-8 (old
writers do not annotate strings); identifiers also integers; times take timestamps (without a zone they are
UTC or the source's `utc_offset`), dates, strings as `times` reads them, and numbers where `time_format` says
how they count; numbers take floats, integers that a double can hold, and decimals, rounded to the nearest
double; bytes take binary values. A row that does not fit is drift. What is not taken goes to `metadata`, as
`column_text` writes it.

A row of a table has no bytes of its own: its offset is that of its row group plus its number in it (an object
is only cut where each group has more bytes than rows), its length 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.charsets.encodings import is_utf8
from skyhaul_connectors.formats.columnar.image_columns import TableImages, why_missing
from skyhaul_connectors.formats.columnar.own_values import leaves_out, own_converted
from skyhaul_connectors.formats.columnar.plain_columns import plain
from skyhaul_connectors.formats.columnar.text_columns import json_value, writable
from skyhaul_connectors.formats.columnar.values import converted, is_binary
from skyhaul_connectors.formats.decoder import Account
from skyhaul_connectors.formats.records.casts import left_over
from skyhaul_connectors.formats.records.fields import FieldMap, kind_of, parts_of
from skyhaul_connectors.formats.records.json_columns import Mask, Unwritable, member
from skyhaul_connectors.formats.records.json_exact import canonical
from skyhaul_schemas.printable import brief
from skyhaul_schemas.records import RAW_CAP

_OTHER = "a column of another type"


class TableColumns:
    """Maps the batches of one object to columns of the schema.

    Attributes:
        width: Rows that come of each row of the table: more than one where it is melted."""

    def __init__(self, fields: FieldMap, account: Account, images: TableImages | None = None) -> None:
        self._fields = fields
        self._images = images
        self._account = account
        self.width = max(1, len(fields.melt))

    def columns(self, batch: pa.RecordBatch, offsets: npt.NDArray[np.int64]) -> list[pa.Array]:
        """The rows that fit, as columns of body, offset and length; the others go to the account.

        Args:
            batch: Valid, with names that are told apart (`child`).
            offsets: The rows' own; melted rows lie one apart."""
        missing = self._fields.missing
        table = {
            name: missing.column(column) if missing else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        reasons: dict[int, str] = {}
        keep = np.ones(batch.num_rows, np.bool_)
        images, at = self._images, self._fields.columns
        if images is not None:
            at = {**at, "bytes": images.column(table)}
        # Counted at the end only: a row that another field rejects is not kept, so that nothing of it became
        # null.
        self._nulled: list[tuple[str, Mapping[int, str]]] = []
        found = {
            name: self._field(name, column, table, batch.num_rows, reasons)
            for name, column in at.items()
            if not (self._fields.melt and name in ("quantity", "value", "unit", "quality"))
        }
        melted = [self._measured(column, table, batch.num_rows, reasons) for column in self._fields.melt]
        broken: Mapping[int, str] = {}
        if images is None:
            rest = self._rest(table)
            metadata = self._metadata(rest, batch.num_rows)
            if rest and self._fields.rest == "reject":
                _mark(reasons, range(batch.num_rows), left_over(min(rest)))
        else:
            metadata = self._metadata(images.rest(table, at["bytes"]), batch.num_rows)
            metadata, broken = images.measured(found, metadata, table, at["bytes"], reasons)
            for row, reason in broken.items():
                self._account.reject(int(offsets[row]), 1, reason, found["bytes"][row].as_py()[:RAW_CAP])
            keep[list(broken)] = False
        self._count_nulled(reasons.keys() | broken.keys())
        if reasons:
            keep[list(reasons)] = False
            self._reject(batch, offsets, reasons)
        if self._fields.melt:
            return self._melted(found, melted, metadata, keep, offsets)
        lengths = pa.array(np.ones(batch.num_rows, np.int64))
        columns = [*found.values(), metadata, pa.array(offsets), lengths]
        if self._fields.rest != "metadata":
            del columns[-3]
        return columns if keep.all() else [column.filter(pa.array(keep)) for column in columns]

    def _field(
        self, name: str, column: str, table: dict[str, pa.Array], rows: int, reasons: dict[int, str]
    ) -> pa.Array:
        kind = self._fields.types[name]
        if column in self._fields.of_object:
            return pa.repeat(pa.scalar(self._fields.of_object[column], kind), rows)
        values = self._values(column, table)
        required = name in self._fields.required
        shown = brief(column)
        if values is None:
            if required:
                _mark(reasons, range(rows), f"{name}: column {shown!r} {why_missing(column, table)}")
                # The schema allows no null here until these rows are taken out.
                return pa.nulls(rows, kind) if self._fields.own is not None else _placeholder(kind, rows)
            return pa.nulls(rows, kind)
        if self._fields.own is not None:
            taken, problems = own_converted(values, kind, self._fields)
        else:
            taken, problems = converted(values, name, kind, self._fields)
        if problems:
            said = f"{name}: column {shown!r} holds"
            taken = self._unfit(name, values.type, taken, problems, said, reasons, required=required)
        if required and taken.null_count:
            nulls = taken.is_null().to_numpy(zero_copy_only=False)
            _mark(reasons, np.flatnonzero(nulls), f"{name}: column {shown!r} is null")
            taken = taken if self._fields.own is not None else taken.fill_null(_filler(kind))
        return taken

    def _rest(self, table: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """What no field takes, and what fields of a job's own schema take in part."""
        rest = {key: values for key, values in table.items() if key not in self._fields.taken}
        for column, kind in self._fields.nested.items():
            if column in table and leaves_out(table[column].type, kind):
                rest[column] = table[column]
        return {} if self._fields.rest == "drop" else rest

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
            # This kernel gives null where the struct is null; the array's own `field` gives what lies below.
            values = plain(pc.struct_field(values, part))
        missing = self._fields.missing
        return missing.column(values) if missing and values is not None else values

    def _unfit(
        self,
        field: str,
        found: pa.DataType,
        taken: pa.Array,
        problems: Mapping[int, str],
        said: str,
        reasons: dict[int, str],
        *,
        required: bool = False,
    ) -> pa.Array:
        """`taken` with its unfit rows dealt with: they are rejects, or null in this field.

        Args:
            field: The schema's.
            found: The type of the column's values.
            taken: The column as the schema wants it.
            problems: Rows that do not fit, and why.
            said: How a reject's reason begins.
            reasons: Rows that are rejected; the first reason of a row stays.
            required: Whether null is no way out."""
        if required or not self._fields.lenient:
            for row, problem in problems.items():
                reasons.setdefault(row, f"{said} {problem}")
            return taken
        # A type's name may hold texts out of the object.
        kinds = {
            row: _OTHER if said.startswith(str(found)) else kind_of(said) for row, said in problems.items()
        }
        self._nulled.append((field, kinds))
        mask = np.zeros(len(taken), np.bool_)
        mask[list(problems)] = True
        return pc.if_else(pa.array(mask), pa.scalar(None, taken.type), taken)

    def _count_nulled(self, rejected: AbstractSet[int]) -> None:
        for field, kinds in self._nulled:
            self._account.null_fields((field, kind) for row, kind in kinds.items() if row not in rejected)

    def _measured(
        self, column: str, table: dict[str, pa.Array], rows: int, reasons: dict[int, str]
    ) -> tuple[pa.Array, pa.Array]:
        measured = self._fields.melt[column]
        if column not in table:
            _mark(reasons, range(rows), f"melt: column {brief(column)!r} is missing")
            return pa.nulls(rows, pa.float64()), pa.nulls(rows, pa.string())
        values, problems = converted(table[column], "value", pa.float64(), self._fields)
        if problems:
            said = f"{measured.quantity}: column {brief(column)!r} holds"
            values = self._unfit("value", table[column].type, values, problems, said, reasons)
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
        # As in other formats, rows of one record stand together, in the order of `melt`.
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
        for key, values in list(rest.items()):
            name = canonical(key) + ":"
            values = writable(values)
            rest[key] = values
            try:
                # A column of doubles says so itself: 1.0 was never written as 1. A null is a null, since no
                # row lacks a column.
                text = member(name, values, doubt, doubles=True)
            except (Unwritable, pa.ArrowException):
                written = [canonical(json_value(value)) for value in values.to_pylist()]
                text = pc.binary_join_element_wise(name, pa.array(written, pa.string()), "")
            members.append(text.fill_null(name + "null"))
        whole = pc.binary_join_element_wise("{", pc.binary_join_element_wise(*members, ","), "}", "")
        if doubt.any():
            mask = pa.array(doubt)
            # What kernels cannot write exactly is written by the reference, all of the row at once.
            cells = [_cells(values, np.flatnonzero(doubt)) for values in rest.values()]
            written = [canonical(dict(zip(rest, row, strict=True))) for row in zip(*cells, strict=True)]
            whole = pc.replace_with_mask(whole, mask, pa.array(written, pa.string()))
        return whole

    # A row has no bytes of its own in the file: its values as JSON stand for them.
    def _reject(self, batch: pa.RecordBatch, offsets: npt.NDArray[np.int64], reasons: dict[int, str]) -> None:
        rows = np.array(sorted(reasons), np.int64)
        cells = [_cells(column, rows) for column in batch.columns]
        for place, row in enumerate(rows.tolist()):
            record = {
                name: _briefly(found[place]) for name, found in zip(batch.schema.names, cells, strict=True)
            }
            raw = canonical(record).encode("utf-8", "replace")
            self._account.drift(int(offsets[row]), 1, reasons[row], raw)


def _as_text(values: pa.Array) -> pa.Array:
    if is_binary(values.type):
        return pa.array(
            [None if value is None else _said(value) for value in values.to_pylist()], pa.string()
        )
    if pa.types.is_nested(values.type):
        found = (json_value(value) for value in writable(values).to_pylist())
        return pa.array([None if value is None else canonical(value) for value in found], pa.string())
    return values.cast(pa.string())


def _said(raw: bytes) -> str:
    """Bytes as the text that they are, or as a literal of bytes."""
    return raw.decode("utf-8") if is_utf8(raw) else repr(raw)


def _cells(values: pa.Array, rows: npt.NDArray[np.int64]) -> list[Any]:
    """The values of `rows` of a column, as JSON has them."""
    try:
        return [json_value(value) for value in writable(values.take(pa.array(rows))).to_pylist()]
    except pa.ArrowNotImplementedError:  # there is no `take` of run-end encoded values
        return [json_value(writable(values.slice(row, 1)).to_pylist()[0]) for row in rows.tolist()]


def _briefly(value: Any) -> Any:
    """A value for the raw bytes of a reject, which are cut off at RAW_CAP anyway."""
    return value if not isinstance(value, str) else value[:1000]


def _mark(reasons: dict[int, str], rows: Any, reason: str) -> None:
    for row in rows:
        reasons.setdefault(int(row), reason)


def _placeholder(kind: pa.DataType, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(_filler(kind), kind), rows)


def _filler(kind: pa.DataType) -> Any:
    return b"" if pa.types.is_large_binary(kind) else ""
