"""An HTTP source over a hostile server, without listing: objects are pinned straight from the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faults.hostile_http import HostileServer
from skyhaul_connectors.sources.http.options import http_options
from skyhaul_connectors.sources.http.pipelining import PipelineTrust
from skyhaul_connectors.sources.http.places import UrlsBelow
from skyhaul_connectors.sources.http.source import HttpSource
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl, Origin, parse_url
from skyhaul_schemas.plan import PinnedObject

QUICK = Timeouts(connect=5.0, idle=0.4, min_rate=2000.0, rate_window=0.5, total=3.0)


class Fixed:
    """A catalogue of one root."""

    def __init__(self, url: str) -> None:
        self._urls = UrlsBelow(parse_url(url))

    @property
    def first_origin(self) -> Origin:
        return self._urls.root.origin

    @property
    def own_origins(self) -> frozenset[Origin]:
        return frozenset([self.first_origin])

    @property
    def listed_from_afar(self) -> bool:
        return False

    def unread_list(self, obj: PinnedObject) -> None:
        return None

    def close(self) -> None:
        """Nothing is open."""

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        return iter(())

    def url_of(self, obj: PinnedObject) -> HttpUrl:
        return self._urls.of(obj)


def source_for(
    server: HostileServer | str, *, options: Mapping[str, Any] | None = None, timeouts: Timeouts = QUICK
) -> HttpSource:
    url = server if isinstance(server, str) else server.url
    return HttpSource("remote", Fixed(url), http_options("remote", options or {}), timeouts=timeouts)


def pinned(server: HostileServer, path: str, version: str | None = None) -> PinnedObject:
    """The object as the server has it now, pinned by its strong ETag unless told otherwise."""
    size = server.objects.size(path)
    assert size is not None
    etag = f"etag:{server.objects.etag(path)}"
    return PinnedObject("remote", path, size, etag if version is None else version)


def trust_of(source: HttpSource) -> PipelineTrust:
    """What is known of the one server of a source, to be looked at and set."""
    origin = source._catalogue.first_origin
    assert origin is not None
    return source._trust.setdefault(origin, PipelineTrust())
