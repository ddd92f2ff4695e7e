"""From a source's columns to a schema's fields: which column, of which type, and what does not fit.

`fields` of the source says schema field: column. A field it does not name takes the column of the same
name, except that a document's `source_id` takes `id`. A column written as a JSON Pointer (RFC 6901,
`/meta/url`) reaches inside a nested value, which then also stays in `metadata`. `@path`, `@name` and `@stem`
stand for the object's path, its last part, and that without suffixes. Every column that is not taken goes to
`metadata` as canonical JSON.

Drift, per field (nothing is cast or dropped in silence):
- a field that the schema requires (`text`, `quantity`, `bytes`) must be there and not null;
- text takes strings only; `source_id` and `station` also integers, written in decimal;
- times take strings, and numbers where `time_format` says how they count (`epoch_s`, `epoch_ms`, `epoch_us`,
  `epoch_ns`; a fraction of them beyond microseconds is cut off, to the past);
- numbers take JSON numbers; an integer that a double cannot hold is drift. In tables of text (CSV) they
  take decimal numbers, with or without an exponent; white space around them is passed over.

Under `on_drift: null` a field that the schema does not require is null where its value does not fit, and
counted; the record stays.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.records import casts
from skyhaul_connectors.formats.records.json_exact import integer_text
from skyhaul_connectors.formats.records.json_quick import canonical
from skyhaul_connectors.formats.records.melt import Measured
from skyhaul_connectors.formats.records.missing import Missing, Sentinel
from skyhaul_connectors.formats.records.numbers import cell_number, comma_number, json_number, unless
from skyhaul_connectors.formats.records.times import TimeOptions, Times
from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.own_schema import OwnSchema
from skyhaul_schemas.printable import brief
from skyhaul_schemas.records import body_of, schema_kind

if TYPE_CHECKING:
    from skyhaul_connectors.formats.decoder import Account

VERSION: Final = {"skyhaul.fields": "2"}
"""For the fingerprint: it rises when tables, CSV or JSON give other rows of the same bytes."""

_RENAMED: Final = {"document": {"source_id": "id"}}
"""Schema -> field -> the column that it takes by default, where that has another name."""

_IDENTIFIERS: Final = frozenset({"source_id", "station"})
_OF_OBJECT: Final = ("@path", "@name", "@stem")
_MISSING: Final = object()
"""Stands for a key that is not there, as None stands for a null."""

_JOINED: Final = "@time"
"""The column of a time that `time_columns` make. No job can write it: `@` and another word is refused."""

Row = tuple[Any, ...]


class Drift(ValueError):
    """A value that does not fit the schema; the message names field, column and what was found."""


class FieldMap:
    """Where each field of a schema comes from. Raises UsageError on what cannot be.

    Args:
        settings: The schema, and which column each of its fields takes.
        times: How times are written.
        melt: Measured columns of a wide table.
        missing: Values that mean null; in a table of text numbers only, the texts are the caller's.
        text_table: Whether all values are text (a CSV), so that numbers are read from it.
        decimal: The mark before a number's fraction in a table of text.
    """

    def __init__(
        self,
        settings: DecodeSettings,
        times: TimeOptions | None = None,
        melt: Mapping[str, Measured] | None = None,
        missing: Iterable[Sentinel] = (),
        *,
        text_table: bool = False,
        decimal: str = ".",
    ) -> None:
        times = times if times is not None else TimeOptions()
        self.times = Times(times)
        # A date states no offset, so that none is ahead of it.
        self.days = Times(times.model_copy(update={"utc_offset": "+00:00"}))
        self.melt = dict(melt or {})
        given = Missing(missing)
        # A CSV's cells are compared as texts before they come here, while it is known how they were written.
        self.missing = Missing(()) if text_table else given
        self.lenient = settings.on_drift == "null"
        self.own = settings.schema if isinstance(settings.schema, OwnSchema) else None
        self._text_table = text_table
        cells = comma_number if decimal == "," else cell_number
        self.number: Callable[[Any], float | None] = cells if text_table else json_number
        if text_table and given.has_numbers:
            self.number = unless(given, cells)
        body = [field for field in body_of(settings.schema) if field.name != "metadata"]
        self.types: dict[str, pa.DataType] = {f.name: f.type for f in body}
        self._check(settings)
        renamed = _RENAMED.get(schema_kind(settings.schema), {})
        self.columns: dict[str, str] = {
            f.name: settings.fields.get(f.name, renamed.get(f.name, f.name)) for f in body
        }
        self.joined = times.time_columns
        if self.joined:
            self.columns[self._time_field(settings)] = _JOINED
        self.required = frozenset(f.name for f in body if not f.nullable)
        self.rest = "metadata" if self.own is None else self.own.rest
        # A pointer takes nothing away: the nested value stays in `metadata` as a whole.
        self.taken = frozenset(c for c in self.columns.values() if not c.startswith(("/", "@")))
        self.taken |= set(self.joined) | set(self.melt)
        self.taken |= {one.quality for one in self.melt.values() if one.quality is not None}
        self.of_object: dict[str, str] = {}
        # What can be known before the first record is worked out here: `_row` runs for each of them.
        self._plan = tuple(
            (
                name,
                column,
                column[:1] not in "/@",
                convert in (_text, _identifier),
                convert,
                name in self.required,
            )
            for name, column in self.columns.items()
            for convert in (self._converter(name),)
            if not (self.melt and name in ("quantity", "value", "unit", "quality"))
        )
        self.numbers = frozenset(self.melt) | {
            column
            for name, column, *_ in self._plan
            if self._is_number(self.types[name]) and not column.startswith("@")
        }
        self.nested: dict[str, pa.DataType] = {
            column: self.types[name]
            for name, column, *_ in self._plan
            if column in self.taken and pa.types.is_nested(self.types[name])
        }
        self.width = len(self.columns) + (self.rest == "metadata")

    def for_object(self, path: str) -> FieldMap:
        """This map with `@path` and its like bound."""
        if not any(column in _OF_OBJECT for column in self.columns.values()):
            return self
        # Shallow: the converters in `_plan` stay bound to the first map, so that nothing that they use may be
        # of one object.
        bound = copy.copy(self)
        name = path.rpartition("/")[2]
        bound.of_object = {"@path": path, "@name": name, "@stem": name.partition(".")[0]}
        return bound

    @property
    def plain(self) -> bool:
        """Whether each field is a column of its own whose values are what they look like.

        So there are no pointers, no joined times, no melting and no values that mean null."""
        pointers = any(column.startswith("/") for column in self.columns.values())
        return not (self.melt or self.joined or self.missing or pointers)

    def takes_integers(self, name: str) -> bool:
        """Whether an integer fits the text field `name`, written in decimal."""
        return name in _IDENTIFIERS and self.own is None

    def row(self, record: Mapping[str, Any], account: Account | None = None) -> Row:
        """The fields' values in the schema's order, `metadata` last if it has that.

        Args:
            record: The values by column.
            account: Is told, under `on_drift: null`, of the fields that became null.

        Raises:
            Drift: A value does not fit; under `on_drift: null` only that of a required field."""
        unfit: list[tuple[str, str]] | None = [] if self.lenient and account is not None else None
        row = self._row(record, unfit)
        if unfit and account is not None:
            account.null_fields(unfit)
        return row

    def _row(self, record: Mapping[str, Any], unfit: list[tuple[str, str]] | None) -> Row:
        values: list[Any] = []
        for name, column, is_own, takes_text, convert, required in self._plan:
            found = record.get(column) if is_own else self._elsewhere(record, column)
            if found is None or found is _MISSING:
                if required:
                    state = "null" if column in record else "missing"
                    raise Drift(f"{name}: column {brief(column)!r} is {state}")
                values.append(None)
                continue
            # A string for a text field, as most are: without a call.
            if takes_text and type(found) is str:
                values.append(found)
                continue
            try:
                values.append(convert(found))
            except ValueError as drift:
                # A required field cannot be null, so that its drift is the record's.
                if unfit is None or required:
                    raise Drift(f"{name}: column {brief(column)!r} holds {drift}") from None
                unfit.append((name, kind_of(str(drift))))
                values.append(None)
        taken = self.taken
        rest = {key: value for key, value in record.items() if key not in taken}
        if self.own is not None:
            self._own_rest(record, rest)
        if self.rest == "metadata":
            values.append(canonical(rest) if rest else None)
        return tuple(values)

    def _own_rest(self, record: Mapping[str, Any], rest: dict[str, Any]) -> None:
        """Adds to `rest` what columns take in part; raises Drift where nothing may be left over."""
        if self.rest == "drop":
            return
        for column, kind in self.nested.items():
            value = record.get(column)
            try:
                if casts.leaves_out(casts.json_of(value) if self._text_table else value, kind):
                    rest[column] = value
            except ValueError:  # a cell that is no JSON is null by now (`on_drift: null`)
                continue
        if rest and self.rest == "reject":
            raise Drift(casts.left_over(min(rest)))

    def rows(
        self,
        record: Mapping[str, Any],
        units: Mapping[str, str] | None = None,
        account: Account | None = None,
    ) -> list[Row]:
        """All rows of a record: one, or one for each measured column.

        Args:
            record: The values by column.
            units: Of measured columns, by column; what `melt` says of a unit goes before it.
            account: As for `row`.

        Raises:
            Drift: As for `row`, or a measured column is missing."""
        if self.missing:
            record = self.missing.record(record)
        if not self.melt:
            return [self.row(record, account) if self.lenient else self._row(record, None)]
        unfit: list[tuple[str, str]] | None = [] if self.lenient and account is not None else None
        station, time, latitude, longitude, metadata = self._row(record, unfit)
        found = []
        for column, measured in self.melt.items():
            value = record.get(column, _MISSING)
            # A null is a reading without a value; a column that is not there is another table than the job
            # means.
            if value is _MISSING:
                raise Drift(f"melt: column {brief(column)!r} is missing")
            quality = None if measured.quality is None else record.get(measured.quality)
            number = flag = None
            for field, given, convert in (("value", value, self.number), ("quality", quality, _identifier)):
                try:
                    # Of the two only the quality is text; it takes what an identifier takes, since flags are
                    # often numbers.
                    taken = None if given is None else convert(given)
                except ValueError as drift:
                    if unfit is None:
                        said = f"{measured.quantity}: column {brief(column)!r} holds {drift}"
                        raise Drift(said) from None
                    unfit.append((field, kind_of(str(drift))))
                    continue
                if field == "value":
                    number = taken
                else:
                    flag = taken
            unit = measured.unit if measured.unit is not None else (units or {}).get(column)
            found.append(
                (station, time, measured.quantity, number, unit, flag, latitude, longitude, metadata)
            )
        if unfit and account is not None:
            account.null_fields(unfit)
        return found

    def _check(self, settings: DecodeSettings) -> None:
        for name, column in settings.fields.items():
            if name not in self.types:
                allowed = ", ".join(sorted(self.types))
                raise ValueRefused(
                    f"fields: {brief(name)!r} is no field of schema {settings.schema} (allowed: {allowed})",
                    ("fields", name),
                    allowed=allowed,
                    known=tuple(sorted(self.types)),
                    of_key=True,
                )
            if column.startswith("@") and column not in _OF_OBJECT:
                allowed = ", ".join(_OF_OBJECT)
                said = f"fields: {brief(column)!r} is none of {allowed}"
                raise ValueRefused(said, ("fields", name), column, allowed, _OF_OBJECT)
            if column.startswith("@") and self.own and not _is_text(self.types[name]):
                said = f"fields: {brief(column)!r} is text, and field {name} takes none"
                raise ValueRefused(said, ("fields", name), column, "a column of the source")
        if self.melt and settings.schema != "reading":
            raise _no_such("melt", f" is for schema reading, not {settings.schema}")

    def _time_field(self, settings: DecodeSettings) -> str:
        for name in ("time", "created"):
            if name in self.columns:
                return name
        times = [name for name, kind in self.types.items() if pa.types.is_timestamp(kind)]
        if len(times) == 1:
            return times[0]
        raise _no_such("time_columns", f": schema {settings.schema} has no time")

    def _elsewhere(self, record: Mapping[str, Any], column: str) -> Any:
        if column == _JOINED:
            parts = [record.get(part) for part in self.joined]
            return None if None in parts else " ".join(map(str, parts))
        if column.startswith("@"):
            return self.of_object.get(column)
        found = _at(record, column)
        return None if self.missing and self.missing.stands(found) else found

    def _is_number(self, kind: pa.DataType) -> bool:
        return bool(pa.types.is_floating(kind) or (self.own and pa.types.is_integer(kind)))

    def _converter(self, name: str) -> Callable[[Any], Any]:
        kind = self.types[name]
        if self.own is not None:
            if _is_text(kind):
                return _text
            if self._text_table:
                return casts.cell_cast(kind, self.times, self.days, self.number)
            return casts.json_cast(kind, self.times, self.days)
        if name in _IDENTIFIERS:
            return _identifier
        if pa.types.is_timestamp(kind):
            return self._time
        if pa.types.is_floating(kind):
            return self.number
        return _text

    def _time(self, value: Any) -> int:
        if type(value) is str:
            return self.times.parse(value)
        if type(value) is int or type(value) is float:
            return self.times.number(value)
        raise Drift(f"{casts.name_of(value)}, not a time as a string")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _no_such(option: str, why: str) -> ValueRefused:
    """The error for an option that is not for the dataset's schema."""
    said = f"decode option '{option}'{why}"
    return ValueRefused(said, ("decode", option), allowed="an option of the dataset's schema", of_key=True)


def _text(value: Any) -> str | bytes:
    if type(value) is str or type(value) is bytes:  # bytes: UTF-8 that was checked where it was read
        return value
    raise Drift(f"{casts.name_of(value)}, not a string")


def _identifier(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is int:
        return integer_text(value)
    raise Drift(f"{casts.name_of(value)}, not a string or an integer")


def kind_of(problem: str) -> str:
    """The kind of what does not fit, without what was found: of a small set, for a commit record's counts.

    It rests on how Drift and the errors of `times` are worded: what was found, `, which is `, the kind, and
    after a semicolon advice. A text out of the object behind `, which is ` would become a key of the
    record."""
    return problem.rpartition(", which is ")[2].partition(";")[0]


def parts_of(column: str) -> list[str]:
    """The names that a JSON Pointer (RFC 6901) is made of; a column's name alone."""
    if not column.startswith("/"):
        return [column]
    # In this order (RFC 6901, 4): `~01` is the name `~1`.
    return [part.replace("~1", "/").replace("~0", "~") for part in column.split("/")[1:]]


def _at(record: Any, pointer: str) -> Any:
    """The value at a JSON Pointer; objects only, since an index into an array is no stable column."""
    for part in parts_of(pointer):
        if not isinstance(record, Mapping):
            return _MISSING
        record = record.get(part, _MISSING)
        if record is _MISSING:
            return _MISSING
    return record
