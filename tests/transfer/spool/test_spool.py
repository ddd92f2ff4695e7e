"""The spool: one holder, bytes checked before use, disks that run full or fail, room that is given back."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_connectors.transfer.spool.disk import PosixDisk
from skyhaul_connectors.transfer.spool.folders import remove_spool, stale_spools
from skyhaul_connectors.transfer.spool.spool import Spool
from skyhaul_schemas.errors import DiskFull, SpoolDamaged, StorageError, UsageError

from ..rig import MIB, PLAN, Rig, over, random_objects, whole_segments
from .faulty_disk import FailingDisk, SmallDisk

OBJECTS = random_objects(9, [2 * MIB + 100, 20_000, 20_000, MIB])
CONTENTS = list(OBJECTS.values())


def at_once(main: Coroutine[Any, Any, None]) -> None:
    run_virtual(main, limit=1e6)


def memory(**options: Any) -> MemorySource:
    return MemorySource("m", OBJECTS, latency=0.05, rate=500_000, **options)


async def some_of_it(folder: Path, seconds: float) -> int:
    """A haul that is cut off after so many seconds. Returns the bytes that its journal holds."""
    rig = Rig(folder, over(memory(), 4))
    shard = rig.engine.fetch(0, "m", whole_segments(memory()))
    await asyncio.sleep(seconds)
    held = shard.durable.total
    rig.engine.close()
    return held


def spool_file(folder: Path) -> Path:
    return folder / PLAN[:32] / "0000000.bytes"


def test_a_second_haul_on_a_spool_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    first = Spool(tmp_path, PLAN, PosixDisk())
    with pytest.raises(UsageError, match=rf"in use by process {os.getpid()}"):
        Spool(tmp_path, PLAN, PosixDisk())
    Spool(tmp_path, "f" * 64, PosixDisk()).close()
    first.close()
    Spool(tmp_path, PLAN, PosixDisk()).close()


def test_the_lock_dies_with_its_holder_and_not_with_its_forked_child(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from skyhaul_connectors.transfer.spool.disk import PosixDisk\n"
        "from skyhaul_connectors.transfer.spool.spool import Spool\n"
        f"spool = Spool(Path({str(tmp_path)!r}), {PLAN!r}, PosixDisk())\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(30)\n"
        "    os._exit(0)\n"
        "print(child, flush=True)\n"
        "time.sleep(30)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        with pytest.raises(UsageError, match=f"process {holder.pid}"):
            Spool(tmp_path, PLAN, PosixDisk())
    finally:
        holder.kill()
        holder.wait()
    try:
        Spool(tmp_path, PLAN, PosixDisk()).close()
    finally:
        os.kill(child, 9)


def test_a_child_that_lets_go_late_does_not_keep_the_next_holder_out(tmp_path: Path) -> None:
    """As if the child had been forked, and its parent killed, before the child ran for the first time."""
    program = (
        "import os, time\n"
        "from pathlib import Path\n"
        "from skyhaul_connectors.transfer.spool.disk import PosixDisk\n"
        "from skyhaul_connectors.transfer.spool.spool import Spool\n"
        f"spool = Spool(Path({str(tmp_path)!r}), {PLAN!r}, PosixDisk())\n"
        "lock = os.dup(spool._lock._fd)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(0.4)\n"
        "    os.close(lock)\n"
        "    time.sleep(30)\n"
        "    os._exit(0)\n"
        "print(child, flush=True)\n"
        "time.sleep(30)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    try:
        Spool(tmp_path, PLAN, PosixDisk()).close()
    finally:
        os.kill(child, 9)


def test_what_rots_or_is_cut_between_runs_is_fetched_again(tmp_path: Path) -> None:
    async def main() -> None:
        held = await some_of_it(tmp_path, 1.55)
        assert held > MIB
        size = spool_file(tmp_path).stat().st_size
        with spool_file(tmp_path).open("r+b") as file:
            file.seek(70_000)
            file.write(b"rot")
            file.truncate(size - 10)
        source = memory()
        rig = Rig(tmp_path, over(source, 4))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        assert await rig.contents(shard) == CONTENTS
        assert 0 < rig.engine.resumed_bytes < held
        counts = shard.counts()["net"]
        assert counts.payload_bytes == sum(map(len, CONTENTS))
        assert counts.resent_bytes > 0
        rig.engine.close()

    at_once(main())


def test_a_spool_file_that_is_gone_is_fetched_again(tmp_path: Path) -> None:
    async def main() -> None:
        await some_of_it(tmp_path, 1.0)
        spool_file(tmp_path).unlink()
        rig = Rig(tmp_path, over(memory(), 4))
        shard = rig.engine.fetch(0, "m", whole_segments(memory()))
        assert await rig.contents(shard) == CONTENTS
        rig.engine.close()

    at_once(main())


def test_rot_between_write_and_use_is_noticed_and_fetched_again(tmp_path: Path) -> None:
    async def main() -> None:
        source = memory()
        rig = Rig(tmp_path, over(source, 4))
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        await rig.all_in(shard)
        with spool_file(tmp_path).open("r+b") as file:
            for place in (5, MIB + 5, 2 * MIB + 50, 2 * MIB + 30_000):
                file.seek(place)
                file.write(b"rotten")
        assert await rig.contents(shard) == CONTENTS
        assert shard.counts()["net"].resent_bytes >= 2 * MIB
        rig.engine.close()

    at_once(main())


def test_other_segments_of_the_same_shard_begin_anew(tmp_path: Path) -> None:
    async def main() -> None:
        await some_of_it(tmp_path, 1.0)
        rig = Rig(tmp_path, over(memory(), 4))
        segments = [Segment(s.object, 10, s.length - 10) for s in whole_segments(memory())]
        shard = rig.engine.fetch(0, "m", segments)
        assert await rig.contents(shard) == [content[10:] for content in CONTENTS]
        assert rig.engine.resumed_bytes == 0
        rig.engine.close()

    at_once(main())


def test_a_rotten_journal_stops_loudly(tmp_path: Path) -> None:
    async def main() -> None:
        await some_of_it(tmp_path, 1.0)
        journal = tmp_path / PLAN[:32] / "journal.sqlite"
        content = bytearray(journal.read_bytes())
        for place in range(200, len(content), 97):
            content[place] ^= 0x55
        journal.write_bytes(content)
        with pytest.raises(SpoolDamaged, match=r"journal\.sqlite"):
            Rig(tmp_path, over(memory(), 4))

    at_once(main())


def test_a_failed_sync_discards_the_file_and_writes_it_anew(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FailingDisk(sync=(errno.EIO, 1))
        rig = Rig(tmp_path, over(memory(), 4), disk=disk)
        shard = rig.engine.fetch(0, "m", whole_segments(memory()))
        other = rig.engine.fetch(1, "m", whole_segments(memory())[:1])
        assert await rig.contents(shard) == CONTENTS
        assert await rig.contents(other) == CONTENTS[:1]
        assert disk.failures["sync"][1] == 0, "the failure happened"
        assert disk.synced_after_failure == []
        assert shard.counts()["net"].payload_bytes == sum(map(len, CONTENTS))
        rig.engine.close()

    at_once(main())


def test_a_disk_whose_syncs_fail_again_fails_its_shard_alone(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FailingDisk(sync=(errno.EIO, 99))
        disk.only = lambda path: path.name.startswith("0000000")
        rig = Rig(tmp_path, over(memory(), 4), disk=disk)
        shard = rig.engine.fetch(0, "m", whole_segments(memory()))
        other = rig.engine.fetch(1, "m", whole_segments(memory()))
        with pytest.raises(StorageError, match="twice failed to sync"):
            await rig.all_in(shard)
        assert await rig.contents(other) == CONTENTS
        rig.engine.close()

    at_once(main())


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_fails_its_shard_with_its_own_error(tmp_path: Path, operation: str, number: int) -> None:
    async def main() -> None:
        disk = FailingDisk(**{operation: (number, 99)})
        disk.only = lambda path: path.name.startswith("0000000")
        rig = Rig(tmp_path, over(memory(), 4), disk=disk)
        shard = rig.engine.fetch(0, "m", whole_segments(memory()))
        other = rig.engine.fetch(1, "m", whole_segments(memory()))
        with pytest.raises(DiskFull, match="no space left"):
            await rig.all_in(shard)
        assert await rig.contents(other) == CONTENTS
        rig.engine.release(shard, keep=True)
        await asyncio.sleep(0.5)
        rig.engine.close()

    at_once(main())


@pytest.mark.parametrize("limit", [MIB, 3 * MIB, 6 * MIB])
def test_a_spool_limit_holds_and_never_locks_up(tmp_path: Path, limit: int) -> None:
    """Four shards of four segments of about a MiB: the consumer reads and drops in order."""

    async def main() -> None:
        sizes = [MIB - 7, 400_000, MIB, 300_001] * 4
        objects = random_objects(2, sizes)
        source = MemorySource("m", objects, latency=0.02, rate=5_000_000)
        room = SmallDisk(limit + 2 * MIB)
        rig = Rig(tmp_path, over(source, 4), spool_limit=limit, disk=room)
        segments = whole_segments(source)
        shards = [rig.engine.fetch(n, "m", segments[4 * n : 4 * n + 4]) for n in range(4)]
        most = 0
        for shard in shards:
            for index in range(4):
                await rig.segment_in(shard, index)
                segment = shard.map.segments[index]
                data, wrong = shard.read(index, segment.offset, segment.length)
                assert not wrong
                assert data == objects[segment.object.path]
                rig.engine.drop(shard, index)
                most = max(most, rig.engine.spool_bytes)
            rig.engine.release(shard, keep=False)
        await asyncio.sleep(0.2)
        assert rig.engine.spool_bytes == 0
        assert most <= limit + 2 * MIB
        rig.engine.close()

    at_once(main())


def test_a_consumer_that_needs_two_segments_at_once_gets_them_whatever_the_limit(tmp_path: Path) -> None:
    async def main() -> None:
        objects = random_objects(2, [MIB, MIB, MIB])
        source = MemorySource("m", objects, latency=0.02)
        rig = Rig(tmp_path, over(source, 4), spool_limit=MIB)
        younger = rig.engine.fetch(1, "m", whole_segments(source))
        older = rig.engine.fetch(0, "m", whole_segments(source))
        assert await asyncio.wait_for(rig.contents(older), 100) == list(objects.values())
        assert await asyncio.wait_for(rig.contents(younger), 100) == list(objects.values())
        rig.engine.close()

    at_once(main())


def test_dropped_segments_give_their_blocks_back_to_the_disk_once_room_is_needed(tmp_path: Path) -> None:
    async def main() -> None:
        objects = random_objects(2, [3 * MIB, MIB, 3 * MIB])
        source = MemorySource("m", objects, latency=0.02)
        rig = Rig(tmp_path, over(source, 4), spool_limit=4 * MIB)
        shard = rig.engine.fetch(0, "m", whole_segments(source))
        await rig.segment_in(shard, 1)
        full = spool_file(tmp_path).stat().st_blocks * 512
        rig.engine.drop(shard, 0)
        await rig.segment_in(shard, 2)
        assert full >= 4 * MIB
        assert spool_file(tmp_path).stat().st_blocks * 512 <= 4 * MIB + 64 * 1024
        assert shard.read(1, 0, MIB)[0] == list(objects.values())[1]
        rig.engine.release(shard, keep=True)
        await asyncio.sleep(0.1)
        rig.engine.close()

        again = Rig(tmp_path, over(source, 4), spool_limit=100 * MIB)
        resumed = again.engine.fetch(0, "m", whole_segments(source))
        assert await again.contents(resumed) == list(objects.values())
        assert again.engine.resumed_bytes == 4 * MIB
        assert resumed.spooled is not None
        assert resumed.spooled.lost == [], "the journal let go of them before the disk did"
        again.engine.close()

    at_once(main())


def test_a_shard_kept_is_resumed_and_a_shard_released_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        source = memory()
        rig = Rig(tmp_path, over(source, 4))
        for keep in (True, False):
            shard = rig.engine.fetch(0, "m", whole_segments(source))
            assert await rig.contents(shard) == CONTENTS
            rig.engine.release(shard, keep=keep)
            await asyncio.sleep(0.1)
            assert spool_file(tmp_path).exists() == keep
        assert rig.engine.resumed_bytes == sum(map(len, CONTENTS))
        assert sum(s.sent for s in source.served) < 1.5 * sum(map(len, CONTENTS))
        rig.engine.close()

    at_once(main())


def test_stale_spools_are_listed_and_removed_and_others_left_alone(tmp_path: Path) -> None:
    old = Spool(tmp_path, "a" * 64, PosixDisk())
    (tmp_path / ("a" * 32) / "0000001.bytes").write_bytes(b"x" * 10_000)
    old.close()
    mine = Spool(tmp_path, "b" * 64, PosixDisk())
    Spool(tmp_path, "c" * 64, PosixDisk()).close()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("not ours")
    stale = stale_spools(tmp_path, keep="c" * 64)
    assert [spool.path.name for spool in stale] == ["a" * 32]
    assert stale[0].bytes >= 10_000
    remove_spool(stale[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b" * 32, "c" * 32, "precious"]
    mine.close()
    assert len(stale_spools(tmp_path)) == 2
    assert stale_spools(tmp_path / "nowhere") == []


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE as a small disk is tried on Linux")
def test_a_real_write_beyond_what_the_system_allows_is_disk_full(tmp_path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from skyhaul_connectors.transfer.spool.disk import PosixDisk\n"
        "from skyhaul_connectors.transfer.spool.spool import SpoolFile\n"
        "from skyhaul_schemas.errors import DiskFull\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"file = SpoolFile(PosixDisk(), Path({str(tmp_path)!r}) / 'x')\n"
        "file.write(0, b'a' * 4096)\n"
        "try:\n"
        "    file.write(4000, b'b' * 4096)\n"
        "    file.take()\n"
        "except DiskFull as error:\n"
        "    print('full')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "full\n"


def test_the_names_of_the_spools_folders_are_synced_also_where_they_are_there(tmp_path: Path) -> None:
    """Whoever made them may have been killed before; what lies below a lost name is lost."""
    synced: list[Path] = []

    class Noting(PosixDisk):
        def sync_folder(self, path: Path) -> None:
            synced.append(path)
            super().sync_folder(path)

    for _ in range(2):
        Spool(tmp_path / "spool", PLAN, Noting()).close()
        assert synced == [tmp_path, tmp_path / "spool"]
        synced.clear()
