"""Objects below one HTTP root: found through index pages, or named one by one; pinned by HEAD."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

from skyhaul_connectors.sources.catalogue.checksums import LoadChecksums, with_checksums
from skyhaul_connectors.sources.catalogue.globs import Selection
from skyhaul_connectors.sources.http.documents import HttpDocuments
from skyhaul_connectors.sources.http.listing.crawl import Crawl
from skyhaul_connectors.sources.http.listing.patterns import HttpSelection
from skyhaul_connectors.sources.http.listing.pinning import Finder, Found, Pinning, streamed
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.places import UrlsBelow
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl, Origin
from skyhaul_connectors.sources.url_spelling import locator_of
from skyhaul_schemas.plan import PinnedObject


class HttpTree:
    """Objects of `selected`. Implements HttpCatalogue."""

    # Index pages name children of the root only, at the root's own server.
    listed_from_afar = False

    def __init__(
        self,
        name: str,
        selected: HttpSelection,
        options: HttpOptions,
        *,
        connections: int,
        timeouts: Timeouts,
        checksums: LoadChecksums | None = None,
    ) -> None:
        self._name = name
        self._folder = selected.root
        self._urls = UrlsBelow(selected.root)
        self._selected = selected
        self._options = options
        self._connections = connections
        self._timeouts = timeouts
        self._checksums = checksums

    @property
    def first_origin(self) -> Origin | None:
        return self._folder.origin

    @property
    def own_origins(self) -> frozenset[Origin]:
        return frozenset([self._folder.origin])

    def url_of(self, obj: PinnedObject) -> HttpUrl:
        return self._urls.of(obj)

    def unread_list(self, obj: PinnedObject) -> None:
        return None

    def close(self) -> None:
        """Each listing closes what it opens."""

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        batches = self._batches(left_out if left_out is not None else LeftOut())
        selected = Selection(self._selected.patterns).matches
        return with_checksums(streamed(self._name, batches), self._checksums, selected, left_out)

    async def _batches(self, left_out: LeftOut) -> AsyncIterator[Sequence[PinnedObject]]:
        # Made anew for each listing, in the loop that runs it (`streamed`).
        documents = HttpDocuments(Network(self._name, self._timeouts), self._options, self.own_origins)
        exact = self._selected.exact
        named = _Named(
            [
                Found(name, self._folder.spelled_below(spelling), locator=locator_of(name, spelling))
                for name, spelling in exact.items()
            ]
        )
        globs = Selection(self._selected.globs)
        crawl = Crawl(self._name, documents, self._folder, globs, exact, left_out)
        try:
            # One after the other: what is named is pinned before a page is read, so that a slip in a URL ends
            # the plan at once.
            for finder in (named, crawl):
                pinning = Pinning(self._name, documents, finder, self._connections)
                async for batch in pinning.batches():
                    yield batch
        finally:
            # Also where the planner stops early: `streamed` closes this generator in its own loop.
            crawl.close()
            await documents.close()


class _Named(Finder):
    """Objects whose URLs the job has."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._found = found

    async def find(self, out: asyncio.Queue[Found | None]) -> None:
        for found in self._found:
            await out.put(found)
