"""A write to a spool file that fails leaves a hole: nothing vouches for it, in this run or the next."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.virtual_time import run_virtual
from xxhash import xxh3_64_digest, xxh3_128_digest

from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.transfer.segment import AddressMap
from skyhaul_connectors.transfer.spool.disk import PosixDisk
from skyhaul_connectors.transfer.spool.extents import BLOCK
from skyhaul_connectors.transfer.spool.journal import Journal
from skyhaul_connectors.transfer.spool.open_shard import OpenShard
from skyhaul_connectors.transfer.spool.spool import Batch, Spool
from skyhaul_schemas.errors import ChecksumMismatch, DiskFull, StorageError

from ..rig import MIB, PLAN, Rig, over, random_objects, whole_segments
from .faulty_disk import FailingDisk, NthWriteFails, RottenDisk

SIZES = [MIB + 300_000, 20_000, 1, 20_000, 700_000]
OBJECTS = {path: bytes(b | 1 for b in data) for path, data in random_objects(1, SIZES).items()}
"""Without a zero byte, so that no hole looks like them."""
CONTENT = b"".join(OBJECTS.values())


def source(**options: Any) -> MemorySource:
    return MemorySource("m", OBJECTS, latency=0.05, rate=250_000, piece=50_000, **options)


def at_once(main: Coroutine[Any, Any, None]) -> None:
    run_virtual(main, limit=1e5)


def rows(journal: Journal, shard: int = 0) -> list[tuple[int, int, bytes]]:
    """What the journal vouches for."""
    known = journal.load(shard)
    return [] if known is None else known.extents.digests(0, known.length)


def journaled(folder: Path) -> list[tuple[int, int, bytes]]:
    journal = Journal(folder / PLAN[:32] / "journal.sqlite")
    found = rows(journal)
    journal.close()
    return found


def assert_of_the_source(digests: list[tuple[int, int, bytes]]) -> None:
    for start, stop, digest in digests:
        data = CONTENT[start:stop]
        assert digest == (xxh3_128_digest(data) if len(digest) == 16 else xxh3_64_digest(data))


async def use_up(rig: Rig, shard: OpenShard) -> None:
    """Read and drop each object as it comes."""
    for index, content in enumerate(OBJECTS.values()):
        await rig.segment_in(shard, index)
        assert shard.read(index, 0, len(content)) == (content, [])
        rig.engine.drop(shard, index)


def writes_of_a_clean_haul(folder: Path, limit: int) -> int:
    disk = NthWriteFails(1 << 60)

    async def haul() -> None:
        rig = Rig(folder, over(source(), 4), disk=disk, spool_limit=limit)
        await use_up(rig, rig.engine.fetch(0, "m", whole_segments(source())))
        rig.engine.close()

    at_once(haul())
    return disk.writes


async def next_run(folder: Path) -> OpenShard:
    rig = Rig(folder, over(source(), 4))
    shard = rig.engine.fetch(0, "m", whole_segments(source()))
    assert await rig.contents(shard) == list(OBJECTS.values())
    counts = shard.counts()["net"]
    assert counts.payload_bytes == len(CONTENT)
    rig.engine.close()
    return shard


WAYS = [
    (errno.ENOSPC, 0, 1, 1 << 40),
    (errno.EIO, 1, 1, 1 << 40),
    (errno.EDQUOT, 3_000, 1, 400_000),
    (errno.EFBIG, 0, 1 << 30, 1 << 40),
]
"""errno, bytes of it that are written, how many writes fail, the spool's limit."""


@pytest.mark.parametrize(("number", "torn", "count", "limit"), WAYS)
@pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_whichever_write_fails_the_next_run_has_the_sources_bytes(
    ram_path: Path, number: int, torn: int, count: int, limit: int, stride: int
) -> None:
    async def failing(folder: Path, nth: int) -> None:
        before: list[list[tuple[int, int, bytes]]] = []

        def look() -> None:
            before.append(rows(rig.engine._spool._journal))

        disk = NthWriteFails(nth, number, torn=torn, count=count, failed=look)
        rig = Rig(folder, over(source(), 4), disk=disk, spool_limit=limit)
        shard = rig.engine.fetch(0, "m", whole_segments(source()))
        with pytest.raises(StorageError) as told:
            await use_up(rig, shard)
        assert isinstance(told.value, DiskFull) == (number != errno.EIO)
        await asyncio.sleep(0.5)
        rig.engine.release(shard, keep=True)
        await asyncio.sleep(0.5)
        rig.engine.close()
        assert disk.failures
        assert journaled(folder) == before[0], "nothing was journaled after the write that failed"
        assert_of_the_source(before[0])

    count_of_all = writes_of_a_clean_haul(ram_path / "clean", limit)
    for nth in {*range(1, count_of_all, stride), count_of_all}:
        folder = ram_path / str(nth)
        at_once(failing(folder, nth))
        run_virtual(next_run(folder), limit=1e5)


def test_a_shard_whose_write_failed_can_be_fetched_again_by_the_same_engine(ram_path: Path) -> None:
    async def main() -> None:
        disk = NthWriteFails(9, errno.ENOSPC)
        rig = Rig(ram_path, over(source(), 4), disk=disk)
        first = rig.engine.fetch(0, "m", whole_segments(source()))
        with pytest.raises(DiskFull):
            await rig.all_in(first)
        rig.engine.release(first, keep=True)
        await asyncio.sleep(0.1)
        second = rig.engine.fetch(0, "m", whole_segments(source()))
        assert await rig.contents(second) == list(OBJECTS.values())
        assert second.counts()["net"].payload_bytes == len(CONTENT)
        assert second.counts()["net"].resent_bytes > 0, "what was pending has crossed twice"
        rig.engine.close()

    at_once(main())


def test_the_shards_beside_it_go_on_and_keep_what_they_have(ram_path: Path) -> None:
    async def main() -> None:
        disk = NthWriteFails(5, only=lambda path: path.name.startswith("0000000"))
        rig = Rig(ram_path, over(source(), 4), disk=disk)
        bad = rig.engine.fetch(0, "m", whole_segments(source()))
        good = rig.engine.fetch(1, "m", whole_segments(source()))
        with pytest.raises(StorageError, match="writing to the spool file"):
            await rig.all_in(bad)
        assert await rig.contents(good) == list(OBJECTS.values())
        rig.engine.release(good, keep=True)
        await asyncio.sleep(0.1)
        assert_of_the_source(rows(rig.engine._spool._journal, 1))
        assert sum(stop - start for start, stop, _ in rows(rig.engine._spool._journal, 1)) == len(CONTENT)
        rig.engine.close()

    at_once(main())


def opened(folder: Path, disk: PosixDisk, shard: int = 0):  # type: ignore[no-untyped-def]  # a pair for tests
    spool = Spool(folder, PLAN, disk)
    return spool, spool.open(shard, AddressMap(whole_segments(source())))


def test_a_commit_that_is_running_when_a_write_fails_journals_nothing_of_the_file(tmp_path: Path) -> None:
    spool, spooled = opened(tmp_path, NthWriteFails(2))
    spooled.file.write(0, CONTENT[:70_000])
    batch = Batch(spooled, spooled.file.take(), {})
    with pytest.raises(StorageError):
        spooled.file.write(70_000, CONTENT[70_000:140_000])
    (answer,) = spool.commit([batch])
    assert isinstance(answer.error, StorageError)
    assert answer.gained == []
    assert rows(spool._journal) == []
    spool.close()


class FailsMeanwhile(PosixDisk):
    """While one file is synced, a write to another one fails."""

    def __init__(self) -> None:
        self.meanwhile = lambda: None

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self.meanwhile()


def test_a_write_that_fails_while_other_files_are_synced_counts_too(tmp_path: Path) -> None:
    disk = FailsMeanwhile()
    spool, first = opened(tmp_path, disk)
    second = spool.open(1, AddressMap(whole_segments(source())))
    for spooled in (first, second):
        spooled.file.write(0, CONTENT[:70_000])
    batches = [Batch(spooled, spooled.file.take(), {}) for spooled in (first, second)]

    def fail() -> None:
        first.file.failed = StorageError("a write of the loop's thread failed")

    disk.meanwhile = fail
    answers = spool.commit(batches[1:] + batches[:1])
    assert [answer.error is None for answer in answers] == [True, False]
    assert rows(spool._journal, 0) == []
    assert_of_the_source(rows(spool._journal, 1))
    spool.close()


def test_after_a_failed_write_the_file_takes_and_tells_nothing(tmp_path: Path) -> None:
    spool, spooled = opened(tmp_path, NthWriteFails(2, errno.ENOSPC))
    spooled.file.write(0, CONTENT[:70_000])
    spooled.file.write(200_000, b"held in memory")
    with pytest.raises(DiskFull):
        spooled.file.write(70_000, CONTENT[70_000:140_000])
    for call in (lambda: spooled.file.write(0, b"x"), spooled.file.take):
        with pytest.raises(DiskFull):
            call()
    spool.close()


def test_what_was_written_to_a_file_that_was_replaced_is_not_journaled_for_the_new_one(
    tmp_path: Path,
) -> None:
    """The sync fails; a batch that was taken before it, as at the end of a haul, comes after it."""
    spool, spooled = opened(tmp_path, FailingDisk(sync=(errno.EIO, 1)))
    spooled.file.write(0, CONTENT[:70_000])
    first = Batch(spooled, spooled.file.take(), {})
    spooled.file.write(70_000, CONTENT[70_000:140_000])
    late = Batch(spooled, spooled.file.take(), {})
    spooled.file.write(140_000, CONTENT[140_000:210_000])
    assert [answer.replaced for answer in spool.commit([first])] == [True]
    (answer,) = spool.commit([late])
    assert (answer.gained, answer.error) == ([], None)
    assert rows(spool._journal) == []
    spooled.file.write(210_000, CONTENT[210_000:280_000])
    (answer,) = spool.commit([Batch(spooled, spooled.file.take(), {})])
    assert answer.gained == [(210_000, 280_000)], "only that went into the new file"
    assert_of_the_source(rows(spool._journal))
    spool.close()


@pytest.mark.parametrize("checksums", [False, True])
def test_bytes_that_the_disk_gives_back_wrong_are_not_the_links_fault(
    ram_path: Path, checksums: bool
) -> None:
    """A block reads wrong as often as an object may arrive wrong; it arrives right each time."""

    async def main() -> None:
        rig = Rig(ram_path, over(source(checksums=checksums), 4), disk=RottenDisk(500_000, 3))
        shard = rig.engine.fetch(0, "m", whole_segments(source(checksums=checksums)))
        assert await rig.contents(shard) == list(OBJECTS.values())
        assert shard.mismatches == {}
        assert shard.counts()["net"].payload_bytes == len(CONTENT)
        assert shard.counts()["net"].resent_bytes > 0
        rig.engine.close()

    at_once(main())


@pytest.mark.parametrize("checksums", [False, True])
def test_a_disk_that_always_reads_wrong_fails_its_shard_and_is_named(ram_path: Path, checksums: bool) -> None:
    async def main() -> None:
        rig = Rig(ram_path, over(source(checksums=checksums), 4), disk=RottenDisk(500_000, 1 << 30))
        shard = rig.engine.fetch(0, "m", whole_segments(source(checksums=checksums)))
        with pytest.raises(
            StorageError, match=r"spool's disk has other bytes .* shard 0.* near byte 0"
        ) as told:
            await rig.all_in(shard)
        assert not isinstance(told.value, ChecksumMismatch)
        rig.engine.close()

    at_once(main())


def test_blocks_are_no_larger_than_the_tests_think() -> None:
    assert SIZES[0] > BLOCK, "one block becomes whole inside an object"
