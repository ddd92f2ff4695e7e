"""Where a source's URLs meet: the longest folder without globs, and the globs below it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from skyhaul_connectors.sources.catalogue.globs import below, common_root, keys_root, split_root
from skyhaul_connectors.sources.catalogue.object_names import refuse_folded
from skyhaul_schemas.errors import UsageError

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://|:)")
"""How a URL begins, or one of fsspec's chained ones; a path does not."""


@dataclass(frozen=True, slots=True)
class Rooted:
    """Globs relative to a root.

    Attributes:
        root: The longest common folder without globs, without the scheme.
        patterns: The URLs below it.
    """

    root: str
    patterns: list[str]


def rooted(name: str, scheme: str, urls: Sequence[str]) -> Rooted:
    """The URLs or paths of source `name`, all of one scheme, as folders split them. Raises UsageError."""
    texts = _without_scheme(name, urls)
    refuse_folded(name, scheme, texts)
    split = [split_root(text) for text in texts]
    if len({folder.startswith("/") for folder, _ in split}) > 1:
        raise UsageError(f"source {name}: some paths are absolute and some relative; write them all alike")
    root = common_root([folder for folder, _ in split])
    if scheme != "file" and not root:
        raise _several(name)
    return Rooted(root, [below(root, folder) + rest for folder, rest in split])


def keyed(name: str, urls: Sequence[str]) -> Rooted:
    """As `rooted`, of keys of one bucket, in which nothing is folded (`a//b` is not `a/b`)."""
    bucket, patterns = keys_root(_without_scheme(name, urls))
    if not bucket or bucket.startswith("/"):
        raise _several(name)
    return Rooted(bucket, patterns)


def _without_scheme(name: str, urls: Sequence[str]) -> list[str]:
    texts = [url.partition("://")[2] if SCHEME.match(url) else url for url in urls]
    if any("\0" in text or not text for text in texts):
        raise UsageError(f"source {name}: a URL that names nothing")
    return texts


def _several(name: str) -> UsageError:
    return UsageError(f"source {name}: URLs of several buckets or hosts; make them several sources")
