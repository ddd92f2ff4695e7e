"""Digests as web archives state them: `sha1:<Base32 or hex>` and its kin (WARC 1.1, section 5.8)."""

from __future__ import annotations

import base64
import hashlib

_ALGORITHMS = {"sha1", "sha256", "sha512", "md5"}


def matches(stated: str | None, block: bytes) -> bool:
    """Whether `block` has the digest; also where none is stated, or one in a way that is not known."""
    algorithm, colon, value = (stated or "").partition(":")
    algorithm = algorithm.lower().replace("-", "")
    if not colon or algorithm not in _ALGORITHMS:
        return True
    digest = hashlib.new(algorithm, block, usedforsecurity=False).digest()
    written = {
        digest.hex(),
        base64.b32encode(digest).decode().rstrip("="),
        base64.b64encode(digest).decode().rstrip("="),
        base64.urlsafe_b64encode(digest).decode().rstrip("="),
    }
    value = value.strip().rstrip("=")
    if len(value) not in {len(one) for one in written}:
        return True
    return value in written or value.lower() in written or value.upper() in written
