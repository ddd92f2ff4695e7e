"""Buckets as a kind of source: listed through s3fs's client, their bytes by requests of our own."""

from __future__ import annotations

from collections.abc import Sequence

from skyhaul_connectors.sources.catalogue.path_list import PathList
from skyhaul_connectors.sources.catalogue.rooted import keyed
from skyhaul_connectors.sources.declaration import Opening, SourceKind
from skyhaul_connectors.sources.http.options import takes_stored
from skyhaul_connectors.sources.protocol import Source


def _open(opening: Opening) -> Source:
    """The bucket with its bytes hauled by our own client; else all of it through the filesystem.

    The first where its store speaks HTTP in a way that our client knows (`over_http`).
    """
    # Imported here: s3fs and botocore are an extra, and heavy; every command imports the declaration.
    from skyhaul_connectors.sources.fsspec.scheme import open_files, own_options
    from skyhaul_connectors.sources.s3.files import ListedS3Files, S3Files
    from skyhaul_connectors.sources.s3.source import over_http

    # `keyed` and not `rooted`: `s3://bucket/a//b` is that key and never `a/b`.
    where = keyed(opening.name, opening.urls)
    if opening.listed is None:
        files = open_files(opening, S3Files, where, root=where.root)
    else:
        files = listed = open_files(opening, ListedS3Files, where, root=where.root)
        listed.listed = PathList(opening.listed, keyed=True)
    options = opening.spec.options
    source = over_http(
        opening.name,
        files,
        where.root,
        own_options(options),
        opening.timeouts,
        opening.receive_buffer,
        takes_stored(opening.name, options),
    )
    # Bytes then come through s3fs's files, which cannot open some keys; the listing leaves those out.
    if source is None:
        files.by_key = False
    return source or files


def _selection(name: str, urls: Sequence[str]) -> list[str]:
    return keyed(name, urls).patterns


S3 = SourceKind(
    schemes=("s3", "s3a"),
    about="objects of S3 and of stores that speak its API",
    open=_open,
    selection=_selection,
    takes_lists=True,
)
