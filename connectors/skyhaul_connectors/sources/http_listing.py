"""Objects below one HTTP root: found through index pages, or named one by one; pinned by HEAD.

A few crawlers walk the folders while up to `connections` HEADs are under way, so that a listing over a
long link costs about one round trip for as many objects. Queues are bounded: memory does not grow with
the number of objects.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from skyhaul_connectors.sources.blocking import retrying
from skyhaul_connectors.sources.checksums import LoadChecksums, with_checksums
from skyhaul_connectors.sources.globs import Selection, States, has_glob
from skyhaul_connectors.sources.http_documents import HttpDocuments
from skyhaul_connectors.sources.http_index import PAGE_CAP, IndexEntry, read_index
from skyhaul_connectors.sources.http_judge import refusal
from skyhaul_connectors.sources.http_network import Network
from skyhaul_connectors.sources.http_options import HttpOptions
from skyhaul_connectors.sources.http_pin import Pin, pin
from skyhaul_connectors.sources.http_url import HttpUrl, Origin
from skyhaul_connectors.sources.loop_thread import LoopThread
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.block_digests import BlockDigests
from skyhaul_schemas.errors import MalformedAnswer, ObjectMissing, SkyhaulError, SourceChanged
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable

_CRAWLERS = 4
_DEPTH_CAP = 64
"""Folders within folders: beyond that a server's links lead in a circle."""
_BATCH = 256
_HELD_BYTES = 32 * 1024 * 1024
"""Block digests of objects that are pinned and not taken."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object to be pinned: `path` below the root, `url` with whatever is secret in it. A list may
    state the `size`, and with a sha256 all that pins it."""

    path: str
    url: HttpUrl
    size: int | None = None
    checksum: str | None = None
    locator: str | None = None
    blocks: BlockDigests | None = None


class HttpTree:
    """Objects below `root` that match `patterns`. Implements HttpCatalogue."""

    listed_from_afar = False

    def __init__(
        self,
        name: str,
        root: HttpUrl,
        patterns: Sequence[str],
        options: HttpOptions,
        *,
        connections: int,
        timeouts: Timeouts,
        checksums: LoadChecksums | None = None,
    ) -> None:
        self._name = name
        self.root: HttpUrl | None = root
        self._folder = root
        self._patterns = tuple(patterns)
        self._options = options
        self._connections = connections
        self._timeouts = timeouts
        self._checksums = checksums

    @property
    def own_origins(self) -> frozenset[Origin]:
        return frozenset([self._folder.origin])

    def url_of(self, obj: PinnedObject) -> HttpUrl:
        return self._folder.below(obj.path)

    def unread_list(self, obj: PinnedObject) -> None:
        return None

    def listing(self) -> Iterator[PinnedObject]:
        selected = Selection(self._patterns).matches
        return with_checksums(streamed(self._name, self._batches()), self._checksums, selected)

    async def _batches(self) -> AsyncIterator[Sequence[PinnedObject]]:
        documents = HttpDocuments(Network(self._name, self._timeouts), self._options, self.own_origins)
        exact = [pattern for pattern in self._patterns if not has_glob(pattern)]
        globs = Selection([pattern for pattern in self._patterns if has_glob(pattern)])
        named = _Named([Found(path, self._folder.below(path)) for path in dict.fromkeys(exact)])
        crawl = _Crawl(self._name, documents, self._folder, globs, skip=frozenset(exact))
        try:
            for finder in (named, crawl):
                pinning = Pinning(self._name, documents, finder, self._connections)
                async for batch in pinning.batches():
                    yield batch
        finally:
            await documents.close()


class Finder(ABC):
    """Puts what it finds into a queue, and returns when that is all."""

    @abstractmethod
    async def find(self, out: asyncio.Queue[Found | None]) -> None: ...


class _Named(Finder):
    def __init__(self, found: Sequence[Found]) -> None:
        self._found = found

    async def find(self, out: asyncio.Queue[Found | None]) -> None:
        for found in self._found:
            await out.put(found)


class _Crawl(Finder):
    """Walks index pages from the root, only into folders in which something can match."""

    def __init__(
        self, name: str, documents: HttpDocuments, root: HttpUrl, globs: Selection, skip: frozenset[str]
    ) -> None:
        self._name = name
        self._documents = documents
        self._root = root
        self._globs = globs
        self._skip = skip
        self._folders: list[tuple[str, States]] = []
        self._busy = 0
        self._change = asyncio.Condition()

    async def find(self, out: asyncio.Queue[Found | None]) -> None:
        if not self._globs.patterns:
            return
        self._folders.append(("", self._globs.start()))
        async with asyncio.TaskGroup() as crawlers:
            for _ in range(_CRAWLERS):
                crawlers.create_task(self._crawl(out))

    async def _crawl(self, out: asyncio.Queue[Found | None]) -> None:
        while True:
            async with self._change:
                await self._change.wait_for(lambda: self._folders or not self._busy)
                if not self._folders:
                    return
                folder, states = self._folders.pop()
                self._busy += 1
            try:
                await self._visit(folder, states, out)
            finally:
                async with self._change:
                    self._busy -= 1
                    self._change.notify_all()

    async def _visit(self, folder: str, states: States, out: asyncio.Queue[Found | None]) -> None:
        if folder.count("/") > _DEPTH_CAP:
            raise MalformedAnswer(
                f"{self._name}: index pages over {_DEPTH_CAP} folders deep at {printable(folder[:200])!r}"
            )
        for entry in await self._children(folder):
            path = folder + entry.name
            if entry.is_folder:
                inside = self._globs.enter(states, entry.name)
                if inside:
                    async with self._change:
                        self._folders.append((f"{path}/", inside))
                        self._change.notify()
            elif path not in self._skip and self._globs.takes(states, entry.name):
                await out.put(Found(path, self._root.below(path)))

    async def _children(self, folder: str) -> list[IndexEntry]:
        url = self._root.below(folder)
        place = f"{self._name}: {url}"
        children: list[IndexEntry] = await retrying()(self._read_page, url, place)
        return children

    async def _read_page(self, url: HttpUrl, place: str) -> list[IndexEntry]:
        page = bytearray()
        answer = await self._documents.get(url, cap=PAGE_CAP, take=page.extend)
        if answer.head.status != 200:
            error = refusal(place, answer.head)
            if isinstance(error, ObjectMissing):
                raise ObjectMissing(
                    f"{place}: no index page ({answer.head.status}); list the objects instead"
                )
            raise error
        kind = answer.head.text(b"content-type") or ""
        return await asyncio.to_thread(read_index, answer.url, kind, bytes(page), place)


class Pinning:
    """Pins what a finder finds, up to `connections` at a time."""

    def __init__(self, name: str, documents: HttpDocuments, finder: Finder, connections: int) -> None:
        self._name = name
        self._documents = documents
        self._finder = finder
        self._connections = connections
        self._found: asyncio.Queue[Found | None] = asyncio.Queue(4 * connections)
        self._pinned: asyncio.Queue[PinnedObject] = asyncio.Queue(4 * _BATCH)
        self._held = 0
        self._light = asyncio.Event()
        self._light.set()

    async def batches(self) -> AsyncIterator[Sequence[PinnedObject]]:
        """In the order in which they are pinned. Raises the first error of ours."""
        work = asyncio.create_task(self._work())
        try:
            while not (work.done() and self._pinned.empty()):
                if self._pinned.empty():
                    first = asyncio.create_task(self._pinned.get())
                    await asyncio.wait({first, work}, return_when=asyncio.FIRST_COMPLETED)
                    if not first.done():
                        first.cancel()
                        continue
                    batch = [first.result()]
                else:
                    batch = []
                while len(batch) < _BATCH and not self._pinned.empty():
                    batch.append(self._pinned.get_nowait())
                self._hold(-sum(map(_digest_bytes, batch)))
                yield batch
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._find())
                for _ in range(self._connections):
                    tasks.create_task(self._pin_all())
        except BaseExceptionGroup as group:
            # An error of ours is what a user can do something about, whatever else went wrong beside it.
            ours = group.subgroup(SkyhaulError)
            raise _first(group if ours is None else ours) from None

    async def _find(self) -> None:
        await self._finder.find(self._found)
        for _ in range(self._connections):
            await self._found.put(None)

    async def _pin_all(self) -> None:
        while (found := await self._found.get()) is not None:
            pinned = await self._pin(found)
            obj = PinnedObject(
                self._name,
                found.path,
                pinned.size,
                pinned.version,
                found.checksum,
                found.locator,
                found.blocks,
            )
            await self._light.wait()
            self._hold(_digest_bytes(obj))
            await self._pinned.put(obj)

    def _hold(self, change: int) -> None:
        """Block digests that wait in the queue: few objects may have many."""
        self._held += change
        if self._held < _HELD_BYTES:
            self._light.set()
        else:
            self._light.clear()

    async def _pin(self, found: Found) -> Pin:
        if found.size is not None and found.checksum is not None and found.checksum.startswith("sha256:"):
            return Pin(found.size, found.checksum)
        place = f"{self._name}: {found.url}"
        pinned = await pin(self._documents, found.url, place)
        if found.size is not None and found.size != pinned.size:
            raise SourceChanged(f"{place}: the list says {found.size} bytes, the server {pinned.size}")
        return pinned


def _digest_bytes(obj: PinnedObject) -> int:
    return 0 if obj.blocks is None else obj.blocks.nbytes


def streamed(name: str, batches: AsyncIterator[Sequence[PinnedObject]]) -> Iterator[PinnedObject]:
    """What is found on a loop of its own, for a caller that has none."""
    thread = LoopThread(f"list {name}")
    try:
        yield from thread.stream(batches)
    finally:
        thread.close()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
