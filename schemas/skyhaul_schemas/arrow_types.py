"""Arrow's types by their names, as a job file writes them: `float32`, `list<struct<role: string>>`.

Taken are the types that every engine reads alike: whole numbers, floats, booleans, text, bytes, days, and
times in milliseconds or microseconds, and lists and structs of them. Spark knows no nanoseconds, Parquet no
seconds, and JSON, from which most values come, no decimals.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import pyarrow as pa

_PLAIN: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
    "float32": pa.float32(), "float64": pa.float64(),
    "string": pa.string(), "large_string": pa.large_string(),
    "binary": pa.binary(), "large_binary": pa.large_binary(),
    "date32": pa.date32(),
}  # fmt: skip

_OTHER_NAMES = {"float": "float32", "double": "float64", "utf8": "string", "large_utf8": "large_string"}
"""As Arrow itself prints or takes them."""

NAMES = (
    f"{', '.join(_PLAIN)}, timestamp[us, UTC], timestamp[ms, UTC] (or without the zone), list<…>,"
    " struct<name: …, …>"
)
"""All that there are, for messages."""

_DEEPEST = 8
"""Levels of lists and structs: each is a recursion for every value. Chosen, not measured."""
_MOST_LEAVES = 1000
"""Chosen, not measured: a file's footer holds each of them once for each row group."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FIELD = re.compile(r"([^\s:<>,\[\]\x00-\x1f\x7f]{1,128})\s*:\s*")
_UNIT = re.compile(r"\[\s*(s|ms|us|ns)\s*(?:,\s*(?:tz\s*=\s*)?([^\]\s]+)\s*)?\]")
_DAY = re.compile(r"\[\s*day\s*\]")


class BadType(ValueError):
    """A text that names no type; the message says what is allowed in its place."""


def parse_type(text: str) -> pa.DataType:
    """The type that `text` names. Raises BadType."""
    reader = _Reader(text)
    kind = reader.type(0)
    reader.end()
    if sum(1 for _ in _leaves(kind)) > _MOST_LEAVES:
        raise BadType(f"a type of at most {_MOST_LEAVES} values")
    return kind


def type_name(kind: pa.DataType) -> str:
    """The one name of a type, which `parse_type` reads back."""
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{field.name}: {type_name(field.type)}' for field in kind)}>"
    if pa.types.is_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}{'' if kind.tz is None else f', {kind.tz}'}]"
    if pa.types.is_floating(kind):
        return f"float{kind.bit_width}"
    return "date32" if pa.types.is_date32(kind) else str(kind)


def _leaves(kind: pa.DataType) -> Iterator[pa.DataType]:
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(field.type)
    elif pa.types.is_list(kind):
        yield from _leaves(kind.value_type)
    else:
        yield kind


class _Reader:
    """Reads one type after the other from a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def type(self, depth: int) -> pa.DataType:
        if depth > _DEEPEST:
            raise BadType(f"at most {_DEEPEST} lists and structs in each other")
        found = _WORD.match(self._text, self._skipped())
        if found is None:
            raise BadType(f"a type: {NAMES}")
        self._at = found.end()
        word = _OTHER_NAMES.get(found[0], found[0])
        if word == "list":
            return pa.list_(self._item(depth))
        if word == "struct":
            return self._struct(depth)
        if word == "timestamp":
            return self._timestamp()
        if word not in _PLAIN:
            near = difflib.get_close_matches(word, [*_PLAIN, "list", "struct", "timestamp"], n=2, cutoff=0.6)
            raise BadType(" or ".join(near) or NAMES)
        if word == "date32" and (day := _DAY.match(self._text, self._at)):
            self._at = day.end()
        return _PLAIN[word]

    def end(self) -> None:
        if self._skipped() < len(self._text):
            raise BadType("nothing behind the type")

    def _item(self, depth: int) -> pa.DataType:
        self._take("<", "list<type>")
        # Arrow prints a list with the name of its item: `list<item: string>`.
        if named := re.compile(r"(item|element)\s*:\s*").match(self._text, self._skipped()):
            self._at = named.end()
        inner = self.type(depth + 1)
        self._take(">", "list<type>")
        return inner

    def _struct(self, depth: int) -> pa.DataType:
        form = "struct<name: type, name: type>"
        self._take("<", form)
        fields: dict[str, pa.DataType] = {}
        while True:
            named = _FIELD.match(self._text, self._skipped())
            if named is None:
                raise BadType(form)
            self._at = named.end()
            # Engines that speak SQL tell no `Role` from `role`.
            if named[1].casefold() in {name.casefold() for name in fields}:
                raise BadType(f"each name of a struct once, in either case ({named[1]} is there twice)")
            fields[named[1]] = self.type(depth + 1)
            if self._text[self._skipped() : self._at + 1] != ",":
                break
            self._at += 1
        self._take(">", form)
        return pa.struct(list(fields.items()))

    def _timestamp(self) -> pa.DataType:
        found = _UNIT.match(self._text, self._at)
        if found is None or found[1] not in ("ms", "us") or found[2] not in (None, "UTC"):
            raise BadType("timestamp[us, UTC], timestamp[ms, UTC], timestamp[us] or timestamp[ms]")
        self._at = found.end()
        return pa.timestamp(found[1], tz=found[2])

    def _take(self, mark: str, form: str) -> None:
        if self._text[self._skipped() : self._at + 1] != mark:
            raise BadType(form)
        self._at += 1

    def _skipped(self) -> int:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at
