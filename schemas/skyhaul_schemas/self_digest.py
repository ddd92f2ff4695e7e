"""A digest of a JSON object in that object: it proves that the rest of it is as it was written.

The digest is the sha256, in hex, over the object's canonical JSON (sorted keys, no spaces, UTF-8) without the
field `digest`. It tells rot from a record; it is no signature, for whoever writes can make another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from skyhaul_schemas.canonical_json import canonical_json

FIELD = "digest"


def digest_of(content: Mapping[str, Any]) -> str:
    """The digest that `content`, values of JSON, should hold. Raises ValueError for what is no JSON."""
    return hashlib.sha256(canonical_json({k: v for k, v in content.items() if k != FIELD})).hexdigest()


def check_digest(content: Mapping[str, Any]) -> bool:
    """Whether `content` holds a digest. Raises ValueError where that is not the one it should hold."""
    # No digest is no fault: records of before there were any are read and counted (docs/versions.md).
    stated = content.get(FIELD)
    if stated is None:
        return False
    if digest_of(content) != stated:
        raise ValueError("its digest is not that of what it says: bytes of it have changed")
    return True


def digested_line(content: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """`content` with its digest as JSON, and a line end."""
    whole = {**content, FIELD: digest_of(content)}
    # How it is laid out is free: the digest is over the canonical form, not over these bytes.
    spaces = (",", ":") if indent is None else None
    text = json.dumps(whole, ensure_ascii=False, separators=spaces, indent=indent, allow_nan=False)
    return text.encode("utf-8", "surrogatepass") + b"\n"
