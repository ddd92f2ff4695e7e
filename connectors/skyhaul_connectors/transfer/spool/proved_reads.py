"""Reads past the spool of objects with block digests: whole blocks, each held against its digest."""

from __future__ import annotations

from typing import Protocol

from skyhaul_connectors.transfer.spool.checksum import REFETCHES, is_block, wrong_block
from skyhaul_schemas.plan import PinnedObject


class DirectFetch(Protocol):
    def __call__(self, obj: PinnedObject, offset: int, length: int, *, again: bool = False) -> bytes:
        """Fetch bytes of an object, at least one. again: they were fetched before, and were wrong."""


class ProvedReads:
    """Remembers the last block, since a reader goes on in small steps."""

    def __init__(self, fetch: DirectFetch) -> None:
        self._fetch = fetch
        self._last: tuple[PinnedObject, int, bytes] | None = None

    def read(self, obj: PinnedObject, offset: int, stop: int) -> bytes:
        """Bytes of `obj` from `offset` on, at least one, at most to `stop` and to the block's end; empty
        where the block's digest is not known. Raises ChecksumMismatch, and what the fetch raises."""
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
            if is_block(digest, (data,)):
                self._last = (obj, number, data)
                return data
        raise wrong_block(obj, number, REFETCHES + 1)
