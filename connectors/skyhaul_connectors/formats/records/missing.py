"""Values that stand for a missing one.

Each of `missing` (`[-9999, NA]`) stands for texts that are just that text. One that is a number stands also
for every value that is that number, however it is written: `-9999` for -9999.0 and -9.999e3, for an integer,
a double, a decimal; a column of less precise numbers (float32) is compared in its own precision; `nan` stands
for what is no number. In a table of text (CSV) cells are compared as numbers in columns of numbers; in other
formats values of a record's own columns and of those that a field takes are looked at, and no nested ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from skyhaul_connectors.formats.options import FormatOptions

Sentinel = str | int | float

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}", re.ASCII)
"""300 digits: a double can hold it, and int() reads it whatever limit on digits the process has (640 at
least)."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)


class MissingOptions(FormatOptions):
    """Values that mean null.

    missing: values of a record's columns that mean null. A number in this list stands for all ways to
    write it (`-9999` also for -9999.0), and for its text; a text for itself."""

    missing: tuple[Sentinel, ...] = Field(default=())

    @field_validator("missing", mode="before")
    @classmethod
    def _as_given(cls, value: Any) -> Any:
        # Pydantic would take true for the number 1.
        if isinstance(value, list | tuple) and any(isinstance(one, bool) for one in value):
            raise ValueError("write numbers and texts")
        return value


class Missing:
    """The sentinels of one source."""

    def __init__(self, sentinels: Iterable[Sentinel]) -> None:
        self.texts = frozenset(map(str, sentinels))
        """The sentinels as they are written."""
        found = {_number(text) for text in self.texts} - {None}
        self._nan = any(text.strip().lower() == "nan" for text in self.texts)
        self._numbers = frozenset(one for one in found if one is not None)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def is_number(self, value: float) -> bool:
        """Whether a number is one of the sentinels."""
        return value in self._numbers or (self._nan and value != value)

    def is_nan(self, cell: str) -> bool:
        """Whether a cell of text is the sentinel that is no number."""
        return self._nan and cell.strip().lower() == "nan"

    @property
    def has_numbers(self) -> bool:
        return bool(self._numbers) or self._nan

    def record(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """`record` (of JSON) with null in the sentinels' places."""
        return {key: None if self.stands(value) else value for key, value in record.items()}

    def stands(self, value: Any) -> bool:
        """Whether a value of JSON is a sentinel."""
        if type(value) is str:
            return value in self.texts
        return type(value) in (int, float) and self.is_number(value)

    def column(self, values: pa.Array) -> pa.Array:
        """`values` with null in the sentinels' places."""
        kind = values.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            if not self.texts:
                return values
            hit = pc.is_in(values, pa.array(sorted(self.texts), kind))
        elif pa.types.is_floating(kind):
            hit = self._floats(values)
        elif pa.types.is_integer(kind):
            known = pa.array(sorted(_integers(self._numbers, kind)), kind)
            hit = pc.is_in(values, known)
        elif pa.types.is_decimal(kind):
            # The decimal that a double is shortest written as: -999.9 in a job is a double, and
            # Decimal(-999.9) would equal no value of the column.
            numbers = {Decimal(repr(one)) for one in self._numbers if math.isfinite(one)}
            hit = pa.array(
                [value is not None and value in numbers for value in values.to_pylist()], pa.bool_()
            )
        else:
            return values
        if not pc.any(hit).as_py():
            return values
        return pc.if_else(hit.fill_null(False), pa.scalar(None, kind), values)

    def _floats(self, values: pa.Array) -> pa.Array:
        raw = values.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        # -999.9 in a column of 32 bits is another double than the sentinel: the sentinel is rounded as the
        # column's values were. Beyond the type's range it becomes infinite, which is no error here.
        own = values.type.to_pandas_dtype()
        hit = np.zeros(len(raw), np.bool_)
        with np.errstate(over="ignore"):
            for one in self._numbers:
                hit |= raw == float(own(one))
        if self._nan:
            hit |= np.isnan(raw)
        return pc.and_(pa.array(hit), values.is_valid())


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return None
    return float(text)


def _integers(numbers: Iterable[int | float], kind: pa.DataType) -> set[int]:
    """Those of `numbers` that a column of the type may hold."""
    bits = kind.bit_width
    low, high = (
        (0, 2**bits - 1) if pa.types.is_unsigned_integer(kind) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    whole = (int(one) for one in numbers if math.isfinite(one) and one == int(one))
    return {one for one in whole if low <= one <= high}
