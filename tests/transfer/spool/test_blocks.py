"""Digests by block: a wrong block comes again alone, and what was checked never comes again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.sources.memory.faults import Fault, FaultKind
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.transfer.background import InlineBackground
from skyhaul_connectors.transfer.direct_read import VerifiedReads
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_connectors.transfer.spool.open_shard import SegmentState
from skyhaul_schemas.block_digests import BlockDigests
from skyhaul_schemas.errors import ChecksumMismatch, Interrupted
from skyhaul_schemas.plan import PinnedObject

from ..rig import MIB, Rig, behind, emulated_link, over, random_objects

BLOCK = 300_000
"""Bytes; no multiple of the journal's blocks, so that the two never share a border."""
OBJECTS = random_objects(8, [7, 3 * MIB, MIB])
NAME = "object-00001"
DATA = OBJECTS[NAME]


def digests(data: bytes) -> BlockDigests:
    each = (hashlib.sha256(data[at : at + BLOCK]).digest() for at in range(0, len(data), BLOCK))
    return BlockDigests(BLOCK, ((0, b"".join(each)),))


def with_digests(source: MemorySource) -> list[Segment]:
    """All objects whole, each with its digests by block."""
    return [Segment(replace(obj, blocks=digests(OBJECTS[obj.path])), 0, obj.size) for obj in source.listing()]


def wrong_at(
    offset: int, times: int = 10**9, path: str = NAME
) -> Callable[[RangeRequest, int], Fault | None]:
    """The byte at `offset` comes wrong so many times."""
    left = [times]

    def script(request: RangeRequest, attempt: int) -> Fault | None:
        inside = request.offset <= offset < request.offset + request.length
        if request.object.path != path or not inside or not left[0]:
            return None
        left[0] -= 1
        return Fault(FaultKind.CORRUPT, after=offset - request.offset)

    return script


def sent(source: MemorySource) -> int:
    return sum(served.sent for served in source.served)


@pytest.mark.parametrize("block", [0, 4, len(DATA) // BLOCK])
def test_a_block_that_came_wrong_once_is_fetched_again_alone(tmp_path: Path, block: int) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, checksums=True, faults=wrong_at(block * BLOCK + 5, 1))
        rig = Rig(tmp_path, over(source))
        shard = rig.engine.fetch(0, "m", with_digests(source))
        assert await rig.contents(shard) == list(OBJECTS.values())
        again = min(BLOCK, len(DATA) - block * BLOCK)
        total = sum(map(len, OBJECTS.values()))
        assert sent(source) == total + again
        counts = shard.counts()["net"]
        assert (counts.payload_bytes, counts.resent_bytes) == (total, again)
        rig.engine.close()

    run_virtual(main())


def test_a_wrong_block_is_noticed_while_the_rest_of_its_object_is_on_its_way(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, faults=wrong_at(5, 1))
        link = emulated_link("leo", LinkProfile(down=8e6, up=1e6, rtt=0.1))
        rig = Rig(tmp_path, behind(source, link))
        shard = rig.engine.fetch(0, "m", with_digests(source))
        await asyncio.sleep(2.0)
        assert shard.work is not None
        assert shard.work.again.total == BLOCK
        assert shard.durable.total < len(DATA) / 2
        assert await rig.contents(shard) == list(OBJECTS.values())
        rig.engine.close()

    run_virtual(main())


def test_a_block_that_is_always_wrong_fails_by_name_after_three_more_tries(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, checksums=True, faults=wrong_at(2 * BLOCK))
        rig = Rig(tmp_path, over(source))
        shard = rig.engine.fetch(0, "m", with_digests(source))
        with pytest.raises(ChecksumMismatch) as caught:
            await rig.all_in(shard)
        text = f"m: block 2 of {NAME!r} (bytes 600000 to 900000) arrived 4 times"
        assert str(caught.value).startswith(text)
        assert sent(source) <= sum(map(len, OBJECTS.values())) + 3 * BLOCK
        rig.engine.close()

    run_virtual(main())


def test_blocks_that_are_right_under_a_checksum_that_is_wrong_are_not_fetched_again(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS)
        rig = Rig(tmp_path, over(source))
        segments = [
            Segment(replace(s.object, checksum="sha256:" + "0" * 64), s.offset, s.length)
            for s in with_digests(source)
        ]
        shard = rig.engine.fetch(0, "m", segments[1:2])
        with pytest.raises(ChecksumMismatch, match="contradicts itself"):
            await rig.all_in(shard)
        assert sent(source) == len(DATA)
        rig.engine.close()

    run_virtual(main())


def test_a_part_of_an_object_is_proved_by_the_digests_of_its_own_blocks(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, checksums=True, faults=wrong_at(4 * BLOCK, 1))
        rig = Rig(tmp_path, over(source))
        obj = with_digests(source)[1].object
        assert obj.blocks is not None
        stretch = (3 * BLOCK, 2 * BLOCK)
        part = Segment(replace(obj, blocks=obj.blocks.only([stretch], obj.size)), *stretch)
        shard = rig.engine.fetch(0, "m", [part])
        assert await rig.contents(shard) == [DATA[3 * BLOCK : 5 * BLOCK]]
        assert sent(source) == 3 * BLOCK
        rig.engine.close()

    run_virtual(main())


def test_a_block_of_which_no_digest_is_known_holds_nothing_up(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS)
        rig = Rig(tmp_path, over(source))
        obj = with_digests(source)[1].object
        some = replace(obj, blocks=digests(DATA).only([(0, 1), (BLOCK * 3, 1)], len(DATA)))
        assert await rig.contents(rig.engine.fetch(0, "m", [Segment(some, 0, len(DATA))])) == [DATA]
        rig.engine.close()

    run_virtual(main())


class Unheard(InlineBackground):
    """A checker whose answers never come: the process dies before."""

    def submit(self, job: Any, done: Any, failed: Any) -> None:
        """Nothing is done."""


def test_after_a_crash_no_checked_block_is_fetched_again_and_no_unchecked_one_is_taken(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, checksums=True, faults=wrong_at(6 * BLOCK, 1))
        first = Rig(tmp_path, over(source))
        first.engine._verification._checker = Unheard(first.loop)
        shard = first.engine.fetch(0, "m", with_digests(source)[1:2])
        await asyncio.sleep(5.0)
        assert shard.durable.covers(0, len(DATA))
        assert shard.states[0] == SegmentState.WANTED, "journaled, and not verified"
        first.engine.stop(Interrupted("killed"), lambda: None)
        first.engine.close()

        again = Rig(tmp_path, over(source))
        resumed = again.engine.fetch(0, "m", with_digests(source)[1:2])
        assert await again.contents(resumed) == [DATA]
        assert sent(source) == len(DATA) + BLOCK, "the block that had come wrong, and no other"
        again.engine.close()

        served = sent(source)
        third = Rig(tmp_path, over(source))
        assert await third.contents(third.engine.fetch(0, "m", with_digests(source)[1:2])) == [DATA]
        assert sent(source) == served
        third.engine.close()

    run_virtual(main())


def test_what_rots_in_the_spool_is_proved_anew(tmp_path: Path) -> None:
    async def main() -> None:
        source = MemorySource("m", OBJECTS, checksums=True)
        rig = Rig(tmp_path, over(source))
        shard = rig.engine.fetch(0, "m", with_digests(source)[1:2])
        await rig.all_in(shard)
        assert shard.spooled is not None
        with shard.spooled.file.path.open("r+b") as file:
            file.seek(MIB + 17)
            file.write(bytes([DATA[MIB + 17] ^ 1]))
        assert await rig.contents(shard) == [DATA]
        assert sent(source) == len(DATA) + MIB, "a block of the journal"
        assert shard.verified_blocks.all_verified(0)
        rig.engine.close()

    run_virtual(main())


class Fetches:
    """Reads past the spool, of which some come wrong."""

    def __init__(self, wrong: Sequence[int]) -> None:
        self._wrong = wrong
        self.asked: list[tuple[int, int, bool]] = []

    def __call__(self, obj: PinnedObject, offset: int, length: int, *, again: bool = False) -> bytes:
        data = bytearray(DATA[offset : offset + length])
        if len(self.asked) in self._wrong:
            data[0] ^= 1
        self.asked.append((offset, length, again))
        return bytes(data)


def test_reads_past_the_spool_are_of_whole_blocks_each_proved_and_fetched_once() -> None:
    obj = PinnedObject("m", NAME, len(DATA), "", blocks=digests(DATA))
    fetches = Fetches(wrong=[1])
    reads = VerifiedReads(fetches)
    assert reads.read(obj, 10, 30) == DATA[10:30]
    assert reads.read(obj, BLOCK - 5, 2 * BLOCK) == DATA[BLOCK - 5 : BLOCK], "up to the block's end"
    assert reads.read(obj, BLOCK, BLOCK + 9) == DATA[BLOCK : BLOCK + 9]
    assert fetches.asked == [(0, BLOCK, False), (BLOCK, BLOCK, False), (BLOCK, BLOCK, True)]


def test_a_read_past_the_spool_that_is_always_wrong_fails_by_name() -> None:
    obj = PinnedObject("m", NAME, len(DATA), "", blocks=digests(DATA))
    with pytest.raises(ChecksumMismatch, match=r"block 1 of 'object-00001' .* arrived 4 times"):
        VerifiedReads(Fetches(wrong=range(9))).read(obj, BLOCK, BLOCK + 1)


def test_where_no_digest_is_known_a_read_past_the_spool_is_left_to_others() -> None:
    blocks = digests(DATA).only([(0, BLOCK)], len(DATA))
    for known in (None, blocks):
        obj = PinnedObject("m", NAME, len(DATA), "", blocks=known)
        assert VerifiedReads(Fetches([])).read(obj, BLOCK, BLOCK + 1) == b""
