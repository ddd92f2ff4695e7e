"""A shard while it is fetched: which segments are in, what waits for its journal commit, who waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import IntEnum

from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch
from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask
from skyhaul_connectors.transfer.segment import AddressMap
from skyhaul_connectors.transfer.spool.extents import BLOCK, has_digest
from skyhaul_connectors.transfer.spool.spool import OpenSpoolFile
from skyhaul_connectors.transfer.spool.verified_blocks import VerifiedBlocks
from skyhaul_schemas.commit import TransferCounts

_CACHED = 2
"""Verified blocks that a shard remembers, so that many small reads verify each once: the one that a decoder
is in, and the next. Chosen, not measured."""


class SegmentState(IntEnum):
    """How far a segment has come."""

    # The order counts: whatever is at least IN has arrived.
    QUEUED = 0  # not admitted to the spool yet
    WANTED = 1  # being fetched
    CHECKING = 2  # all bytes are journaled; the object's checksum is being computed
    IN = 3  # may be read
    DROPPED = 4  # was read; may leave the spool


class ReadsWrong(Exception):
    """What the spool file has at `stretch` (positions [start, stop)) is not what arrived for it."""

    def __init__(self, stretch: Stretch) -> None:
        super().__init__(stretch)
        self.stretch = stretch


ReadVerified = Callable[[int, int, bytes], bytes]
"""(start, stop, digest) -> the bytes, held against the digest. Raises ReadsWrong."""


class OpenShard:
    """A shard being fetched. Lives on the loop's thread; `read` and `counts` may be called from any.

    Args:
        number: The shard's, in the plan.
        source: The source's name.
        address: Where each segment lies in the spool file.

    Attributes:
        key: The engine's name for this fetch; -1 before it has one.
        states: A `SegmentState` for each segment.
        error: With what the fetch ended; None while it goes on. Segments that are in stay readable.
        spooled: The spool file; None before it is opened, and once the engine has let go of it.
        work: Its part in the source's queue; None before the spool file is opened.
        durable: Positions that the journal says are in.
        verified_blocks: Which blocks have the digests that the source's list states.
        demanded: Segments that somebody waits for.
        checks: How many checks are under way; a released shard waits for them.
        mismatches: How often a segment arrived with a wrong checksum.
        replaced: How often the spool file was replaced, since its sync failed.
        lost: How often the disk had other bytes than arrived, by the number of the spool file's block.
        dropped: Positions of segments that were used up.
        punched: Those that were given back to the disk.
        waiting_bytes: Of segments that are not in.
        queued_bytes: Of those that were not admitted to the spool.
        released: None until the caller is through; then whether what is in the spool is kept.
        opening: Whether the spool file is being opened.
        on_change: Called after each change of a state, and at the end, on the loop's thread.
    """

    def __init__(self, number: int, source: str, address: AddressMap) -> None:
        self.key = -1
        self.number = number
        self.source = source
        self.map = address
        self.states = bytearray(len(address.segments))
        self.error: BaseException | None = None
        self.spooled: OpenSpoolFile | None = None
        self.work: FetchTask | None = None
        self.durable = IntervalSet()
        self.verified_blocks = VerifiedBlocks(address)
        self.demanded: set[int] = set()
        self.checks = 0
        self.mismatches: dict[int, int] = {}
        self.replaced = 0
        self.lost: dict[int, int] = {}
        self.dropped = IntervalSet()
        self.punched = IntervalSet()
        self.waiting_bytes = address.length
        self.queued_bytes = address.length
        self.released: bool | None = None
        self.opening = False
        self.on_change: Callable[[], None] | None = None
        self._cache_lock = threading.Lock()
        self._cache: dict[Stretch, tuple[bytes, bytes]] = {}

    def set_state(self, segment: int, state: SegmentState) -> None:
        """Set the segment's state: the only place where `waiting_bytes` and `queued_bytes` follow."""
        before, self.states[segment] = self.states[segment], state
        was_in, is_in = before >= SegmentState.IN, state >= SegmentState.IN
        if was_in != is_in and self.error is None:
            length = self.map.segments[segment].length
            self.waiting_bytes += length if was_in else -length
        if before == SegmentState.QUEUED != state and self.error is None:
            self.queued_bytes -= self.map.segments[segment].length
        self.changed()

    def is_in(self, segment: int) -> bool:
        """Whether the segment may be read. Any thread."""
        return self.states[segment] >= SegmentState.IN

    def end(self, error: BaseException) -> None:
        """End the fetch: no further segment will come in. The first error stands."""
        if self.error is None:
            self.error = error
            self.waiting_bytes = self.queued_bytes = 0
        self.changed()

    def forget_cache(self) -> None:
        """Drop the remembered blocks, because nothing is read any more. Any thread."""
        with self._cache_lock:
            self._cache.clear()

    def changed(self) -> None:
        """Tell whoever waits to look again."""
        if self.on_change is not None:
            self.on_change()

    def counts(self) -> dict[str, TransferCounts]:
        """Bytes by link, earlier runs of the shard included. Any thread."""
        return {} if self.work is None else self.work.frozen_counts()

    def read(self, segment: int, offset: int, length: int) -> tuple[bytes, list[Stretch]]:
        """Bytes [offset, offset + length) of the object, each held against its digest, and [].

        Or b"" and what reads wrong. Any thread; the segment must be in.

        Raises:
            ValueError: The bytes are not within the segment, or the shard holds nothing."""
        if self.spooled is None:
            raise ValueError(f"shard {self.number} holds nothing yet")
        start = self.map.position(segment, offset)
        stop = start + length
        first, last = self.map.stretch(segment)
        if not first <= start <= stop <= last:
            raise ValueError(f"[{offset}, {offset + length}) is not within segment {segment}")
        try:
            parts = list(self.verified(start, stop, self._cached))
        except ReadsWrong as wrong:
            return b"", [wrong.stretch]
        return (parts[0] if len(parts) == 1 else b"".join(parts)), []

    def verified(self, start: int, stop: int, read: ReadVerified | None = None) -> Iterator[bytes]:
        """The bytes at [start, stop), in pieces of at most a block. Any thread.

        Each piece is held against the digest of what arrived. Raises ReadsWrong."""
        at = start
        spooled = self.spooled  # None once the engine has let go of it
        for low, high, digest in spooled.extents.digests(start, stop) if spooled is not None else ():
            if low > at:
                break
            data = (read or self._verified)(low, high, digest)
            yield data[at - low : min(stop, high) - low]
            at = high
        if at < stop:
            raise ReadsWrong((at, stop))

    def whole_blocks_dropped(self) -> list[Stretch]:
        """Stretches of whole blocks, all of whose segments were dropped, that still take room."""
        found: list[Stretch] = []
        for start, stop in self.dropped:
            # Only whole blocks: a cut one would have to be read back for its neighbours' digests.
            low = -(-start // BLOCK) * BLOCK
            high = stop if stop == self.map.length else stop // BLOCK * BLOCK
            if low < high:
                found.extend(self.punched.gaps(low, high))
        return found

    def _verified(self, low: int, high: int, digest: bytes) -> bytes:
        spooled = self.spooled
        data = b"" if spooled is None else spooled.file.read(low, high - low)
        if not has_digest(digest, data, high - low):
            raise ReadsWrong((low, high))
        return data

    def _cached(self, low: int, high: int, digest: bytes) -> bytes:
        # With the digest: bytes that were fetched again may have another one in the same place.
        cached = self._cache.get((low, high))
        if cached is not None and cached[0] == digest:
            return cached[1]
        data = self._verified(low, high, digest)
        with self._cache_lock:
            while len(self._cache) >= _CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[(low, high)] = (digest, data)
        return data
