"""From a dataset's path or URL to its store."""

from __future__ import annotations

import re

from skyhaul.dataset.storage.files import LocalFiles
from skyhaul.dataset.storage.store import DatasetStore


def open_store(url: str, *, writable: bool, files: LocalFiles | None = None) -> DatasetStore:
    """The store at a path or URL; nothing is created.

    Args:
        url: Relative paths start at the working directory.
        writable: Whether leftovers of dead processes are cleared, and files may be put.
        files: How local files are written.

    Raises:
        UsageError: No installed filesystem takes the URL, or its filesystem cannot create without replacing.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", url)
    if scheme is None or scheme[1].lower() in ("file", "local"):
        from skyhaul.dataset.storage.local import LocalStore

        return LocalStore(url, writable, files or LocalFiles())
    from skyhaul.dataset.storage.remote import RemoteStore

    return RemoteStore(url, writable, files or LocalFiles())
