"""Whole-object checksums as plans pin them: `sha256:<hex>` and `crc32c:<hex>` (RFC 3720, big-endian hex)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import google_crc32c

from skyhaul_schemas.errors import UsageError

PIECE = 1024 * 1024


def matches(checksum: str, pieces: Iterable[bytes]) -> bool:
    """Whether the pieces in order have the checksum. Raises UsageError on an unknown kind."""
    kind, _, expected = checksum.partition(":")
    if kind == "sha256":
        sha256 = hashlib.sha256()
        for piece in pieces:
            sha256.update(piece)
        return sha256.hexdigest() == expected.lower()
    if kind == "crc32c":
        crc = 0
        for piece in pieces:
            crc = google_crc32c.extend(crc, piece)
        return f"{crc:08x}" == expected.lower()
    raise UsageError(f"checksum {checksum!r} is of no known kind; sha256 and crc32c are")
