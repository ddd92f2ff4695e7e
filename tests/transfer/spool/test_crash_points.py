"""The spool after a death at any moment: what the journal claims is there, and the haul goes on from it."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.transfer.intervals import IntervalSet
from skyhaul_connectors.transfer.spool import lock as spool_lock
from skyhaul_connectors.transfer.spool.journal import Journal, ShardChange

from ..rig import MIB, PLAN, Rig, over, random_objects, whole_segments
from .faulty_disk import CountingDisk, Died, ForgetfulDisk

SIZES = [MIB + 300_000, 20_000, 0, 20_000, 700_000]
OBJECTS = random_objects(1, SIZES)
RATE = 250_000


def source() -> MemorySource:
    return MemorySource("m", OBJECTS, latency=0.05, rate=RATE, piece=50_000, checksums=True)


async def haul(folder: Path, disk: CountingDisk | ForgetfulDisk | None, served: list[MemorySource]) -> None:
    """One run: fetch, read everything, release as committed."""
    src = source()
    served.append(src)
    rig = Rig(folder, over(src, 4), disk=disk)
    shard = rig.engine.fetch(0, "m", whole_segments(src))
    assert await rig.contents(shard) == list(OBJECTS.values())
    rig.engine.release(shard, keep=False)
    await asyncio.sleep(0.1)
    rig.engine.close()


class DyingJournal(Journal):
    """Dies before or after its n-th commit, or leaves the transaction open as SIGKILL would."""

    die_at: int | None = None
    commits = 0

    def commit(self, changes: list[ShardChange]) -> None:  # type: ignore[override]  # a list in practice
        cls = type(self)
        if cls.die_at == cls.commits:
            cls.commits += 1
            raise Died
        super().commit(changes)
        cls.commits += 1
        if cls.die_at == cls.commits:
            cls.commits += 1
            raise Died


def run_until_death(folder: Path, disk: CountingDisk | None) -> None:
    try:
        run_virtual(haul(folder, disk, []), limit=1000)
    except Died:
        as_the_kernel_does()


def as_the_kernel_does() -> None:
    """Let go of the locks of a process that died."""
    for lock in list(spool_lock._held):
        lock.release()


def operations_of_a_clean_run(folder: Path) -> int:
    disk = CountingDisk(lambda n, operation: None)
    run_virtual(haul(folder, disk, []), limit=1000)
    return disk.operations


@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_a_death_at_any_disk_operation_is_recovered_from(ram_path: Path, stride: int) -> None:
    count = operations_of_a_clean_run(ram_path / "clean")
    assert count > 60
    for point in range(0, count, stride):
        folder = ram_path / f"at-{point}"

        def die(n: int, operation: str, point: int = point) -> None:
            if n == point:
                raise Died(operation)

        run_until_death(folder, CountingDisk(die))
        run_virtual(haul(folder, None, []), limit=1000)


def test_a_death_in_recovery_is_recovered_from(ram_path: Path) -> None:
    count = operations_of_a_clean_run(ram_path / "clean")
    for first, second in itertools.product(range(count // 2, count, count // 6), range(0, 20, 5)):
        folder = ram_path / f"{first}-{second}"
        for point in (first, second, second + 1):

            def die(n: int, operation: str, point: int = point) -> None:
                if n == point:
                    raise Died(operation)

            run_until_death(folder, CountingDisk(die))
        run_virtual(haul(folder, None, []), limit=1000)


def test_a_death_around_any_journal_commit_is_recovered_from(ram_path: Path) -> None:
    with patch("skyhaul_connectors.transfer.spool.spool.Journal", DyingJournal):
        DyingJournal.die_at, DyingJournal.commits = None, 0
        run_until_death(ram_path / "clean", None)
        count = DyingJournal.commits
        assert count >= 5
        for point in range(count + 1):
            DyingJournal.die_at, DyingJournal.commits = point, 0
            run_until_death(ram_path / f"at-{point}", None)
            DyingJournal.die_at = None
            run_virtual(haul(ram_path / f"at-{point}", None, []), limit=1000)


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.3, 1.9])
def test_a_power_cut_takes_nothing_that_the_journal_vouches_for(ram_path: Path, seconds: float) -> None:
    disk = ForgetfulDisk()

    async def until_the_lights_go_out() -> None:
        src = source()
        rig = Rig(ram_path, over(src, 4), disk=disk)
        rig.engine.fetch(0, "m", whole_segments(src))
        await asyncio.sleep(seconds)
        as_the_kernel_does()
        rig.engine._spool._journal.close()

    run_virtual(until_the_lights_go_out(), limit=1000)
    disk.power_cut()
    journal = sqlite3.connect(ram_path / PLAN[:32] / "journal.sqlite")
    rows = journal.execute("SELECT (SELECT count(*) FROM extents) + (SELECT count(*) FROM blocks)")
    assert rows.fetchone()[0] > 0, "something had been journaled"
    journal.close()

    async def afterwards() -> None:
        rig = Rig(ram_path, over(source(), 4))
        shard = rig.engine.fetch(0, "m", whole_segments(source()))
        await asyncio.sleep(0.01)
        assert shard.spooled is not None
        assert shard.spooled.lost == []
        assert rig.engine.resumed_bytes > 0
        assert await rig.contents(shard) == list(OBJECTS.values())
        rig.engine.close()

    run_virtual(afterwards(), limit=1000)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5, 2.0])
def test_a_kill_costs_the_open_ranges_and_the_last_quarter_second(ram_path: Path, seconds: float) -> None:
    first = source()

    async def killed() -> None:
        rig = Rig(ram_path, over(first, 4))
        rig.engine.fetch(0, "m", whole_segments(first))
        await asyncio.sleep(seconds)
        as_the_kernel_does()
        rig.engine._spool._journal.close()

    run_virtual(killed(), limit=1000)
    served: list[MemorySource] = []
    run_virtual(haul(ram_path, None, served), limit=1000)
    twice = served_twice(first, served[0])
    last_quarter_second = 0.25 * 4 * RATE
    open_ranges = 4 * 50_000
    assert twice <= last_quarter_second + open_ranges


def served_twice(first: MemorySource, second: MemorySource) -> int:
    """Bytes that the second run's source sent and the first run's had sent before."""
    sent: dict[str, IntervalSet] = {}
    for s in first.served:
        sent.setdefault(s.path, IntervalSet()).add(s.offset, s.offset + s.sent)
    again: dict[str, IntervalSet] = {}
    for s in second.served:
        for start, stop in sent.get(s.path, IntervalSet()).overlaps(s.offset, s.offset + s.sent):
            again.setdefault(s.path, IntervalSet()).add(start, stop)
    return sum(intervals.total for intervals in again.values())
