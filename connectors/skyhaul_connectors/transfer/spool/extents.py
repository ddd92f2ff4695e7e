"""What of one spool file is in, with the digests that prove it.

The file is cut into blocks of 1 MiB. A block that is whole has one digest (xxh3_128); of a block that
is not, the *extents* that are in have one each (xxh3_64). Extents never cross a block's border, so that
a block replaces its extents when it becomes whole.

A digest comes from bytes in memory as they arrived (`arrivals`), or from bytes that were read back through
`read` and held, each of them, against such a digest first. Bytes that nothing proves never get one: a hole
below the end of the file reads as zeros, and its digest would vouch for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from xxhash import xxh3_64_digest, xxh3_128_digest

from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch

BLOCK = 1024 * 1024
"""Bytes of a block; the last one of a file may be shorter."""

MOST_EXTENTS = 64
"""Extents of one block before those that touch are made one, which costs reading them back: as many as a
block of 16 KiB ranges has, the smallest that the pacer asks for, so that in order this never happens. Not
measured."""

Read = Callable[[int, int], bytes]
"""(position, length) -> the bytes there; fewer where the file is too short."""


class Arrival(NamedTuple):
    """Bytes [start, stop) of the file, within one block, with the xxh3_64 of what arrived for them."""

    start: int
    stop: int
    digest: bytes


def arrivals(position: int, data: bytes | memoryview) -> Iterator[Arrival]:
    """The arrivals of `data` at `position`, one for each block, with their digests."""
    stop = position + len(data)
    if stop - position <= BLOCK - position % BLOCK:
        yield Arrival(position, stop, xxh3_64_digest(data))
        return
    view = memoryview(data)
    for low, high in _by_block(position, stop):
        yield Arrival(low, high, xxh3_64_digest(view[low - position : high - position]))


@dataclass(slots=True)
class Change:
    """What a step changed, for the journal: rows that go, and rows that come after.

    Attributes:
        extents_out: By start.
        extents_in: (start, stop, xxh3_64), positions in the file.
        blocks_out: By number.
        blocks_in: (number, xxh3_128).
    """

    extents_out: list[int] = field(default_factory=list)
    extents_in: list[tuple[int, int, bytes]] = field(default_factory=list)
    blocks_out: list[int] = field(default_factory=list)
    blocks_in: list[tuple[int, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.extents_out or self.extents_in or self.blocks_out or self.blocks_in)


@dataclass(slots=True)
class Step:
    """What became of one call.

    Attributes:
        change: For the journal.
        gained: Positions that are in since.
        lost: Positions that are in no longer: they read wrong.
    """

    change: Change = field(default_factory=Change)
    gained: list[Stretch] = field(default_factory=list)
    lost: list[Stretch] = field(default_factory=list)


class JournaledExtents:
    """The journaled content of one spool file of `length` bytes.

    One thread changes it; other threads may ask `digests()` at any time.
    """

    def __init__(
        self,
        length: int,
        extents: Iterable[tuple[int, int, bytes]] = (),
        blocks: Iterable[tuple[int, bytes]] = (),
    ) -> None:
        self.length = length
        # Between `digests`, which readers of any thread ask, and the journal's thread, which alone uses the
        # rest once the file is open.
        self._lock = threading.Lock()
        self._blocks: dict[int, bytes] = dict(blocks)
        self._extents: dict[int, dict[int, tuple[int, bytes]]] = {}
        self._in = IntervalSet()
        for start, stop, digest in extents:
            self._extents.setdefault(start // BLOCK, {})[start] = (stop, digest)
            self._in.add(start, stop)
        for block in self._blocks:
            self._in.add(*self._bounds(block))

    @property
    def total(self) -> int:
        """Bytes that are in."""
        return self._in.total

    def stretches(self) -> list[Stretch]:
        """The stretches that are in, in rising order."""
        return list(self._in)

    def covers(self, start: int, stop: int) -> bool:
        """Whether all of [start, stop) is in."""
        return self._in.covers(start, stop)

    def digests(self, start: int, stop: int) -> list[tuple[int, int, bytes]]:
        """Stretches with digests that hold the bytes of [start, stop) that are in, in rising order.

        The first and the last may reach beyond; a digest of a block has 16 bytes, of an extent 8."""
        found: list[tuple[int, int, bytes]] = []
        with self._lock:
            for block in range(start // BLOCK, -(-stop // BLOCK)):
                digest = self._blocks.get(block)
                if digest is not None:
                    found.append((*self._bounds(block), digest))
                    continue
                for low, (high, extent) in sorted(self._extents.get(block, {}).items()):
                    if low < stop and high > start:
                        found.append((low, high, extent))
        return found

    def take(self, arrived: Iterable[Arrival], read: Read) -> Step:
        """Take in what arrived, was written and synced. Bytes that are in already stay as they are."""
        step = Step()
        # By block, so that a block that becomes whole is read back once, however many arrivals it had.
        fresh: dict[int, dict[int, tuple[int, bytes]]] = {}
        seen = IntervalSet()
        for arrival in arrived:
            start, stop, _ = arrival
            parts = fresh.setdefault(start // BLOCK, {})
            if start == stop:
                continue
            if self._in.overlaps(start, stop) or seen.overlaps(start, stop):
                parts.update(self._beyond(arrival, seen, read, step))
            else:
                parts[start] = (stop, arrival.digest)
            seen.add(start, stop)
        for block, parts in fresh.items():
            if parts:
                self._take_block(block, parts, read, step)
        return step

    def check(self, read: Read) -> Step:
        """Compare every digest with the bytes in the file; what reads wrong is lost."""
        step = Step()
        for block in list(self._blocks):
            start, stop = self._bounds(block)
            if not has_digest(self._blocks[block], read(start, stop - start), stop - start):
                self._forget_block(block, step)
                self._lose(start, stop, step)
        for block, extents in list(self._extents.items()):
            for start, (stop, digest) in list(extents.items()):
                if not has_digest(digest, read(start, stop - start), stop - start):
                    self._forget_extent(block, start, step)
                    self._lose(start, stop, step)
        return step

    def drop(self, start: int, stop: int, read: Read) -> Step:
        """Let go of [start, stop).

        Neighbours in a block that is cut are verified and digested anew; where they read wrong they are lost
        too."""
        step = Step()
        for low, high in _by_block(start, stop):
            self._drop_in_block(low // BLOCK, low, high, read, step)
        return step

    def _beyond(
        self, arrival: Arrival, seen: IntervalSet, read: Read, step: Step
    ) -> dict[int, tuple[int, bytes]]:
        """The parts of an arrival that are not in yet, cut out of bytes that have the arrival's digest."""
        start, stop, digest = arrival
        left = [gap for low, high in self._in.gaps(start, stop) for gap in seen.gaps(low, high)]
        data = read(start, stop - start) if left else b""
        if left and not has_digest(digest, data, stop - start):
            step.lost.extend(left)
            return {}
        return {low: (high, xxh3_64_digest(data[low - start : high - start])) for low, high in left}

    def _take_block(self, block: int, parts: dict[int, tuple[int, bytes]], read: Read, step: Step) -> None:
        before = self._extents.get(block, {})
        after = {**before, **parts}
        start, stop = self._bounds(block)
        whole = sum(high - low for low, (high, _) in after.items()) == stop - start
        data = b""
        rotten: set[int] = set()
        if whole or len(after) > MOST_EXTENTS:
            # Read once: what is held against the digests of what arrived is what the new digest is of.
            data = read(start, stop - start)
            view = memoryview(data)
            for low, (high, digest) in list(after.items()):
                if not has_digest(digest, view[low - start : high - start], high - low):
                    del after[low]
                    rotten.add(low)
                    if low in parts:
                        step.lost.append((low, high))
                    else:
                        self._lose(low, high, step)
            whole = whole and not rotten
            # `data` proves what is left of `after`, so that joining costs no further reading.
            if not whole:
                after = _joined(after, data, start)
        gained = [(low, high) for low, (high, _) in parts.items() if low not in rotten]
        if whole:
            self._set_block(block, xxh3_128_digest(data), step)
        else:
            self._set_extents(block, after, step)
        for low, high in gained:
            self._in.add(low, high)
            step.gained.append((low, high))

    def _set_block(self, block: int, digest: bytes, step: Step) -> None:
        # Under one lock: a reader in between would find neither the extents nor the block.
        with self._lock:
            gone = self._extents.pop(block, {})
            self._blocks[block] = digest
        step.change.extents_out.extend(gone)
        step.change.blocks_in.append((block, digest))

    def _set_extents(self, block: int, after: dict[int, tuple[int, bytes]], step: Step) -> None:
        with self._lock:
            before = self._extents.pop(block, {})
            if after:
                self._extents[block] = after
        step.change.extents_out.extend(low for low, extent in before.items() if after.get(low) != extent)
        step.change.extents_in.extend(
            (low, *extent) for low, extent in after.items() if before.get(low) != extent
        )

    def _drop_in_block(self, block: int, low: int, high: int, read: Read, step: Step) -> None:
        start, stop = self._bounds(block)
        digest = self._blocks.get(block)
        if digest is not None:
            # What is kept of the block gets digests only from bytes that were held against its own.
            data = b"" if (low, high) == (start, stop) else read(start, stop - start)
            self._forget_block(block, step)
            self._in.remove(low, high)
            self._keep_neighbours(block, (start, stop), (low, high), digest, data, step)
            return
        for first, (last, extent) in list(self._extents.get(block, {}).items()):
            if first >= high or last <= low:
                continue
            inside = low <= first and last <= high
            data = b"" if inside else read(first, last - first)
            self._forget_extent(block, first, step)
            self._in.remove(max(low, first), min(high, last))
            self._keep_neighbours(block, (first, last), (low, high), extent, data, step)

    def _keep_neighbours(
        self, block: int, whole: Stretch, out: Stretch, digest: bytes, data: bytes, step: Step
    ) -> None:
        rest = [(whole[0], min(out[0], whole[1])), (max(out[1], whole[0]), whole[1])]
        rest = [(a, b) for a, b in rest if a < b]
        if rest and not has_digest(digest, data, whole[1] - whole[0]):
            for a, b in rest:
                self._lose(a, b, step)
            return
        for a, b in rest:
            self._put_extent(block, a, b, xxh3_64_digest(data[a - whole[0] : b - whole[0]]), step)

    def _put_extent(self, block: int, start: int, stop: int, digest: bytes, step: Step) -> None:
        with self._lock:
            self._extents.setdefault(block, {})[start] = (stop, digest)
        self._in.add(start, stop)
        step.change.extents_in.append((start, stop, digest))

    def _forget_extent(self, block: int, start: int, step: Step) -> None:
        with self._lock:
            extents = self._extents[block]
            del extents[start]
            if not extents:
                del self._extents[block]
        step.change.extents_out.append(start)

    def _forget_block(self, block: int, step: Step) -> None:
        with self._lock:
            del self._blocks[block]
        step.change.blocks_out.append(block)

    def _lose(self, start: int, stop: int, step: Step) -> None:
        self._in.remove(start, stop)
        step.lost.append((start, stop))

    def _bounds(self, block: int) -> Stretch:
        return block * BLOCK, min((block + 1) * BLOCK, self.length)


def _by_block(start: int, stop: int) -> Iterator[Stretch]:
    """[start, stop) cut at the borders of blocks."""
    while start < stop:
        border = min(stop, (start // BLOCK + 1) * BLOCK)
        yield start, border
        start = border


def _joined(extents: dict[int, tuple[int, bytes]], data: bytes, base: int) -> dict[int, tuple[int, bytes]]:
    """Extents that `data`, the bytes from `base` on, was held against; those that touch made one."""
    stretches = IntervalSet((low, high) for low, (high, _) in extents.items())
    return {
        low: extents[low]
        if low in extents and extents[low][0] == high
        else (high, xxh3_64_digest(data[low - base : high - base]))
        for low, high in stretches
    }


def has_digest(digest: bytes, data: bytes | memoryview, length: int) -> bool:
    """Whether `data` is all of `length` bytes and has the digest of a block or an extent."""
    if len(data) != length:
        return False
    # Kinds are told apart by their length alone, here and in the journal.
    return (xxh3_128_digest(data) if len(digest) == 16 else xxh3_64_digest(data)) == digest
