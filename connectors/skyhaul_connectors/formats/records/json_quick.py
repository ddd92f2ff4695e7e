"""One JSON text, read with orjson where that is proven to give what `json_exact` gives.

orjson takes the last of repeated keys, reads integers beyond 64 bits as doubles, and allows 1,024
levels. What guards each:

- *Keys*. Every key of a JSON text ends in `":` unless white space stands between the two. If no white
  space stands before any colon, the text holds at most `count('":')` keys; if as many distinct keys were
  read, none was repeated. Where the counts differ (a colon after a quote inside a string), the exact
  reader decides.
- *Integers*. One that orjson could not hold came back as a double of at least 2**63; where there is such a
  double, the exact reader decides.
- *Depth*. Counted first, by the same function.

Whatever orjson refuses goes to the exact reader, which refuses it too and says why. The equality is held
by differential tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from skyhaul_connectors.formats.records import json_exact
from skyhaul_connectors.formats.records.json_exact import BadJson

__all__ = ["BadJson", "canonical", "loads"]

_SPACED_COLON = (b" :", b"\t:", b"\r:", b"\n:")
_INT_LIMIT = 2.0**63
"""From here on a double may be an integer that was rounded. orjson has integers up to 2**64 - 1 and from
-(2**63) on; beyond them it gives doubles."""

_DOUBTFUL = -(2**62)
"""A count of keys that stays negative whatever is added to it, so that one number carries both answers."""


def loads(raw: bytes, max_depth: int = 128) -> Any:
    """The value of `raw`, equal to `json_exact.loads`. Raises BadJson."""
    # As in `check_depth`, whose slow look is left to the exact reader.
    if raw.count(b"{") + raw.count(b"[") > max_depth or any(s in raw for s in _SPACED_COLON):
        return json_exact.loads(raw, max_depth)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return json_exact.loads(raw, max_depth)
    if raw.count(b'":') != _keys(value):
        return json_exact.loads(raw, max_depth)
    return value


def canonical(value: Any) -> str:
    """The canonical text of `value`, equal to that of `json_exact.canonical`."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode("utf-8")
    # An integer of more than 64 bits, or more than 254 levels.
    except TypeError:
        return json_exact.canonical(value)


def _keys(value: Any) -> int:
    """How many keys `value` holds at all depths; negative where a double may stand for an integer."""
    count = 0
    if type(value) is dict:
        count = len(value)
        inner: Iterable[Any] = value.values()
    elif type(value) is list:
        inner = value
    else:
        inner = (value,)
    for item in inner:
        kind = type(item)
        if kind is dict or kind is list:
            count += _keys(item)
        elif kind is float and not -_INT_LIMIT < item < _INT_LIMIT:
            return _DOUBTFUL
    return count
