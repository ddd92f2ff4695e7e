"""Numbers of JSON and of tables of text, as doubles; errors are worded for `fields.kind_of`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from skyhaul_connectors.formats.records.casts import name_of
from skyhaul_connectors.formats.records.missing import Missing
from skyhaul_schemas.printable import printable

_DECIMAL: Final = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)\s*", re.ASCII)


def json_number(value: Any) -> float:
    """A value of JSON as a double. Raises ValueError."""
    if type(value) is float:
        return value
    # `type(...) is`, not isinstance: True is an int. Beyond 2**53 a double holds some integers and not
    # others; none is taken, so that it does not depend on the number.
    if type(value) is int and -(2**53) <= value <= 2**53:
        return float(value)
    if type(value) is int:
        raise ValueError("an integer that a double cannot hold")
    raise ValueError(f"{name_of(value)}, not a number")


def cell_number(value: Any) -> float:
    """A cell of text as a double. Raises ValueError."""
    return _as_decimal(value, value)


def comma_number(value: Any) -> float:
    """As `cell_number`, with a comma before the fraction."""
    # A point in a number with a decimal comma could only part thousands, and is refused with the rest.
    pointed = value.replace(",", ".") if type(value) is str and "." not in value else None
    return _as_decimal(value, pointed)


def unless(missing: Missing, read: Callable[[Any], float]) -> Callable[[Any], float | None]:
    """`read`, but None for what is missing."""

    def number(value: Any) -> float | None:
        try:
            found = read(value)
        except ValueError:
            if type(value) is str and missing.is_nan(value):
                return None
            raise
        return None if missing.is_number(found) else found

    return number


def _as_decimal(value: Any, pointed: Any) -> float:
    """The number that `pointed` is: the cell `value` with a point before its fraction."""
    match = _DECIMAL.fullmatch(pointed) if type(pointed) is str else None
    if match is None:
        raise ValueError(f"{printable(repr(value), 60)}, which is no decimal number")
    number = float(match[1])
    if not math.isfinite(number):
        raise ValueError(f"{printable(repr(value), 60)}, which is beyond the range of a double")
    return number
