"""Whole-object checksums as plans pin them: `sha256:<hex>` and `crc32c:<hex>` (RFC 3720, big-endian hex)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import google_crc32c

from skyhaul_schemas.errors import ChecksumMismatch, UsageError
from skyhaul_schemas.plan import PinnedObject

PIECE = 1024 * 1024
"""Bytes that a file is read in to be digested. Chosen, not measured."""

REFETCHES = 3
"""How often what has a wrong checksum is fetched again: an object, or one block of it. A damaged way is past
after one; what is wrong four times is wrong at the source. Chosen, not measured."""


def has_sha256(digest: bytes, pieces: Iterable[bytes]) -> bool:
    """Whether the pieces in order have the SHA-256 digest."""
    sha256 = hashlib.sha256()
    for piece in pieces:
        sha256.update(piece)
    return sha256.digest() == digest


def block_mismatch(obj: PinnedObject, block: int, tries: int) -> ChecksumMismatch:
    """The error for a block that never had its digest, in `tries` tries."""
    assert obj.blocks is not None
    start, stop = obj.blocks.bounds(block, obj.size)
    return ChecksumMismatch(
        f"{obj.source}: block {block} of {obj.path!r} (bytes {start} to {stop}) arrived {tries} times and"
        " never had the sha256 that the source's list states; the list or the object is wrong"
    )


def has_checksum(checksum: str, pieces: Iterable[bytes]) -> bool:
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
