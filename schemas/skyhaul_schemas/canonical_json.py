"""JSON of which equal values have equal bytes: what digests are made over."""

from __future__ import annotations

import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """One byte string for equal values: sorted keys, no spaces, UTF-8. Raises ValueError on NaN."""
    # Not RFC 8785: keys sort by code points, and numbers are as Python writes them (1 and 1.0 differ). The
    # digests of all plans and records rest on it, so none of these settings can be changed.
    # surrogatepass: what json.loads reads may hold half of a pair (`"\ud800"`), which UTF-8 has no bytes for.
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")
