"""What opens a source behind HTTP servers: below a root, one by one, or by a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from skyhaul_connectors.sources.catalogue.globs import has_glob
from skyhaul_connectors.sources.catalogue.url_list import FILE_CAP
from skyhaul_connectors.sources.declaration import Opening
from skyhaul_connectors.sources.http.job_documents import checksums_of, document, document_url
from skyhaul_connectors.sources.http.listing.patterns import select
from skyhaul_connectors.sources.http.listing.tree_source import HttpTree
from skyhaul_connectors.sources.http.listing.url_list_source import HttpListed, ListFile, NamedUrls
from skyhaul_connectors.sources.http.options import HttpOptions, http_options
from skyhaul_connectors.sources.http.places import HttpCatalogue
from skyhaul_connectors.sources.http.source import HttpSource
from skyhaul_connectors.sources.local.open_files import affordable
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.sources.url import HttpUrl, parse_url
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import ListedUrls


def open_http(opening: Opening) -> Source:
    name, listed = opening.name, opening.spec.url
    options = replace(http_options(name, opening.spec.options), route=opening.route)
    catalogue = (
        _by_list(opening, options, listed)
        if isinstance(listed, ListedUrls)
        else _by_urls(opening, options, listed)
    )
    return HttpSource(
        name, catalogue, options, timeouts=opening.timeouts, receive_buffer=opening.receive_buffer
    )


def _by_urls(opening: Opening, options: HttpOptions, texts: Sequence[str]) -> HttpCatalogue:
    name = opening.name
    urls = [_parsed(name, text) for text in texts]
    sums = checksums_of(name, opening.spec, options, opening.timeouts)
    connections = affordable(opening.spec.max_connections)
    # A tree keeps paths below its root, which holds for a link's `base_url` too; others need whole URLs.
    if _share_root(urls):
        return HttpTree(
            name,
            select(name, urls),
            options,
            connections=connections,
            timeouts=opening.timeouts,
            checksums=sums,
        )
    if any(has_glob(url.path) for url in urls):
        raise UsageError(
            f"source {name}: globs need URLs of one server without a query; make them several sources"
        )
    return HttpListed(
        name,
        NamedUrls(name, urls),
        options,
        own=frozenset(url.origin for url in urls),
        from_afar=False,
        connections=connections,
        timeouts=opening.timeouts,
        checksums=sums,
    )


def _by_list(opening: Opening, options: HttpOptions, listed: ListedUrls) -> HttpCatalogue:
    """The catalogue of a list.

    Without a root each line has its own URL, wherever it leads; with one its path is below that.
    """
    name, timeouts = opening.name, opening.timeouts
    root = None if listed.root is None else _parsed(name, listed.root)
    afar = document_url(name, "list", listed.list)
    # A list on this machine names no server of the job's own: the headers, often secrets, would go nowhere,
    # or wherever a line says.
    if options.headers and afar is None and root is None and not options.headers_for:
        raise UsageError(
            f"source {name}: options.headers with a list needs options.headers_for, the servers that get them"
        )
    own = frozenset(url.origin for url in (afar, root) if url is not None)
    return HttpListed(
        name,
        ListFile(document(name, "list", listed.list, options, timeouts, FILE_CAP), root=root),
        options,
        own=own or options.headers_for,
        # With a root no line decides where anything is asked for.
        from_afar=afar is not None and root is None,
        connections=affordable(opening.spec.max_connections),
        timeouts=timeouts,
        checksums=checksums_of(name, opening.spec, options, timeouts),
        root=root,
    )


def selection_of_urls(name: str, texts: Sequence[str]) -> list[str]:
    urls = [_parsed(name, text) for text in texts]
    if _share_root(urls):
        return list(select(name, urls).shown)
    return sorted(unquote(url.path).lstrip("/") for url in urls)


def _parsed(name: str, text: str) -> HttpUrl:
    if "#" in text:
        raise UsageError(f"source {name}: what follows a '#' in a URL is never asked for; write %23 for it")
    # A path has to be UTF-8 both as it is written and as it decodes, since the plan keeps names decoded.
    try:
        url = parse_url(text)
        urlsplit(text).path.encode()
        unquote(url.path, errors="strict")
    except ValueError as error:
        reason = "the URL's path is not UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise UsageError(f"source {name}: {reason}") from None
    return url


def _share_root(urls: Sequence[HttpUrl]) -> bool:
    # A query belongs to one object alone, and user info must not be sent where another URL's should be.
    first = urls[0]
    return all(u.origin == first.origin and u.userinfo == first.userinfo and not u.has_query for u in urls)
