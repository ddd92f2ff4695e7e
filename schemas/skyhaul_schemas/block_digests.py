"""SHA-256 digests of an object's blocks, as a list of objects states them and as a plan keeps them.

A plan has them in one binary column (`blocks`): the block's size, then runs of blocks that follow each
other, each with the number of its first block, how many they are, and their digests of 32 bytes. Numbers are
8 bytes, little-endian. The row of an object has one run, of all its blocks; that of a chunk has those that it
may need.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

DIGEST = 32
"""Bytes of one digest."""

_SIZE = struct.Struct("<q")
_RUN = struct.Struct("<qq")


@dataclass(frozen=True, slots=True)
class BlockDigests:
    """Digests of some or all blocks of one object."""

    size: int
    """Bytes of a block; the last one of an object is as long as what is left."""
    runs: tuple[tuple[int, bytes], ...]
    """(number of the first block, digests one after the other), rising and apart; an object's first block is
    number 0. Bytes and no list of digests: a plan may hold millions, and 32 bytes are all that each takes."""

    @property
    def nbytes(self) -> int:
        """Bytes that the digests take."""
        return sum(len(digests) for _, digests in self.runs)

    def digest_of(self, block: int) -> bytes | None:
        """The digest of block number `block`; None where it is not known."""
        for first, digests in self.runs:
            at = (block - first) * DIGEST
            if 0 <= at < len(digests):
                return digests[at : at + DIGEST]
        return None

    def is_whole(self, length: int) -> bool:
        """Whether these are the digests of all blocks of an object of `length` bytes."""
        return [(first, len(digests)) for first, digests in self.runs] == [
            (0, -(-length // self.size) * DIGEST)
        ]

    def bounds(self, block: int, length: int) -> tuple[int, int]:
        """The block's bytes, [start, stop), in an object of `length` bytes."""
        return block * self.size, min((block + 1) * self.size, length)

    def widened(self, ranges: Iterable[tuple[int, int]], length: int) -> list[tuple[int, int]]:
        """(offset, length) of the whole blocks that hold `ranges`, rising and apart."""
        found: list[tuple[int, int]] = []
        for offset, count in sorted(ranges):
            if not count:
                continue
            start = offset // self.size * self.size
            stop = min(-(-(offset + count) // self.size) * self.size, length)
            # Two ranges may lie in one block, and blocks side by side are fetched as one stretch.
            if found and start <= sum(found[-1]):
                start, stop = found[-1][0], max(stop, sum(found[-1]))
                found.pop()
            found.append((start, stop - start))
        return found

    def only(self, ranges: Iterable[tuple[int, int]], length: int) -> BlockDigests:
        """The digests of the blocks that hold `ranges` of an object of `length` bytes, all of them known."""
        runs: list[tuple[int, bytes]] = []
        for offset, count in self.widened(ranges, length):
            first, stop = offset // self.size, -(-(offset + count) // self.size)
            digests = b"".join(self.digest_of(block) or b"" for block in range(first, stop))
            if len(digests) != (stop - first) * DIGEST:
                raise ValueError(f"not all digests of blocks {first} to {stop} are known")
            runs.append((first, digests))
        return BlockDigests(self.size, tuple(runs))

    def packed(self) -> bytes:
        """As a plan has them."""
        parts = [_SIZE.pack(self.size)]
        for first, digests in self.runs:
            parts += [_RUN.pack(first, len(digests) // DIGEST), digests]
        return b"".join(parts)


def unpacked(data: bytes, length: int) -> BlockDigests:
    """What `packed` gave, for an object of `length` bytes. Raises ValueError for anything else."""
    if len(data) < _SIZE.size:
        raise ValueError("no block size")
    (size,) = _SIZE.unpack_from(data)
    if size <= 0:
        raise ValueError(f"a block size of {size}")
    runs: list[tuple[int, bytes]] = []
    at, free, blocks = _SIZE.size, 0, -(-length // size)
    while at < len(data):
        if len(data) - at < _RUN.size:
            raise ValueError("a run without a head")
        first, count = _RUN.unpack_from(data, at)
        at += _RUN.size
        # The bytes come from a plan's file: they may claim any number, and none may lead past `data`.
        if first < free or not 0 < count <= blocks - first or count * DIGEST > len(data) - at:
            raise ValueError(f"{count} blocks from number {first} on")
        runs.append((first, data[at : at + count * DIGEST]))
        at += count * DIGEST
        free = first + count
    return BlockDigests(size, tuple(runs))
