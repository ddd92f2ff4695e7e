"""Values of a record as the types of a schema of the job's own; nothing is cast that changes what is said.

Of JSON, `string` takes strings, `bool` booleans, whole-number types the integers within their range (`1.0`
is none), `float64` and `float32` numbers: integers up to `2**53` and `2**24`, which the type holds exactly
whatever they are, and others rounded to the nearest. `timestamp` and `date32` take what `time_format` says,
cut off to their unit, to the past; a date is the start of a day. Lists take arrays, structs objects; a key
that is not there is null, and where an object has others, all of the column's value stays in `metadata`, too.
Bytes are in tables alone. Of a cell of text (CSV), whole numbers take decimal digits, `bool` takes `true` and
`false` in either case, and lists and structs take JSON.

What does not fit is told with the place in the value (a JSON Pointer, RFC 6901) where it lies inside of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa

from skyhaul_connectors.formats.records import json_quick
from skyhaul_connectors.formats.records.json_exact import BadJson
from skyhaul_connectors.formats.records.times import Times
from skyhaul_schemas.printable import brief, printable

VERSION: Final = {"skyhaul.own_schema": "1"}
"""For the fingerprint: it rises when equal bytes give other rows of a schema of the job's own."""

Cast = Callable[[Any], Any]
"""A value to what Arrow makes a value of the type of; raises ValueError, worded for `fields.kind_of`."""

DAY: Final = 86_400_000_000
"""Microseconds."""
EXACT: Final = {32: 2**24, 64: 2**53}
"""Bits of a float -> up to where it holds every integer."""
BEYOND_FLOAT32: Final = (2 - 2.0**-24) * 2.0**127
"""The least number that rounds to infinity."""

_WHOLE: Final = re.compile(r"\s*([+-]?[0-9]{1,400})\s*", re.ASCII)
_SWITCH: Final = {"true": True, "false": False}


class Unfit(ValueError):
    """A value inside of another one that does not fit.

    Args:
        problem: What is wrong with it.
        path: Keys and indices that lead to it.
    """

    def __init__(self, problem: str, path: tuple[str | int, ...]) -> None:
        # Behind a semicolon, so that places are no kinds of their own where such values are counted.
        super().__init__(f"{problem}; at {pointer(path)}")
        self.problem = problem
        self.path = path


def pointer(path: tuple[str | int, ...]) -> str:
    """A path as a JSON Pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def json_cast(kind: pa.DataType, times: Times, days: Times) -> Cast:
    """What takes values of JSON.

    Args:
        kind: One of the types of `skyhaul_schemas.arrow_types`.
        times: Reads times.
        days: Reads dates: as `times`, but for an offset, since a date has none.
    """
    if pa.types.is_list(kind):
        return _list(json_cast(kind.value_type, times, days))
    if pa.types.is_struct(kind):
        return _struct({field.name: json_cast(field.type, times, days) for field in kind})
    if pa.types.is_boolean(kind):
        return _boolean
    if pa.types.is_integer(kind):
        return lambda value: in_range(value, kind)
    if pa.types.is_floating(kind):
        return lambda value: _number(value, kind.bit_width)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _time(kind, times, days)
    return _bytes if _is_binary(kind) else _text


def cell_cast(kind: pa.DataType, times: Times, days: Times, number: Cast) -> Cast:
    """What takes cells of text. Arguments as for `json_cast`.

    Args:
        number: Reads a number, with the mark before its fraction and the values that mean null."""
    if pa.types.is_nested(kind):
        return _cell_of_json(json_cast(kind, times, days))
    if pa.types.is_boolean(kind):
        return _switch
    if pa.types.is_integer(kind):
        return lambda cell: None if _is_missing(cell, number) else in_range(_digits(cell), kind)
    if pa.types.is_floating(kind):
        return lambda cell: None if (read := number(cell)) is None else _within(read, kind.bit_width)
    return json_cast(kind, times, days)


def leaves_out(value: Any, kind: pa.DataType) -> bool:
    """Whether a value of JSON holds keys that its type has no place for."""
    if isinstance(value, Mapping) and pa.types.is_struct(kind):
        inner = {field.name: field.type for field in kind}
        return any(key not in inner or leaves_out(held, inner[key]) for key, held in value.items())
    if isinstance(value, list) and pa.types.is_list(kind) and pa.types.is_nested(kind.value_type):
        return any(leaves_out(held, kind.value_type) for held in value)
    return False


def left_over(column: str) -> str:
    """Why a record is drift that has a column which the schema has no place for."""
    return f"column {brief(column)!r} is, or holds, more than the schema takes (rest: reject)"


def in_range(value: Any, kind: pa.DataType) -> int:
    """`value` if it is an integer that `kind` holds; raises ValueError."""
    if type(value) is not int:
        raise ValueError(f"{name_of(value)}, not an integer")
    low, high = limits(kind)
    if not low <= value <= high:
        raise ValueError(f"an integer, which is beyond {kind}")
    return value


def limits(kind: pa.DataType) -> tuple[int, int]:
    """The least and the greatest integer of a type."""
    if pa.types.is_unsigned_integer(kind):
        return 0, 2**kind.bit_width - 1
    return -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1


def in_unit(micros: int, kind: pa.DataType) -> int:
    """Microseconds since 1970 as what a timestamp or a date counts. Raises ValueError."""
    if pa.types.is_timestamp(kind):
        return micros // 1000 if kind.unit == "ms" else micros
    if micros % DAY:
        raise ValueError("a time, not a date")
    return micros // DAY


def name_of(value: Any) -> str:
    """The kind of a value of JSON, for messages."""
    kinds = {
        bool: "a boolean", dict: "an object", list: "an array", str: "a string", bytes: "a string",
        int: "an integer", float: "a number",
    }  # fmt: skip
    return kinds.get(type(value), f"a {type(value).__name__}")


def _list(item: Cast) -> Cast:
    def cast(value: Any) -> list[Any]:
        if type(value) is not list:
            raise ValueError(f"{name_of(value)}, not an array")
        found = []
        for place, inner in enumerate(value):
            try:
                found.append(None if inner is None else item(inner))
            except ValueError as bad:
                raise _further(bad, place) from None
        return found

    return cast


def _struct(casts: Mapping[str, Cast]) -> Cast:
    def cast(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise ValueError(f"{name_of(value)}, not an object")
        found = {}
        for name, inner in casts.items():
            held = value.get(name)
            try:
                found[name] = None if held is None else inner(held)
            except ValueError as bad:
                raise _further(bad, name) from None
        return found

    return cast


def _further(bad: ValueError, place: str | int) -> Unfit:
    if isinstance(bad, Unfit):
        return Unfit(bad.problem, (place, *bad.path))
    return Unfit(str(bad), (place,))


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise ValueError(f"{name_of(value)}, not a boolean")


def _number(value: Any, bits: int) -> float:
    if type(value) is float:
        return _within(value, bits)
    if type(value) is not int:
        raise ValueError(f"{name_of(value)}, not a number")
    if not -EXACT[bits] <= value <= EXACT[bits]:
        raise ValueError(f"an integer that a float of {bits} bits cannot hold")
    return float(value)


def _within(value: float, bits: int) -> float:
    if bits == 32 and not -BEYOND_FLOAT32 < value < BEYOND_FLOAT32:
        raise ValueError("a number, which is beyond a float of 32 bits")
    return value


def _text(value: Any) -> str | bytes:
    if type(value) is str or type(value) is bytes:  # bytes: UTF-8 that was checked where it was read
        return value
    raise ValueError(f"{name_of(value)}, not a string")


def _bytes(value: Any) -> bytes:
    raise ValueError(f"{name_of(value)}, not bytes")


def _time(kind: pa.DataType, times: Times, days: Times) -> Cast:
    reader = days if pa.types.is_date(kind) else times
    wanted = "date" if pa.types.is_date(kind) else "time"

    def cast(value: Any) -> int:
        if type(value) is str:
            return in_unit(reader.parse(value), kind)
        if type(value) is int or type(value) is float:
            return in_unit(reader.number(value), kind)
        raise ValueError(f"{name_of(value)}, not a {wanted} as a string")

    return cast


def _cell_of_json(inner: Cast) -> Cast:
    def cast(cell: Any) -> Any:
        found = json_of(cell)
        return None if found is None else inner(found)

    return cast


def json_of(cell: Any) -> Any:
    """The JSON that a cell of text holds; None of no cell. Raises ValueError."""
    if cell is None:
        return None
    try:
        return json_quick.loads(str(cell).encode("utf-8"))
    except (BadJson, UnicodeEncodeError) as bad:
        raise ValueError(f"{printable(repr(cell), 60)}, which is no JSON; {bad}") from None


def _switch(cell: Any) -> bool:
    found = _SWITCH.get(str(cell).strip().lower())
    if found is None:
        raise ValueError(f"{printable(repr(cell), 60)}, which is neither true nor false")
    return found


def _digits(cell: Any) -> int:
    found = _WHOLE.fullmatch(cell) if type(cell) is str else None
    if found is None:
        raise ValueError(f"{printable(repr(cell), 60)}, which is no whole number")
    return int(found[1])


def _is_missing(cell: Any, number: Cast) -> bool:
    """Whether a cell is a number that means null."""
    try:
        return number(cell) is None
    except ValueError:
        return False


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
