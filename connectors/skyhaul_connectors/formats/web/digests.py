"""Digests as web archives state them: `sha1:<Base32 or hex>` and its kin (WARC 1.1, section 5.8)."""

from __future__ import annotations

import base64
import hashlib
import re

_ALGORITHMS = {
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "md5": hashlib.md5,
}
_BASE32 = re.compile("[A-Z2-7]+")
_DIGITS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHIJKLMNOPQRSTUV")
"""From the digits of Base32 (RFC 4648, section 6) to those that `int(…, 32)` reads."""


def matches(stated: str | None, block: bytes) -> bool:
    """Whether `block` has the stated digest.

    True, too, where nothing is stated, or in an unknown form: a reject says that bytes are wrong, and that
    nobody knows then.
    """
    algorithm, colon, value = (stated or "").partition(":")
    # WARC takes any token for the algorithm's name: `SHA-256` may stand for `sha256`.
    algorithm = algorithm.lower().replace("-", "")
    if not colon or algorithm not in _ALGORITHMS:
        return True
    value = value.strip().rstrip("=")
    # Said so, because a Python that is held to FIPS 140 refuses md5 otherwise.
    digest = _ALGORITHMS[algorithm](usedforsecurity=False)
    # Which encoding it is in follows from its length.
    bits = 8 * digest.digest_size
    if len(value) not in (bits // 4, -(-bits // 5), -(-bits // 6)):
        return True
    digest.update(block)
    if len(value) == bits // 4:
        return value.lower() == digest.hexdigest()
    if len(value) == -(-bits // 5):
        return _is_base32(value.upper(), digest.digest())
    return value in (_base64(digest.digest()), _base64_of_urls(digest.digest()))


def _is_base32(value: str, digest: bytes) -> bool:
    """Whether the Base32 digits of `value` are those of `digest`.

    Compared as numbers, because the library's encoder takes as long as the digest of a page does.
    """
    if _BASE32.fullmatch(value) is None:
        return False
    # Where bits are no multiple of five (sha256), zero bits fill the last digit up.
    spare = 5 * len(value) - 8 * len(digest)
    return int(value.translate(_DIGITS), 32) == int.from_bytes(digest, "big") << spare


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode().rstrip("=")


def _base64_of_urls(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
