"""What a kill cost: bytes that had been received and were not journaled are counted as re-sent."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from tests.virtual_time import run_virtual

from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.transfer.segment import AddressMap
from skyhaul_connectors.transfer.settings import Lane, SourceLanes
from skyhaul_connectors.transfer.spool import lock as spool_lock
from skyhaul_connectors.transfer.spool.disk import PosixDisk
from skyhaul_connectors.transfer.spool.received_counts import (
    NOTE_EVERY,
    note_counts,
    noted_counts,
    resumed_counts,
)
from skyhaul_connectors.transfer.spool.spool import Spool
from skyhaul_schemas.commit import TransferCounts

from ..rig import MIB, PLAN, Rig, over, random_objects, whole_segments

OBJECTS = random_objects(3, [MIB + 300_000, 20_000, 700_000])
TOTAL = sum(map(len, OBJECTS.values()))
RATE = 400_000
PIECE = 4_000
STREAMS = 4


def source() -> MemorySource:
    return MemorySource("m", OBJECTS, latency=0.02, rate=RATE, piece=PIECE)


def counts_of(payload: int, wire: int = 0, resent: int = 0) -> TransferCounts:
    return TransferCounts(payload_bytes=payload, wire_bytes=wire, resent_bytes=resent)


def kill(rig: Rig) -> None:
    """As SIGKILL does: nothing is flushed, and the locks are the next one's."""
    for lock in list(spool_lock._held):
        lock.release()
    rig.engine._spool._journal.close()
    rig.engine._notes.cancel()


@pytest.mark.parametrize("seed", range(4))
def test_all_that_crossed_over_several_kills_is_payload_or_resent(ram_path: Path, seed: int) -> None:
    draw = random.Random(f"received/{seed}")
    served: list[MemorySource] = []

    async def run(dies_after: float | None) -> None:
        served.append(source())
        rig = Rig(ram_path, over(served[-1], STREAMS))
        shard = rig.engine.fetch(0, "m", whole_segments(served[-1]))
        if dies_after is not None:
            await asyncio.sleep(dies_after)
            kill(rig)
            return
        assert await rig.contents(shard) == list(OBJECTS.values())
        counts = shard.counts()["net"]
        assert counts.payload_bytes == TOTAL
        assert counts.wire_bytes >= counts.payload_bytes + counts.resent_bytes - unknown()
        sent = sum(answer.sent for one in served for answer in one.served)
        crossed_again = sent - TOTAL
        assert 0 < counts.resent_bytes <= crossed_again
        assert crossed_again - counts.resent_bytes <= unknown()
        rig.engine.close()

    def unknown() -> float:
        """Since the last note before each kill."""
        return kills * STREAMS * (NOTE_EVERY * RATE + 2 * PIECE)

    kills = 3
    for _ in range(kills):
        run_virtual(run(draw.uniform(0.15, 0.55)), limit=1e4)
    run_virtual(run(None), limit=1e4)


def test_a_kill_before_the_first_commit_is_known_too(ram_path: Path) -> None:
    served = source()

    async def killed() -> None:
        rig = Rig(ram_path, over(served, STREAMS))
        rig.engine._commits.mark = lambda shard: None  # type: ignore[method-assign]  # it never comes to it
        rig.engine.fetch(0, "m", whole_segments(source()))
        await asyncio.sleep(0.19)
        kill(rig)

    async def after() -> None:
        rig = Rig(ram_path, over(source(), STREAMS))
        shard = rig.engine.fetch(0, "m", whole_segments(source()))
        assert await rig.contents(shard) == list(OBJECTS.values())
        assert rig.engine.resumed_bytes == 0
        assert shard.counts()["net"].payload_bytes == TOTAL
        crossed_again = sum(answer.sent for answer in served.served)
        unknown = STREAMS * (NOTE_EVERY * RATE + 2 * PIECE)
        assert 0 <= crossed_again - shard.counts()["net"].resent_bytes < unknown < crossed_again
        rig.engine.close()

    run_virtual(killed(), limit=1e4)
    run_virtual(after(), limit=1e4)


def test_each_links_loss_is_its_own(ram_path: Path) -> None:
    """Two links carry at once; the kill's cost stands with the one that had brought the bytes."""

    async def run(*, last: bool) -> None:
        fast = MemorySource("m", OBJECTS, latency=0.02, rate=RATE, piece=PIECE)
        slow = MemorySource("m", OBJECTS, latency=0.02, rate=RATE // 8, piece=PIECE)
        lanes = (Lane("fast", fast), Lane("slow", slow))
        rig = Rig(ram_path, {"m": SourceLanes(lanes, STREAMS)})
        shard = rig.engine.fetch(0, "m", whole_segments(fast))
        if not last:
            await asyncio.sleep(0.55)
            before.update(shard.counts())
            kill(rig)
            return
        assert shard.counts() == {}
        await asyncio.sleep(0.01)
        assert shard.spooled is not None
        counts = shard.counts()
        assert set(counts) == {"fast", "slow"}
        held = shard.spooled.extents.total
        assert sum(c.payload_bytes for c in counts.values()) == held
        for link, count in counts.items():
            lost = before[link].payload_bytes - count.payload_bytes
            assert (
                0
                <= before[link].payload_bytes
                + before[link].resent_bytes
                - (count.payload_bytes + count.resent_bytes)
                <= STREAMS * (NOTE_EVERY * RATE + PIECE)
            ), "received stays received"
            assert lost < before[link].payload_bytes
        rig.engine.close()

    before: dict[str, TransferCounts] = {}
    run_virtual(run(last=False), limit=1e4)
    run_virtual(run(last=True), limit=1e4)


def test_a_shard_put_off_and_taken_up_again_lost_nothing(ram_path: Path) -> None:
    async def main() -> None:
        for last in (False, True):
            rig = Rig(ram_path, over(source(), STREAMS))
            shard = rig.engine.fetch(0, "m", whole_segments(source()))
            if last:
                assert await rig.contents(shard) == list(OBJECTS.values())
                assert shard.counts()["net"].payload_bytes == TOTAL
                assert shard.counts()["net"].resent_bytes == 0
            else:
                await asyncio.sleep(0.4)
                rig.engine.release(shard, keep=True)
            rig.engine.close()

    run_virtual(main(), limit=1e4)


def test_segments_that_had_left_the_spool_cross_again_and_are_counted(ram_path: Path) -> None:
    async def main() -> None:
        for last in (False, True):
            rig = Rig(ram_path, over(source(), STREAMS), spool_limit=MIB)
            shard = rig.engine.fetch(0, "m", whole_segments(source()))
            for index, content in enumerate(OBJECTS.values()):
                if index == 2 and not last:
                    break
                await rig.segment_in(shard, index)
                assert shard.read(index, 0, len(content)) == (content, [])
                rig.engine.drop(shard, index)
            await asyncio.sleep(0.5)
            if not last:
                assert shard.punched.total == MIB
            counts = shard.counts()["net"]
            rig.engine.close()
        assert counts.payload_bytes == TOTAL
        assert MIB <= counts.resent_bytes < MIB + 100_000, "some asks went out twice besides"
        assert counts.payload_bytes + counts.resent_bytes == counts.wire_bytes

    run_virtual(main(), limit=1e4)


def test_counts_go_on_from_what_is_held() -> None:
    journaled = {"a": counts_of(100, 150, 3), "b": counts_of(50, 60)}
    noted = {"a": counts_of(130, 190, 5), "b": counts_of(50, 61)}
    assert resumed_counts(journaled, noted, 150) == {
        "a": counts_of(100, 190, 35),
        "b": counts_of(50, 61),
    }, "what came after the commit comes off the link that brought it"
    assert resumed_counts(journaled, noted, 110) == {"a": counts_of(60, 190, 75), "b": counts_of(50, 61)}
    assert resumed_counts(journaled, noted, 0) == {"a": counts_of(0, 190, 135), "b": counts_of(0, 61, 50)}
    assert resumed_counts(journaled, {}, 150) == journaled, "no note: as journaled"
    old = {"a": counts_of(20, 30)}
    assert resumed_counts(journaled, old, 150) == journaled, "an old note: as journaled"
    assert resumed_counts({}, noted, 0) == {"a": counts_of(0, 190, 135), "b": counts_of(0, 61, 50)}
    assert resumed_counts({}, {}, 0) == {}
    assert resumed_counts(journaled, noted, 500) == noted, "more is held than was counted"


def test_a_note_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    note = tmp_path / "0000000.counts"
    counts = {"leo\n": counts_of(7, 9, 2), "b": counts_of(1)}
    assert noted_counts(note, "layout") == {}
    note_counts(PosixDisk(), note, "layout", counts)
    assert noted_counts(note, "layout") == counts
    assert noted_counts(note, "another layout") == {}
    whole = note.read_bytes()
    for cut in range(len(whole) - 1):
        note.write_bytes(whole[:cut])
        assert noted_counts(note, "layout") == {}
    for at in range(len(whole) - 1):
        note.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert noted_counts(note, "layout") == {}
    note.write_bytes(whole)
    note_counts(PosixDisk(), note, "layout", {"b": counts_of(2)})
    assert noted_counts(note, "layout") == {"b": counts_of(2)}, "the rest of the longer one is no part of it"


def test_a_note_that_cannot_be_written_costs_nothing_but_itself(tmp_path: Path) -> None:
    note_counts(PosixDisk(), tmp_path / "no folder" / "0000000.counts", "layout", {"a": counts_of(1)})


def test_notes_go_with_their_shard(tmp_path: Path) -> None:
    folder = tmp_path / PLAN[:32]
    address = AddressMap(whole_segments(source()))
    spool = Spool(tmp_path, PLAN, PosixDisk())
    for shard in (0, 1):
        spool.note(spool.open(shard, address), {"a": counts_of(5, 5)})
    spool.remove(spool.open(1, address))
    (folder / "0000009.counts").write_text("of a shard that the journal does not know")
    spool.close()
    spool = Spool(tmp_path, PLAN, PosixDisk())
    assert sorted(path.name for path in folder.glob("*.counts")) == ["0000000.counts"]
    assert spool.open(0, address).counts == {"a": counts_of(0, 5, 5)}
    other = AddressMap(whole_segments(source())[:1])
    assert spool.open(0, other).counts == {}, "another layout begins anew"
    assert list(folder.glob("*.counts")) == []
    spool.close()
