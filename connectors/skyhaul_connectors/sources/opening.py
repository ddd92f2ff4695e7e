"""From a job's source spec to a Source: by the URL's scheme, from a list of schemes that are allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from skyhaul_connectors.sources.checksums import LINE_CAP, Checksums
from skyhaul_connectors.sources.globs import below, common_root, split_root
from skyhaul_connectors.sources.local import LocalFiles
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job import ListedUrls, SourceSpec
from skyhaul_schemas.printable import printable

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def _scheme_of(url: str) -> str:
    """The scheme in lower case; `file` for a path."""
    match = _SCHEME.match(url)
    return match[1].lower() if match else "file"


def open_source(name: str, spec: SourceSpec, *, timeouts: Timeouts | None = None) -> Source:
    """The source `name` as the job describes it. Nothing is contacted yet. Raises UsageError."""
    timeouts = timeouts or Timeouts()
    assert not isinstance(spec.url, ListedUrls)
    root, patterns = _rooted([u.removeprefix("file://") for u in spec.url])
    checksums = Checksums(spec.checksums, _lines(spec.checksums)) if spec.checksums else None
    return LocalFiles(name, root, patterns, checksums=checksums, timeouts=timeouts)


def selection(spec: SourceSpec) -> list[str]:
    """The glob patterns below the root, without the root: what of the URL belongs to the plan's digest,
    so that another base URL of the same region is no difference."""
    if isinstance(spec.url, ListedUrls):
        return []
    return _rooted([u.removeprefix("file://") for u in spec.url])[1]


def _rooted(urls: list[str]) -> tuple[str, list[str]]:
    split = [split_root(url) for url in urls]
    root = common_root([folder for folder, _ in split])
    return root, [below(root, folder) + rest for folder, rest in split]


def _lines(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while line := file.readline(LINE_CAP + 1):
                yield line
    except OSError as error:
        raise UsageError(f"checksums {printable(path)!r} cannot be read: {error.strerror}") from None
