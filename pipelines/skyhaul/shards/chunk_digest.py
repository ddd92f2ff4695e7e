"""A chunk's bytes, digested as the decoder reads them."""

from __future__ import annotations

import hashlib
from collections import deque

from skyhaul_connectors.formats.protocol import ChunkBytes
from skyhaul_schemas.plan import Chunk

_BLOCK = 1 << 20
"""Bytes that are read at once of what the decoder left out. Chosen, not measured."""


class DigestedChunk:
    """The ChunkBytes that a decoder gets.

    What it reads in order is digested on the way; `sha256()` reads only what it left out, so a decoder that
    reads front to back costs no second read."""

    def __init__(self, data: ChunkBytes) -> None:
        self._data = data
        self._digest = hashlib.sha256()
        self._parts = deque(data.chunk.ranges)
        self._next, self._end = self._enter()

    @property
    def chunk(self) -> Chunk:
        return self._data.chunk

    def read(self, offset: int, length: int) -> bytes:
        data = self._data.read(offset, length)
        # Look-ahead beyond the chunk is another shard's to digest, and what is read twice counts once.
        while offset <= self._next < offset + len(data) and self._next < self._end:
            fresh = memoryview(data)[self._next - offset : self._end - offset]
            self._digest.update(fresh)
            self._next += len(fresh)
            if self._next == self._end and self._parts:
                self._next, self._end = self._enter()
        return data

    def sha256(self) -> str:
        """Hex digest of the chunk's own bytes, without look-ahead: of its ranges, one after the other.

        Raises:
            EOFError: The object is shorter than planned; and whatever `read` raises.
        """
        while self._next < self._end:
            if not self.read(self._next, min(_BLOCK, self._end - self._next)):
                raise EOFError(self._next)
        return self._digest.hexdigest()

    def _enter(self) -> tuple[int, int]:
        """Begin and end of the next range; (0, 0) if there is none."""
        if not self._parts:
            return 0, 0
        offset, length = self._parts.popleft()
        return offset, offset + length
