"""Objects that are listed one by one with their URLs.

What the plan stores of a URL is without user info and query. Where that leaves something out, the locator
ends with `#list`, and the whole URL is read from the list again at run time, found by the object's path:
a list that was signed anew in the meantime serves as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import IO, Protocol

import numpy as np
import numpy.typing as npt

from skyhaul_connectors.sources.catalogue.checksums import LoadChecksums, with_checksums
from skyhaul_connectors.sources.catalogue.documents import Document, lines_of
from skyhaul_connectors.sources.catalogue.url_list import LINE_CAP, ListedUrl, entry_at, path_of, read_list
from skyhaul_connectors.sources.http.documents import HttpDocuments
from skyhaul_connectors.sources.http.listing.pinning import Finder, Found, Pinning, streamed
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.places import UrlsBelow
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl, Origin, parse_url
from skyhaul_connectors.sources.url_spelling import refuse_key
from skyhaul_schemas.errors import ObjectMissing, UsageError
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable

FROM_LIST = "#list"
"""The end of a locator that is not the whole URL. No URL ends like this by itself: a `#` in one is refused,
in lists as in jobs."""
_BATCH = 1000
"""Lines that are read in one go: each batch costs a switch to a thread and back. Chosen, not measured."""
_BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of block digests in a batch, since a line may have 16 MiB. Chosen, not measured."""


class UrlEntries(Protocol):
    """Where listed URLs come from."""

    def entries(self, told: LeftOut | None = None) -> Iterator[ListedUrl]:
        """All entries, each with a path of its own; blocks. Raises UsageError or CarriageError."""

    def index(self) -> UrlIndex:
        """Reads all that have secrets."""


class UrlIndex(Protocol):
    """Finds a listed URL by its object's path."""

    def find(self, path: str) -> HttpUrl | None: ...

    def close(self) -> None: ...


class HttpListed:
    """Implements HttpCatalogue over a list.

    Attributes:
        root: What all objects lie below, by their paths, so that a plan holds for another root of the same
            objects too; None: each has a URL of its own.
    """

    def __init__(
        self,
        name: str,
        listed: UrlEntries,
        options: HttpOptions,
        *,
        own: frozenset[Origin],
        from_afar: bool,
        connections: int,
        timeouts: Timeouts,
        checksums: LoadChecksums | None = None,
        root: HttpUrl | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            name: The source's.
            listed: The list.
            options: The source's.
            own: The origins that the job itself names.
            from_afar: Somebody else serves the list and chose its URLs: these must not lead inwards.
            connections: Pins under way at a time.
            timeouts: What connections wait for.
            checksums: Loads the source's checksums, or None.
            root: See the attribute.
        """
        self._name = name
        self._below = None if root is None else UrlsBelow(root)
        self._listed = listed
        self._options = options
        self._own = own
        self._from_afar = from_afar
        self._connections = connections
        self._timeouts = timeouts
        self._checksums = checksums
        # Channels of one source call `unread_list`'s result on threads; the list is read once for all.
        self._lock = threading.Lock()
        self._index: UrlIndex | None = None

    @property
    def first_origin(self) -> Origin | None:
        return None if self._below is None else self._below.root.origin

    @property
    def own_origins(self) -> frozenset[Origin]:
        return self._own

    @property
    def listed_from_afar(self) -> bool:
        return self._from_afar

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        return with_checksums(
            streamed(self._name, self._batches(left_out)), self._checksums, lambda path: True, left_out
        )

    def unread_list(self, obj: PinnedObject) -> Callable[[], None] | None:
        if self._index is not None or not (obj.locator or "").endswith(FROM_LIST):
            return None
        return self._read_index

    def url_of(self, obj: PinnedObject) -> HttpUrl:
        refuse_key(obj)
        if self._below is not None:
            return self._below.of(obj) if obj.locator is None else self._below.root.below(obj.path)
        locator = obj.locator or ""
        place = f"{self._name}: {printable(obj.path)!r}"
        try:
            stored = parse_url(locator.removesuffix(FROM_LIST))
        # A plan may come from anyone, and its text has not been through a list's checks.
        except ValueError as error:
            raise ObjectMissing(f"{place}: the plan's locator cannot be used: {error}") from None
        if not locator.endswith(FROM_LIST):
            return stored
        assert self._index is not None
        url = self._index.find(obj.path)
        if url is None:
            raise ObjectMissing(f"{place} is not in the source's list any more")
        return url

    def _read_index(self) -> None:
        with self._lock:
            if self._index is None:
                try:
                    self._index = self._listed.index()
                except UsageError as error:
                    raise ObjectMissing(f"{self._name}: the list of URLs: {error}") from None

    def close(self) -> None:
        with self._lock:
            index, self._index = self._index, None
        if index is not None:
            index.close()

    async def _batches(self, left_out: LeftOut | None) -> AsyncIterator[Sequence[PinnedObject]]:
        documents = HttpDocuments(
            Network(self._name, self._timeouts), self._options, self._own, guarded=self._from_afar
        )
        try:
            pinning = Pinning(
                self._name,
                documents,
                _Listed(self._listed, self._below is not None, left_out),
                self._connections,
            )
            async for batch in pinning.batches():
                yield batch
        finally:
            await documents.close()


class _Listed(Finder):
    """Reads the list ahead of the pinning, off the loop."""

    def __init__(self, listed: UrlEntries, rooted: bool, told: LeftOut | None) -> None:
        self._listed = listed
        self._told = told
        self._rooted = rooted

    async def find(self, out: asyncio.Queue[Found | None]) -> None:
        entries = await asyncio.to_thread(self._listed.entries, self._told)
        while batch := await asyncio.to_thread(_batch_of, entries):
            for entry in batch:
                assert entry.url is not None
                # Any query may be a signature, and user info is one: neither is written into a plan.
                stored = entry.url.stored()
                locator = f"{stored}{FROM_LIST}" if entry.url.has_secret else stored
                found = Found(
                    entry.path,
                    entry.url,
                    entry.size,
                    entry.checksum,
                    None if self._rooted else locator,
                    entry.blocks,
                )
                await out.put(found)


def _batch_of(entries: Iterator[ListedUrl]) -> list[ListedUrl]:
    batch: list[ListedUrl] = []
    held = 0
    for entry in entries:
        batch.append(entry)
        held += entry.blocks.nbytes if entry.blocks is not None else 0
        if len(batch) >= _BATCH or held >= _BATCH_BYTES:
            break
    return batch


class NamedUrls:
    """URLs that stand in the job itself. Raises UsageError where two have the same path."""

    def __init__(self, name: str, urls: Sequence[HttpUrl]) -> None:
        self._lines = [ListedUrl(_path_of(name, url), url, None, None, 0) for url in urls]
        self._by_path = {entry.path: url for entry, url in zip(self._lines, urls, strict=True)}
        if len(self._by_path) < len(self._lines):
            raise UsageError(
                f"source {name}: two URLs have the same path; write a list of objects with a path for each"
            )

    def entries(self, told: LeftOut | None = None) -> Iterator[ListedUrl]:
        return iter(self._lines)

    def index(self) -> UrlIndex:
        return self

    def find(self, path: str) -> HttpUrl | None:
        return self._by_path.get(path)

    def close(self) -> None:
        """Nothing is open."""


class ListFile:
    """A JSONL or CSV list."""

    def __init__(self, document: Document, *, root: HttpUrl | None = None) -> None:
        """Nothing is opened yet.

        Args:
            document: The list.
            root: What the list's paths are below; its URLs do not count then.
        """
        self._where = document.where
        self._open_list = document.open
        self._root = root

    def entries(self, told: LeftOut | None = None) -> Iterator[ListedUrl]:
        root = self._root
        with self._open_list() as file:
            lines = lines_of(file, LINE_CAP)
            for entry in read_list(self._where, lines, rooted=root is not None, told=told):
                yield entry if root is None else replace(entry, url=root.below(entry.path))

    def index(self) -> UrlIndex:
        """16 bytes an entry: a digest of the path, and where its line is."""
        file = self._open_list()
        keys, places = array("Q"), array("Q")
        try:
            for entry in read_list(self._where, lines_of(file, LINE_CAP)):
                if entry.url is not None and entry.url.has_secret:
                    keys.append(_key(entry.path))
                    places.append(entry.at)
        except BaseException:
            file.close()
            raise
        order = np.argsort(np.frombuffer(keys, np.uint64) if keys else np.empty(0, np.uint64))
        sorted_keys = np.array(keys, np.uint64)[order]
        sorted_places = np.array(places, np.uint64)[order]
        return _Index(self._where, file, sorted_keys, sorted_places)


class _Index:
    """Finds a line of an open list by its path; from any thread."""

    def __init__(
        self, where: str, file: IO[bytes], keys: npt.NDArray[np.uint64], places: npt.NDArray[np.uint64]
    ) -> None:
        self._where = where
        self._file = file
        self._keys = keys
        self._places = places
        self._lock = threading.Lock()
        # A line of CSV means nothing without the names of its columns.
        file.seek(0)
        self._first = file.readline(LINE_CAP)

    def find(self, path: str) -> HttpUrl | None:
        key = np.uint64(_key(path))
        at = int(np.searchsorted(self._keys, key))
        # Several may share a digest of 64 bits; the line's own path decides.
        while at < len(self._keys) and self._keys[at] == key:
            entry = self._entry(int(self._places[at]))
            if entry is not None and entry.path == path:
                return entry.url
            at += 1
        return None

    def close(self) -> None:
        self._file.close()

    def _entry(self, place: int) -> ListedUrl | None:
        # Two steps on one file, whose place all threads share.
        with self._lock:
            self._file.seek(place)
            line = self._file.readline(LINE_CAP)
        try:
            return entry_at(self._where, self._first, line, place)
        except UsageError:
            return None  # the file was changed after it was read: what is at that byte now is no line of it


def _key(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "big")


def _path_of(name: str, url: HttpUrl) -> str:
    try:
        return path_of(url)
    except ValueError as error:
        raise UsageError(f"source {name}: {url}: {error}") from None
