"""Which names an object may have. Names come from outside: from folders, index pages and lists."""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
from collections.abc import Iterable

from skyhaul_schemas.errors import UsageError

PATH_CAP = 4096
"""Bytes of UTF-8 in an object's path: PATH_MAX of Linux; keys of S3 have 1,024."""

FOLDING = frozenset(("gs", "gcs", "az", "abfs", "abfss", "hf", "memory"))
"""Filesystems over stores of keys that fold `a//b` into `a/b`, which is another object."""


def fault_in_path(path: str) -> str | None:
    """Why `path` cannot name an object below a root, or None. Parts are split by `/`."""
    if not path:
        return "is empty"
    if path.startswith("/"):
        return "is absolute"
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    if length > PATH_CAP:
        return f"is longer than {PATH_CAP} bytes"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "has an empty, '.' or '..' part"
    if any(unicodedata.category(c) == "Cc" for c in path):
        return "has control characters"
    return None


def fault_in_key(path: str) -> str | None:
    """Why `path` cannot be a key of an object store below a prefix, or None.

    A key is opaque: its slashes part nothing, and `..` leads nowhere."""
    if not path:
        return "is empty"
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    return f"is longer than {PATH_CAP} bytes" if length > PATH_CAP else None


def refuse_folded(source: str, scheme: str, paths: Iterable[str]) -> None:
    """Raises UsageError for a path below `scheme` that its filesystem would fold into another one."""
    if scheme not in FOLDING:
        return
    for path in paths:
        parts = path.removesuffix("/").split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            raise UsageError(
                f"source {source}: a URL with an empty, '.' or '..' part: the filesystem of {scheme}:// folds"
                " `a//b` into `a/b`, which is another object; leave it out"
            )


class NameGuard:
    """Finds paths that are equal, in bounded memory.

    Names that differ in case or in Unicode form are names of different objects: no file is named after them.
    Digests of the paths lie in a temporary SQLite database, which spills to disk by itself.
    """

    def __init__(self) -> None:
        self._seen = sqlite3.connect("", check_same_thread=False)
        self._seen.execute("CREATE TABLE seen (path BLOB PRIMARY KEY) WITHOUT ROWID")

    def is_new(self, path: str) -> bool:
        """Notes `path`; False where it was noted before."""
        # Digests and not paths, so that a name takes 16 bytes; 128 bits do not collide by chance.
        digest = hashlib.blake2b(path.encode(), digest_size=16).digest()
        cursor = self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,))
        return cursor.rowcount == 1

    def close(self) -> None:
        self._seen.close()
