"""ChunkBytes over what the engine fetched: segments from the spool, anything else on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skyhaul_connectors.formats.bytes.parts import fetched_ranges
from skyhaul_connectors.formats.protocol import Decoder
from skyhaul_connectors.transfer.engine_thread import ShardFetch
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_schemas.plan import Chunk, Shard


class SegmentMap:
    """Which segments of a shard serve which chunk, in claim order."""

    def __init__(self, shard: Shard, decoder_of: Callable[[Chunk], Decoder]) -> None:
        self.segments: list[Segment] = []
        self._of_chunk: list[range] = []
        for chunk in shard.chunks:
            first = len(self.segments)
            self.segments.extend(
                Segment(chunk.object, offset, length)
                for offset, length in fetched_ranges(chunk, decoder_of(chunk))
                if length
            )
            self._of_chunk.append(range(first, len(self.segments)))

    def of(self, chunk: Chunk) -> Sequence[int]:
        return self._of_chunk[chunk.index]


class FetchedChunk:
    """One chunk's bytes: implements the decoders' ChunkBytes. Blocks until what is read has arrived."""

    def __init__(
        self,
        chunk: Chunk,
        fetch: ShardFetch,
        indices: Sequence[int],
        segments: Sequence[Segment],
        cancelled: Callable[[], bool],
    ) -> None:
        self._chunk = chunk
        self._fetch = fetch
        self._cancelled = cancelled
        self._windows = [(segments[i].offset, segments[i].offset + segments[i].length, i) for i in indices]
        self._arrived: set[int] = set()

    @property
    def chunk(self) -> Chunk:
        return self._chunk

    def read(self, offset: int, length: int) -> bytes:
        stop = min(offset + length, self._chunk.object.size)
        if offset >= stop:
            return b""
        pieces: list[bytes] = []
        at = offset
        while at < stop:
            window = next((w for w in self._windows if w[0] <= at < w[1]), None)
            if window is None:
                end = min([w[0] for w in self._windows if w[0] > at] + [stop])
                pieces.append(self._fetch.read_through(self._chunk.object, at, min(end, stop) - at))
                at = min(end, stop)
                continue
            _, end, index = window
            if index not in self._arrived:
                self._fetch.wait(index, self._cancelled)
                self._arrived.add(index)
            end = min(end, stop)
            pieces.append(self._fetch.read(index, at, end - at))
            at = end
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
