r"""One JSON text, read exactly: the slow, obvious reference that every faster path must equal.

Policy (RFC 8259, with its open points decided):
- UTF-8, valid; a byte order mark at the start is passed over. No byte 0 and no raw control character.
- NaN, Infinity, comments, trailing commas, single quotes, two values, nothing at all: refused.
- A key that is there twice in one object, at any depth: refused (which one counts is anyone's guess).
- A lone surrogate escape (`\ud800`): refused, since it is no Unicode text.
- Integers are exact, of any size up to `MAX_DIGITS`; other numbers are IEEE 754 doubles, rounded to
  nearest; one beyond their range (1e400) is refused.
- Nesting beyond `max_depth` is refused before anything is parsed.

`canonical` writes a value back: keys sorted by code point, no spaces, UTF-8, only the needed escapes,
integers in full, doubles as the shortest digits that read back equal.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

import orjson

MAX_DIGITS = 4000
"""Digits of one number, whatever limit on int() and str() the process has (PYTHONINTMAXSTRDIGITS)."""

_PLAIN_DIGITS = 600
"""Digits that no such limit may forbid: 640 is the least one."""

_PLAIN_LIMIT = 10**_PLAIN_DIGITS
"""The least integer of more digits: compared instead of counting digits, which is what the limit forbids."""

BOM = b"\xef\xbb\xbf"

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
"""The closing quote may be missing: what is no JSON has a depth all the same, so that it is refused as
such."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_OPENING = b"[{"
_BRACKETS = re.compile(rb"[\[{\]}]")


class BadJson(ValueError):
    """Not one JSON text under the policy; the message says why, on one printable line."""


def loads(raw: bytes, max_depth: int = 128) -> Any:
    """The value of `raw`. Raises BadJson."""
    if raw.startswith(BOM):
        raw = raw[len(BOM) :]
    if b"\0" in raw:
        raise BadJson("a NUL byte")
    # Before parsing: the scanner recurses for each level.
    check_depth(raw, max_depth)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"invalid UTF-8 at byte {error.start}") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadJson(f"malformed JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadJson("nested too deep") from None
    # A surrogate can only come of an escape: UTF-8 that was decoded strictly holds none.
    if "\\" in text:
        _refuse_surrogates(value)
    return value


def canonical(value: Any) -> str:
    """The canonical text of a value that `loads` gave."""
    if isinstance(value, dict):
        # Python sorts text by code points; so does orjson, by their UTF-8, which has the same order.
        members = (f"{canonical(key)}:{canonical(value[key])}" for key in sorted(value))
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        return integer_text(value)
    return orjson.dumps(value).decode("utf-8")


def check_depth(raw: bytes, max_depth: int) -> None:
    """Refuse more than `max_depth` open brackets at once, strings left out. Raises BadJson."""
    # Brackets in strings count here, too: then the slow look decides.
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", raw)):
        depth += 1 if bracket[0] in _OPENING else -1
        if depth > max_depth:
            raise BadJson(f"nested deeper than {max_depth}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    # The one place where repeated keys can be seen: a dict has lost them.
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadJson(f"key {_shown(twice)} is there twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise BadJson(f"a number of {len(digits)} characters")
    # A decimal is made from text, and becomes an int, without Python's limit on either.
    return int(digits) if len(digits) <= _PLAIN_DIGITS else int(Decimal(digits))


def integer_text(value: int) -> str:
    """All decimal digits of an integer that `loads` gave."""
    return str(value) if -_PLAIN_LIMIT < value < _PLAIN_LIMIT else str(Decimal(value))


def _double(digits: str) -> float:
    if len(digits) > MAX_DIGITS:
        raise BadJson(f"a number of {len(digits)} characters")
    value = float(digits)
    # Python reads 1e400 as infinity, which no JSON can write again.
    if value in (float("inf"), float("-inf")):
        raise BadJson("a number beyond the range of a double")
    return value


def _constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


def _refuse_surrogates(value: Any) -> None:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise BadJson("a lone surrogate")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_surrogates(key)
            _refuse_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_surrogates(inner)


def _shown(key: str) -> str:
    return ascii(key if len(key) <= 60 else key[:59] + "…")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_double, parse_constant=_constant
)
