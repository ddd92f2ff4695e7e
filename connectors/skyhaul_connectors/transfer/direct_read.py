"""Reads of bytes that are in no segment: fetched before anything else, past the spool, into memory.

Of objects with block digests whole blocks are read, each held against its digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_connectors.transfer.spool.checksum import REFETCHES, block_mismatch, has_sha256
from skyhaul_schemas.plan import PinnedObject

_FIRST = -1
"""Order before that of any shard, whose keys count from 0."""


class DirectRead:
    """One read under way, and the sink of its bytes.

    Args:
        key: The engine's name for the read.
        source: The source's name.
        segment: What is read, held in memory until all of it is here.
        done: Gets the bytes.
        failed: Gets what prevented them. One of the two is called, once.
    """

    def __init__(
        self,
        key: int,
        source: str,
        segment: Segment,
        done: Callable[[bytes], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._buffer = bytearray(segment.length)
        self._done = done
        self.source = source
        self.failed = failed
        self.work = FetchTask(key, _FIRST, AddressMap([segment]), self)

    def complete(self) -> None:
        """All bytes are here: `done` gets them."""
        # A copy that nobody can change: it crosses to the thread that waits.
        self._done(bytes(self._buffer))

    def write(self, position: int, data: bytes | memoryview) -> None:
        """Take bytes into memory, as the `ByteSink` of its own task."""
        self._buffer[position : position + len(data)] = data


class DirectFetch(Protocol):
    """A read of an object past the spool. Blocks."""

    def __call__(self, obj: PinnedObject, offset: int, length: int, *, again: bool = False) -> bytes:
        """Fetch bytes of an object, at least one.

        Args:
            obj: The object.
            offset: Of the first byte in the object.
            length: Bytes.
            again: They were fetched before, and were wrong."""


class VerifiedReads:
    """Reads of objects with digests by block: whole blocks, each held against its digest.

    The last block is remembered, since a reader goes on in small steps."""

    def __init__(self, fetch: DirectFetch) -> None:
        self._fetch = fetch
        self._last: tuple[PinnedObject, int, bytes] | None = None

    def read(self, obj: PinnedObject, offset: int, stop: int) -> bytes:
        """Bytes of `obj` from `offset` on, at least one, at most to `stop` and to the block's end.

        Empty where the block's digest is not known. Raises ChecksumMismatch, and what the fetch raises."""
        if obj.blocks is None:
            return b""
        number = offset // obj.blocks.size
        digest = obj.blocks.digest_of(number)
        if digest is None:
            return b""
        start, _ = obj.blocks.bounds(number, obj.size)
        return self._block(obj, number, digest)[offset - start : stop - start]

    def _block(self, obj: PinnedObject, number: int, digest: bytes) -> bytes:
        assert obj.blocks is not None
        last = self._last
        if last is not None and last[:2] == (obj, number):
            return last[2]
        start, stop = obj.blocks.bounds(number, obj.size)
        for tries in range(REFETCHES + 1):
            data = self._fetch(obj, start, stop - start, again=tries > 0)
            if has_sha256(digest, (data,)):
                self._last = (obj, number, data)
                return data
        raise block_mismatch(obj, number, REFETCHES + 1)
