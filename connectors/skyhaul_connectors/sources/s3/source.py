"""A bucket as a source: listed and pinned through fsspec, its bytes hauled by our own HTTP client, signed.

Each range is asked with If-Match for the pinned ETag, or at the pinned version id (`version_aware: true`: an
object that was replaced since is still hauled as it was planned); the answer must state which it is of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from skyhaul_connectors.sources.catalogue.object_names import fault_in_key
from skyhaul_connectors.sources.fsspec.source import FsspecFiles
from skyhaul_connectors.sources.http.channel import HttpChannel
from skyhaul_connectors.sources.http.source import HttpSource
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.protocol import ChannelEvents, Route
from skyhaul_connectors.sources.s3.signing import S3Access, SignedOptions, s3_options
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl, Origin
from skyhaul_schemas.errors import CarriageError, ObjectMissing
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
"""A bucket's name, old ones included, which may be longer and have capitals. Not an access point's ARN: it
has colons."""
_EXPRESS = "--x-s3"
"""Buckets of this suffix are directory buckets, which want sessions of their own (CreateSession)."""


class S3Catalogue:
    """Implements HttpCatalogue. `root` is "bucket" or "bucket/prefix", to which `/` and a path are put."""

    listed_from_afar = False

    def __init__(self, files: FsspecFiles, root: str, access: S3Access) -> None:
        self._files = files
        self._prefix = f"{root}/".partition("/")[2]
        self._access = access

    @property
    def first_origin(self) -> Origin | None:
        # Known before anything is asked, so that channels are dialled ahead and tell a round trip; where they
        # did not, a haul over geo lost 0.22 of the limit.
        return self._access.origin

    @property
    def own_origins(self) -> frozenset[Origin]:
        # Only these get signatures (`SignedOptions.headers_of`): a redirect leads away from them unsigned.
        origin = self._access.origin
        return frozenset() if origin is None else frozenset((origin,))

    def unread_list(self, obj: PinnedObject) -> Callable[[], None] | None:
        # HTTP's way to have something done in a thread before a URL is known; asked for each range.
        return self._access.renew if self._access.stale else None

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        return self._files.listing(left_out)

    def close(self) -> None:
        self._files.close()

    def url_of(self, obj: PinnedObject) -> HttpUrl:
        fault = fault_in_key(obj.path)
        if fault:
            raise ObjectMissing(f"{obj.source}: {printable(obj.path)!r}: the key {fault}")
        # In the URL and so under the signature, while If-Match is no part of it.
        version = obj.version.removeprefix("vid:") if obj.version.startswith("vid:") else None
        return self._access.url_of(self._prefix + obj.path, version)


class S3Source(HttpSource):
    """Implements Source. A link's `base_url` does not apply: a signature is for the store's own address."""

    def __init__(
        self,
        name: str,
        files: FsspecFiles,
        root: str,
        access: S3Access,
        *,
        stored: bool = False,
        timeouts: Timeouts | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        catalogue = S3Catalogue(files, root, access)
        options = SignedOptions(access=access, stored=stored)
        super().__init__(name, catalogue, options, timeouts=timeouts, receive_buffer=receive_buffer)
        self._files = files

    def connect(self, events: ChannelEvents, route: Route) -> HttpChannel:
        return super().connect(events, replace(route, base_url=None))


def over_http(
    name: str,
    files: FsspecFiles,
    root: str,
    options: Mapping[str, Any],
    timeouts: Timeouts,
    receive_buffer: int | None,
    stored: bool = False,
) -> S3Source | None:
    """A bucket whose bytes are hauled over our own client.

    Args:
        name: The source's.
        files: Lists and pins.
        root: Bucket and prefix.
        options: Those of s3fs.
        timeouts: What connections wait for.
        receive_buffer: SO_RCVBUF in bytes, None for the system's own.
        stored: Objects are taken as they are stored, whatever Content-Encoding they have.

    Returns:
        None where only the filesystem knows how: access points, directory buckets, options that change its
        requests.
    """
    bucket = root.partition("/")[0]
    known = s3_options(options)
    if known is None or not _BUCKET.fullmatch(bucket) or bucket.endswith(_EXPRESS):
        return None
    access = S3Access(name, bucket, known)
    # Channels are dialled where the bucket answers; what fails here fails again, and is told, for a range.
    with suppress(CarriageError):
        access.renew()
    return S3Source(
        name, files, root, access, stored=stored, timeouts=timeouts, receive_buffer=receive_buffer
    )
