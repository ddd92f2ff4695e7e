"""Filesystems of fsspec as a kind of source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from skyhaul_connectors.sources.catalogue.path_list import PathList
from skyhaul_connectors.sources.catalogue.rooted import Rooted, rooted
from skyhaul_connectors.sources.declaration import Opening, SourceKind
from skyhaul_connectors.sources.fsspec.options import check_options
from skyhaul_connectors.sources.http.options import takes_stored
from skyhaul_connectors.sources.protocol import Source
from skyhaul_schemas.errors import UsageError

if TYPE_CHECKING:
    from skyhaul_connectors.sources.fsspec.source import FsspecFiles

Files = TypeVar("Files", bound="FsspecFiles")


def open_files(opening: Opening, made: type[Files], where: Rooted, *, root: str | None = None) -> Files:
    """The filesystem's objects at `where`, as `made` reads them.

    Args:
        opening: What the source is opened with.
        made: The class; its constructor is that of FsspecFiles.
        where: Root and globs of the source's URLs.
        root: The root as the filesystem spells it; None: as it says itself.

    Raises:
        UsageError: A package that the filesystem needs is not installed, or an option is not for it.
    """
    import fsspec

    name, scheme, options = opening.name, opening.scheme, opening.spec.options
    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ImportError:
        raise UsageError(
            f"source {name}: {scheme}:// needs a package that is not installed;"
            f" see fsspec's list of implementations"
        ) from None
    if root is None and takes_stored(name, options):
        raise UsageError(
            f"source {name}: options.content_encoding is for http, https and s3 URLs, not {scheme}://"
        )
    check_options(name, scheme, kind, own_options(options))
    base = f"{scheme}://{where.root}"
    return made(
        name,
        scheme,
        str(kind._strip_protocol(base)).rstrip("/") if root is None else root,
        where.patterns,
        # What a URL states (a host, a user) counts where the options do not say otherwise.
        {**kind._get_kwargs_from_urls(base), **own_options(options)},
        checksums=opening.checksums,
        timeouts=opening.timeouts,
    )


def own_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The filesystem's own of a source's options."""
    return {key: value for key, value in options.items() if key != "content_encoding"}


def _open(opening: Opening) -> Source:
    from skyhaul_connectors.sources.fsspec.listed import ListedFsspecFiles
    from skyhaul_connectors.sources.fsspec.source import FsspecFiles

    where = rooted(opening.name, opening.scheme, opening.urls)
    if opening.listed is None:
        return open_files(opening, FsspecFiles, where)
    files = open_files(opening, ListedFsspecFiles, where)
    files.listed = PathList(opening.listed)
    return files


def _selection(name: str, urls: Sequence[str]) -> list[str]:
    return rooted(name, urls[0].partition(":")[0].lower(), urls).patterns


FSSPEC = SourceKind(
    schemes=("gs", "gcs", "az", "abfs", "abfss", "sftp", "ssh", "ftp", "hdfs", "webhdfs", "hf", "memory"),
    about="object stores and file servers that fsspec knows",
    open=_open,
    selection=_selection,
    takes_lists=True,
)
"""Filesystems that a job may name. Not `file` through fsspec, nor wrappers such as simplecache, nor
`reference`, which reads whatever its index names."""
