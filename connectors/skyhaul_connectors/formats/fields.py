"""From a source's columns to a schema's fields: which column, of which type, and what does not fit.

`fields` of the source says schema field: column. A field it does not name takes the column of the same
name, except that a document's `source_id` takes `id`. A column written as a JSON Pointer (RFC 6901,
`/meta/url`) reaches inside a nested value, which then also stays in `metadata`. Every column that is
not taken goes to `metadata` as canonical JSON.

Drift, per field (nothing is cast or dropped in silence):
- a field that the schema requires (`text`, `quantity`, `bytes`) must be there and not null;
- text takes strings only; `source_id` and `station` also integers, written in decimal;
- times take RFC 3339 / ISO 8601 strings, a date alone is its midnight, without an offset they are UTC;
- numbers take JSON numbers; an integer that a double cannot hold is drift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from skyhaul_connectors.formats.json_quick import canonical
from skyhaul_connectors.formats.printable import printable
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.records import BODIES

_RENAMED: Final = {"document": {"source_id": "id"}}
_IDENTIFIERS: Final = frozenset({"source_id", "station"})
_MISSING: Final = object()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Drift(ValueError):
    """A value that does not fit the schema; the message names field, column and what was found."""


class FieldMap:
    """Where each field of a schema comes from. Raises UsageError on a field that the schema has not."""

    def __init__(self, settings: DecodeSettings) -> None:
        body = [field for field in BODIES[settings.schema] if field.name != "metadata"]
        names = {field.name for field in body}
        for name in settings.fields:
            if name not in names:
                raise UsageError(
                    f"fields: {printable(name)!r} is no field of schema {settings.schema}"
                    f" (allowed: {', '.join(sorted(names))})"
                )
        renamed = _RENAMED.get(settings.schema, {})
        self.columns: dict[str, str] = {
            f.name: settings.fields.get(f.name, renamed.get(f.name, f.name)) for f in body
        }
        self.required = frozenset(f.name for f in body if not f.nullable)
        self.types: dict[str, pa.DataType] = {f.name: f.type for f in body}
        self.taken = frozenset(c for c in self.columns.values() if not c.startswith("/"))
        self._plan = tuple(
            (name, column, column.startswith("/"), _converter(name, self.types[name]), name in self.required)
            for name, column in self.columns.items()
        )

    def takes_integers(self, name: str) -> bool:
        """Whether an integer fits the text field `name`, written in decimal."""
        return name in _IDENTIFIERS

    def row(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        """The fields' values in the schema's order, `metadata` last. Raises Drift."""
        values: list[Any] = []
        for name, column, nested, convert, required in self._plan:
            found = _at(record, column) if nested else record.get(column)
            if found is None or found is _MISSING:
                if required:
                    state = "null" if column in record else "missing"
                    raise Drift(f"{name}: column {printable(column)!r} is {state}")
                values.append(None)
                continue
            if convert is _text and type(found) is str:
                values.append(found)
                continue
            try:
                values.append(convert(found))
            except Drift as drift:
                raise Drift(f"{name}: column {printable(column)!r} holds {drift}") from None
        taken = self.taken
        rest = {key: value for key, value in record.items() if key not in taken}
        values.append(canonical(rest) if rest else None)
        return tuple(values)


def parse_time(text: str) -> int:
    """Microseconds since 1970, UTC, of an ISO 8601 date and time. Raises Drift."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Drift(f"{printable(text, 60)!r}, which is no ISO 8601 time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        passed = moment - _EPOCH
    except OverflowError:
        raise Drift(f"{printable(text, 60)!r}, which is beyond the calendar") from None
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _converter(name: str, kind: pa.DataType) -> Callable[[Any], Any]:
    if name in _IDENTIFIERS:
        return _identifier
    if pa.types.is_timestamp(kind):
        return _time
    if pa.types.is_floating(kind):
        return _number
    return _text


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise Drift(f"{_kind(value)}, not a string")


def _identifier(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise Drift(f"{_kind(value)}, not a string or an integer")


def _time(value: Any) -> int:
    if type(value) is str:
        return parse_time(value)
    raise Drift(f"{_kind(value)}, not a time as a string")


def _number(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int and -(2**53) <= value <= 2**53:
        return float(value)
    if type(value) is int:
        raise Drift("an integer that a double cannot hold")
    raise Drift(f"{_kind(value)}, not a number")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    kinds = {dict: "an object", list: "an array", str: "a string", int: "an integer", float: "a number"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _at(record: Any, pointer: str) -> Any:
    """The value at a JSON Pointer; objects only, since an index into an array is no stable column."""
    for part in pointer.split("/")[1:]:
        if not isinstance(record, Mapping):
            return _MISSING
        record = record.get(part.replace("~1", "/").replace("~0", "~"), _MISSING)
        if record is _MISSING:
            return _MISSING
    return record
