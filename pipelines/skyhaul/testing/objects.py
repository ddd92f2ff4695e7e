"""Objects for conformance suites: bytes in memory, and huge ones that nobody holds."""

from __future__ import annotations

from dataclasses import dataclass

from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_schemas.plan import Chunk, PinnedObject


@dataclass(frozen=True, slots=True)
class Repeated:
    """An object made of `head`, `count` times `unit`, and `tail`; read without being held.

    Attributes:
        head: Its first bytes.
        unit: What is repeated, at least one byte.
        count: How often.
        tail: Its last bytes.
    """

    head: bytes
    unit: bytes
    count: int
    tail: bytes = b""

    @classmethod
    def of_size(cls, size: int, unit: bytes, *, head: bytes = b"", tail: bytes = b"") -> Repeated:
        """The smallest one of at least `size` bytes."""
        return cls(head, unit, max(1, -((len(head) + len(tail) - size) // len(unit))), tail)

    @property
    def size(self) -> int:
        return len(self.head) + len(self.unit) * self.count + len(self.tail)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length), cut at the object's end."""
        stop = min(offset + length, self.size)
        body = len(self.head)
        end = body + len(self.unit) * self.count
        parts = [self.head[offset:stop]]
        start, last = max(offset, body), min(stop, end)
        if start < last:
            # Only as many units as the read touches are made, from the one in which it begins.
            skipped = (start - body) % len(self.unit)
            times = -(-(skipped + last - start) // len(self.unit))
            parts.append((self.unit * times)[skipped : skipped + last - start])
        if stop > end:
            parts.append(self.tail[max(0, offset - end) : stop - end])
        return b"".join(parts)


class RepeatedChunk:
    """ChunkBytes over one chunk of a Repeated."""

    def __init__(self, content: Repeated, chunk: Chunk) -> None:
        self._content = content
        self._chunk = chunk

    @property
    def chunk(self) -> Chunk:
        return self._chunk

    def read(self, offset: int, length: int) -> bytes:
        return self._content.read(offset, length)


class CheckedBytes(BytesChunk):
    """ChunkBytes over bytes in memory that fails on a read that no object could answer."""

    def read(self, offset: int, length: int) -> bytes:
        # Up to the object's end and not the chunk's: a record may begin in one chunk and end in the next.
        size = self.chunk.object.size
        assert 0 <= offset <= size, f"a read at {offset} of an object of {size} bytes"
        assert length >= 0, f"a read of {length} bytes at {offset}"
        return super().read(offset, length)


def pinned(path: str, size: int) -> PinnedObject:
    """An object as a plan pins it, of source `suite`."""
    return PinnedObject("suite", path, size, "")
