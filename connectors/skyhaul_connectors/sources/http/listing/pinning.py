"""Objects that are found at HTTP servers, pinned while others are still being found.

Up to `connections` HEADs are under way, so that a listing over a long link costs about one round trip for as
many objects. Queues are bounded: memory does not grow with the number of objects.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from skyhaul_connectors.sources.catalogue.loop_thread import LoopThread
from skyhaul_connectors.sources.http.documents import HttpDocuments
from skyhaul_connectors.sources.http.listing.pin import Pin, pin
from skyhaul_connectors.sources.url import HttpUrl
from skyhaul_schemas.block_digests import BlockDigests
from skyhaul_schemas.errors import SkyhaulError, SourceChanged
from skyhaul_schemas.plan import PinnedObject

_BATCH = 256
"""Objects that are handed to the planner's thread at a time: a batch costs two switches of threads. Chosen,
not measured."""
_HELD_BYTES = 32 * 1024 * 1024
"""Bytes of block digests of objects that are pinned and not taken yet. A queue bounds objects, and one of 1
TiB in blocks of 1 MiB has 32 MiB of digests. Chosen."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object to be pinned. A list may state all that pins it: size and sha256."""

    path: str
    """Below the root."""
    url: HttpUrl
    """With whatever is secret in it; never stored."""
    size: int | None = None
    checksum: str | None = None
    locator: str | None = None
    """What the plan keeps to find the URL again, where path and root do not tell it."""
    blocks: BlockDigests | None = None


class Finder(ABC):
    """Puts what it finds into a queue, and returns when that is all."""

    @abstractmethod
    async def find(self, out: asyncio.Queue[Found | None]) -> None: ...


class Pinning:
    """Pins what a finder finds, up to `connections` at a time."""

    def __init__(self, name: str, documents: HttpDocuments, finder: Finder, connections: int) -> None:
        self._name = name
        self._documents = documents
        self._finder = finder
        self._connections = connections
        # A few for each pin, so that pins go on while a crawler reads its next page.
        self._found: asyncio.Queue[Found | None] = asyncio.Queue(4 * connections)
        self._pinned: asyncio.Queue[PinnedObject] = asyncio.Queue(4 * _BATCH)
        self._held = 0
        self._light = asyncio.Event()
        self._light.set()

    async def batches(self) -> AsyncIterator[Sequence[PinnedObject]]:
        """Objects in the order in which they are pinned. Raises the first error of ours.

        To be closed (`aclose`) by whoever stops early: that ends the pins under way.
        """
        work = asyncio.create_task(self._work())
        try:
            while not (work.done() and self._pinned.empty()):
                if self._pinned.empty():
                    first = asyncio.create_task(self._pinned.get())
                    # An error of the work must wake this too: no object comes after it.
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
            # All objects are out; the work may still have an error to tell.
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
            # A failed task cancels the others; only the first error is told. Without one of ours it is a bug,
            # and shown whole.
            ours = group.subgroup(SkyhaulError)
            if ours is None:
                raise
            raise _first(ours) from None

    async def _find(self) -> None:
        await self._finder.find(self._found)
        # One end for each pin, which takes one and stops.
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
        # A size of 0 proves nothing: the server is asked.
        if found.size and found.checksum is not None and found.checksum.startswith("sha256:"):
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


def _first(errors: BaseExceptionGroup[BaseException]) -> SkyhaulError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, SkyhaulError)
    return error
