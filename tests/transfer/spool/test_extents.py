"""What the journal vouches for is what the file holds: digests follow the bytes through every change."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_digest

from skyhaul_connectors.transfer.spool import extents as extents_module
from skyhaul_connectors.transfer.spool.extents import JournaledExtents, arrivals, has_digest

SMALL = 16
LENGTH = 5 * SMALL + 7

places = st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(lambda p: (min(p), max(p)))
steps = st.lists(st.tuples(st.sampled_from(["take", "drop", "rot"]), places), max_size=30)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks():  # type: ignore[no-untyped-def]
    with patch.object(extents_module, "BLOCK", SMALL):
        yield


class File:
    """A spool file in memory."""

    def __init__(self) -> None:
        self.bytes = bytearray((7 * i + 3) % 251 for i in range(LENGTH))
        self.sound = bytes(self.bytes)

    def read(self, position: int, length: int) -> bytes:
        return bytes(self.bytes[position : position + length])


def vouched(held: JournaledExtents) -> set[int]:
    return {n for start, stop in held.stretches() for n in range(start, stop)}


@settings(deadline=None, derandomize=True, max_examples=150)
@given(steps)
def test_every_byte_that_is_in_has_a_proof_and_rot_never_passes_one(
    changes: list[tuple[str, tuple[int, int]]],
) -> None:
    file, held, rows = File(), JournaledExtents(LENGTH), Rows()
    expected: set[int] = set()
    rotten: set[int] = set()
    for what, (start, stop) in changes:
        if what == "rot":
            for n in range(start, min(stop, start + 2)):
                file.bytes[n] = file.sound[n] ^ 0xFF
                rotten.add(n)
            continue
        if what == "take":
            for n in set(range(start, stop)) - vouched(held):
                file.bytes[n] = file.sound[n]
                rotten.discard(n)
            step = held.take(arrivals(start, file.sound[start:stop]), file.read)
        else:
            step = held.drop(start, stop, file.read)
        rows.apply(step.change)
        lost = {n for a, b in step.lost for n in range(a, b)}
        if what == "take":
            expected |= set(range(start, stop))
        else:
            expected -= set(range(start, stop))
        expected -= lost
        assert vouched(held) == expected
        assert not lost or rotten, "nothing sound is lost"
        assert rows.vouched() == expected, "the journal says the same"
        verified = {n for a, b, _ in held.digests(0, LENGTH) for n in range(a, b)}
        assert verified == expected
        for a, b, digest in held.digests(0, LENGTH):
            sound = not rotten & set(range(a, b))
            assert has_digest(digest, file.read(a, b - a), b - a) == sound
    step = held.check(file.read)
    assert not vouched(held) & rotten
    assert expected - vouched(held) == {n for a, b in step.lost for n in range(a, b)}
    assert (
        JournaledExtents(LENGTH, rows.extents_after(step.change), rows.blocks()).stretches()
        == held.stretches()
    )


class Rows:
    """The journal's two tables, as dictionaries."""

    def __init__(self) -> None:
        self._extents: dict[int, tuple[int, bytes]] = {}
        self._blocks: dict[int, bytes] = {}

    def apply(self, change: extents_module.Change) -> None:
        for start in change.extents_out:
            del self._extents[start]
        for block in change.blocks_out:
            del self._blocks[block]
        for start, stop, digest in change.extents_in:
            self._extents[start] = (stop, digest)
        self._blocks.update(change.blocks_in)

    def vouched(self) -> set[int]:
        found = {n for a, (b, _) in self._extents.items() for n in range(a, b)}
        for block in self._blocks:
            found |= set(range(block * SMALL, min((block + 1) * SMALL, LENGTH)))
        return found

    def extents_after(self, change: extents_module.Change) -> list[tuple[int, int, bytes]]:
        self.apply(change)
        return [(a, b, d) for a, (b, d) in sorted(self._extents.items())]

    def blocks(self) -> list[tuple[int, bytes]]:
        return sorted(self._blocks.items())


def test_a_whole_block_has_one_digest_and_its_extents_are_gone() -> None:
    file, held, rows = File(), JournaledExtents(LENGTH), Rows()
    rows.apply(held.take(arrivals(0, file.sound[:5]), file.read).change)
    assert len(held.digests(0, SMALL)) == 1
    rows.apply(held.take(arrivals(5, file.sound[5:SMALL]), file.read).change)
    assert [(a, b, len(d)) for a, b, d in held.digests(0, SMALL)] == [(0, SMALL, 16)]
    assert rows.blocks()
    assert rows.extents_after(extents_module.Change()) == []


def test_rot_in_an_extent_is_found_when_its_block_becomes_whole() -> None:
    file, held = File(), JournaledExtents(LENGTH)
    held.take(arrivals(0, file.sound[:5]), file.read)
    file.bytes[2] ^= 1
    step = held.take(arrivals(5, file.sound[5:SMALL]), file.read)
    assert step.lost == [(0, 5)]
    assert vouched(held) == set(range(5, SMALL))


def test_a_file_that_is_too_short_vouches_for_nothing() -> None:
    file, held = File(), JournaledExtents(LENGTH)
    del file.bytes[10:]
    step = held.take(arrivals(0, file.sound[:40]), file.read)
    assert step.lost == [(0, SMALL), (SMALL, 2 * SMALL)]
    assert held.digests(0, 40) == [(32, 40, xxh3_64_digest(file.sound[32:40]))], "of what arrived"
    held.check(file.read)
    assert held.stretches() == []


def hole(file: File, start: int, stop: int) -> None:
    file.bytes[start:stop] = bytes(stop - start)


@pytest.mark.parametrize("piece", [1, 5, SMALL])
def test_a_hole_never_gets_a_digest(piece: int) -> None:
    """As after a write that failed while later ones went well: the file has its length, and zeros."""
    for start in range(0, LENGTH, piece):
        file, held = File(), JournaledExtents(LENGTH)
        hole(file, start, start + piece)
        for at in range(0, LENGTH, piece):
            held.take(arrivals(at, file.sound[at : at + piece]), file.read)
        for low, high, digest in held.digests(0, LENGTH):
            assert has_digest(digest, file.sound[low:high], high - low), "it proves what arrived"
        held.check(file.read)
        assert not vouched(held) & set(range(start, min(start + piece, LENGTH)))
        assert vouched(held) >= set(range(LENGTH)) - set(range(start, min(start + piece, LENGTH)))


def test_only_what_reads_wrong_of_a_block_is_lost_when_it_becomes_whole() -> None:
    file, held = File(), JournaledExtents(LENGTH)
    held.take(arrivals(0, file.sound[:5]), file.read)
    hole(file, 7, 9)
    parts = [*arrivals(5, file.sound[5:7]), *arrivals(7, file.sound[7:9]), *arrivals(9, file.sound[9:SMALL])]
    step = held.take(parts, file.read)
    assert step.lost == [(7, 9)]
    assert step.gained == [(5, 7), (9, SMALL)]
    assert held.stretches() == [(0, 7), (9, SMALL)]


def test_what_is_in_stays_and_only_the_rest_of_an_arrival_is_taken() -> None:
    file, held, rows = File(), JournaledExtents(LENGTH), Rows()
    rows.apply(held.take(arrivals(4, file.sound[4:8]), file.read).change)
    step = held.take([*arrivals(2, file.sound[2:10]), *arrivals(0, file.sound[:3])], file.read)
    rows.apply(step.change)
    assert sorted(step.gained) == [(0, 2), (2, 4), (8, 10)]
    assert rows.vouched() == vouched(held) == set(range(10))
    file.bytes[12] ^= 1
    step = held.take(arrivals(9, file.sound[9:14]), file.read)
    assert (step.gained, step.lost) == ([], [(10, 14)]), "a part of what reads wrong proves nothing"


def test_extents_of_a_block_that_touch_become_one_before_there_are_many() -> None:
    file, held, rows = File(), JournaledExtents(LENGTH), Rows()
    with patch.object(extents_module, "MOST_EXTENTS", 4):
        for at in (0, 2, 3, 4, 6, 8, 9, 10):
            rows.apply(held.take(arrivals(at, file.sound[at : at + 1]), file.read).change)
            assert len(held.digests(0, SMALL)) <= 5
    assert rows.vouched() == vouched(held) == {0, 2, 3, 4, 6, 8, 9, 10}
    for low, high, digest in held.digests(0, SMALL):
        assert has_digest(digest, file.sound[low:high], high - low)
    assert rows.extents_after(extents_module.Change()) == held.digests(0, SMALL)


def test_extents_are_joined_only_where_each_of_them_reads_as_it_arrived() -> None:
    file, held = File(), JournaledExtents(LENGTH)
    with patch.object(extents_module, "MOST_EXTENTS", 2):
        held.take([*arrivals(0, file.sound[:2]), *arrivals(2, file.sound[2:4])], file.read)
        hole(file, 2, 4)
        step = held.take(arrivals(4, file.sound[4:6]), file.read)
    assert step.lost == [(2, 4)]
    assert held.stretches() == [(0, 2), (4, 6)]
