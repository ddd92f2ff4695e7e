"""How an object of an fsspec filesystem is pinned: by what its `info` states.

Filesystems differ in the keys and types, so each kind is looked for by the names that the well-kept ones use.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

_VERSION_IDS = ("VersionId", "version_id", "generation")
_ETAGS = ("ETag", "etag", "e_tag")
# `created` last: it stands in where a filesystem states no time of the last change.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "modify", "created")


def size_in(info: Mapping[str, Any]) -> int | None:
    """Bytes, or None where the filesystem does not say."""
    size = info.get("size")
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


def version_in(info: Mapping[str, Any], *, by_id: bool = False) -> str:
    """`etag:`, `vid:` or `mtime:` as `PinnedObject` has it, or the empty string.

    An ETag comes first, because listings state it too, and stores check it on each read; with `by_id` a
    version id does."""
    found = list(_versions(info))
    named = [version for version in found if by_id and version.startswith("vid:")]
    return next(iter(named + found), "")


def still_holds(version: str, info: Mapping[str, Any]) -> bool:
    """Whether `info` states the pinned `version`, perhaps beside others.

    A store may say more of one object than it did in a listing. A digest says what the bytes are, which no
    `info` can tell; it is held against them when they are here."""
    return not version or version.startswith("sha256:") or version in _versions(info)


def _versions(info: Mapping[str, Any]) -> Iterator[str]:
    for key in _ETAGS:
        value = info.get(key)
        # A weak one says that two versions mean the same, not that their bytes are (RFC 9110, section 8.8.1).
        if isinstance(value, str) and value and not value.startswith("W/"):
            yield f'etag:"{value.strip(chr(34))}"'
    for key in _VERSION_IDS:
        value = info.get(key)
        # S3 says "null" of objects from before versioning: all versions of that kind share it.
        if isinstance(value, str | int) and str(value) not in ("", "null"):
            yield f"vid:{value}"
    for key in _TIMES:
        nanoseconds = _nanoseconds(info.get(key))
        if nanoseconds is not None:
            yield f"mtime:{nanoseconds}"


def _nanoseconds(value: Any) -> int | None:
    """Since 1970; a time without a zone is taken as UTC."""
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
        since = aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    if isinstance(value, str) and value:
        try:
            return _nanoseconds(dt.datetime.fromisoformat(value))
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A float of seconds is good for about a quarter of a microsecond; listings and infos of one
        # filesystem may give the same time as a float and as a date.
        return round(value * 10**6) * 1000
    return None
