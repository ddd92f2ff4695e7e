"""From a dataset's path or URL to its store."""

from __future__ import annotations

import re
from collections.abc import Collection

from skyhaul.dataset.storage.files import LocalFiles
from skyhaul.dataset.storage.store import DatasetStore, shown
from skyhaul_schemas.errors import ValueRefused


def open_store(url: str, *, writable: bool, files: LocalFiles | None = None) -> DatasetStore:
    """The store at a path or URL; nothing is created.

    Args:
        url: Relative paths start at the working directory.
        writable: Whether leftovers of dead processes are cleared, and files may be put.
        files: How local files are written.

    Raises:
        ValueRefused: Nobody knows the URL's scheme.
        UsageError: No installed filesystem takes the URL, or its filesystem cannot create without replacing.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", url)
    if scheme is None or scheme[1].lower() in ("file", "local"):
        from skyhaul.dataset.storage.local import LocalStore

        return LocalStore(url, writable, files or LocalFiles())
    from skyhaul.dataset.storage.remote import REPLACING, RemoteStore

    _check_scheme(url, scheme[1].lower(), REPLACING)
    return RemoteStore(url, writable, files or LocalFiles())


def _check_scheme(url: str, scheme: str, replacing: Collection[str]) -> None:
    import fsspec

    known = {*fsspec.available_protocols(), *fsspec.registry}
    if "::" not in url and scheme not in known:
        raise ValueRefused(
            f"dataset {shown(url)} cannot be opened: nobody knows the scheme {scheme!r}",
            ("dataset",),
            scheme,
            "a path, or a URL of a filesystem that fsspec knows, such as s3, gs or abfs",
            tuple(sorted(known.difference(replacing))),
        )
