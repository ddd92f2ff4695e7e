"""Whole-object checksums of objects that are read in place, where no spool checks them."""

from __future__ import annotations

import hashlib

from skyhaul_schemas.errors import ChecksumMismatch
from skyhaul_schemas.plan import PinnedObject


def check_whole(obj: PinnedObject, path: str) -> None:
    """Raise ChecksumMismatch unless the file has the sha256 that the source's list states, if any."""
    kind, _, stated = (obj.checksum or "").partition(":")
    if kind != "sha256":
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != stated:
        raise ChecksumMismatch(
            f"{obj.source}/{obj.path}: sha256 is {found[:16]}…, the source's list states {stated[:16]}…;"
            " mend the list or the file, then replay the shard"
        )
