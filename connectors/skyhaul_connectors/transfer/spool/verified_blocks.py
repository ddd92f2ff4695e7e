"""Which blocks of a shard's segments have been held against the digests that the source's list states.

No I/O: it says which blocks are due for a check, and takes the outcome. What is verified is not journaled:
after a restart the blocks are read from the spool and verified again, and nothing is fetched for that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from skyhaul_connectors.transfer.intervals import IntervalSet, Stretch
from skyhaul_connectors.transfer.segment import AddressMap


@dataclass(frozen=True, slots=True, eq=False)
class DueBlock:
    """Block `number` of the segment's object, at positions [start, stop). Each check has one of its own."""

    number: int
    start: int
    stop: int
    digest: bytes


class VerifiedBlocks:
    """The verified blocks of one shard, in positions of its address map.

    Blocks that reach beyond their segment are not checked: segments of objects with digests are whole
    blocks."""

    def __init__(self, address: AddressMap) -> None:
        self._map = address
        self._verified = IntervalSet()
        self._checking: dict[int, DueBlock] = {}
        self._tries: dict[int, int] = {}

    def due(self, segment: int, stretch: Stretch, durable: IntervalSet) -> list[DueBlock]:
        """The segment's blocks that are due for a check. They count as being checked from now on.

        Due are those with a byte in `stretch` that are whole in `durable`, and neither verified nor being
        checked."""
        found: list[DueBlock] = []
        blocks = self._map.segments[segment].object.blocks
        if blocks is None:
            return found
        for number in self._numbers(segment, *stretch):
            start, stop = self._positions(segment, number)
            if (
                start in self._checking
                or not durable.covers(start, stop)
                or self._verified.covers(start, stop)
            ):
                continue
            digest = blocks.digest_of(number)
            if digest is None:
                self._verified.add(start, stop)  # nothing states what it should be
                continue
            block = self._checking[start] = DueBlock(number, start, stop, digest)
            found.append(block)
        return found

    def settle(self, checked: Sequence[DueBlock], wrong: Collection[DueBlock]) -> list[tuple[DueBlock, int]]:
        """The checks ended.

        Returns:
            The wrong blocks, with how often each has been wrong; none of those whose bytes were lost
            meanwhile."""
        found: list[tuple[DueBlock, int]] = []
        for block in checked:
            # By identity: bytes that were lost while they were checked may be in again, under a new check.
            if self._checking.get(block.start) is not block:
                continue
            del self._checking[block.start]
            if block in wrong:
                tries = self._tries[block.start] = self._tries.get(block.start, 0) + 1
                found.append((block, tries))
            else:
                self._verified.add(block.start, block.stop)
        return found

    def undecided(self, checked: Iterable[DueBlock]) -> None:
        """End checks without an outcome: the blocks are due again once their bytes are in again."""
        for block in checked:
            if self._checking.get(block.start) is block:
                del self._checking[block.start]

    def all_verified(self, segment: int) -> bool:
        """Whether every block of the segment is verified."""
        numbers = self._numbers(segment, *self._map.stretch(segment))
        if not numbers:
            return True
        first, last = self._positions(segment, numbers[0]), self._positions(segment, numbers[-1])
        return self._verified.covers(first[0], last[1])

    def lost(self, start: int, stop: int) -> None:
        """Forget what is known of the blocks with a byte in [start, stop), whose bytes are gone."""
        if start >= stop:
            return
        for segment in self._map.touched(start, stop):
            if self._map.segments[segment].object.blocks is None:
                continue
            for number in self._numbers(segment, start, stop):
                low, high = self._positions(segment, number)
                self._verified.remove(low, high)
                self._checking.pop(low, None)

    def _numbers(self, segment: int, start: int, stop: int) -> range:
        """Numbers of the segment's whole blocks with a byte at [start, stop)."""
        wanted = self._map.segments[segment]
        blocks = wanted.object.blocks
        first, last = self._map.stretch(segment)
        low = self._map.object_offset(segment, max(start, first))
        high = self._map.object_offset(segment, min(stop, last))
        if blocks is None or low >= high:
            return range(0)
        end = wanted.offset + wanted.length
        # The object's last block may be shorter, and is whole where the segment reaches the object's end.
        whole = -(-end // blocks.size) if end == wanted.object.size else end // blocks.size
        return range(
            max(low // blocks.size, -(-wanted.offset // blocks.size)), min(-(-high // blocks.size), whole)
        )

    def _positions(self, segment: int, number: int) -> Stretch:
        wanted = self._map.segments[segment]
        assert wanted.object.blocks is not None
        start, stop = wanted.object.blocks.bounds(number, wanted.object.size)
        return self._map.position(segment, start), self._map.position(segment, stop)
