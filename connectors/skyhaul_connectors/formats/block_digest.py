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
    value = value.strip().rstrip("=")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    # Which encoding it is in follows from its length.
    bits = 8 * digest.digest_size
    ways = {bits // 4: (_hex,), -(-bits // 5): (_base32,), -(-bits // 6): (_base64, _base64_of_urls)}
    if len(value) not in ways:
        return True
    digest.update(block)
    written = {way(digest.digest()) for way in ways[len(value)]}
    return value in written or value.lower() in written or value.upper() in written


def _hex(digest: bytes) -> str:
    return digest.hex()


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode().rstrip("=")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode().rstrip("=")


def _base64_of_urls(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
