"""What the journal vouches for is what the file holds: digests follow the bytes through every change."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_connectors.transfer import held as held_module
from skyhaul_connectors.transfer.held import Held, proves

SMALL = 16
LENGTH = 5 * SMALL + 7

places = st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(lambda p: (min(p), max(p)))
steps = st.lists(st.tuples(st.sampled_from(["take", "drop", "rot"]), places), max_size=30)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks():  # type: ignore[no-untyped-def]
    with patch.object(held_module, "BLOCK", SMALL):
        yield


class File:
    """A spool file in memory."""

    def __init__(self) -> None:
        self.bytes = bytearray((7 * i + 3) % 251 for i in range(LENGTH))
        self.sound = bytes(self.bytes)

    def read(self, position: int, length: int) -> bytes:
        return bytes(self.bytes[position : position + length])


def vouched(held: Held) -> set[int]:
    return {n for start, stop in held.stretches() for n in range(start, stop)}


@settings(deadline=None, derandomize=True, max_examples=150)
@given(steps)
def test_every_byte_that_is_in_has_a_proof_and_rot_never_passes_one(
    changes: list[tuple[str, tuple[int, int]]],
) -> None:
    file, held, rows = File(), Held(LENGTH), Rows()
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
            step = held.take([(start, stop)], file.read)
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
        proved = {n for a, b, _ in held.proofs(0, LENGTH) for n in range(a, b)}
        assert proved == expected
        for a, b, digest in held.proofs(0, LENGTH):
            sound = not rotten & set(range(a, b))
            assert proves(digest, file.read(a, b - a), b - a) == sound
    step = held.check(file.read)
    assert not vouched(held) & rotten
    assert expected - vouched(held) == {n for a, b in step.lost for n in range(a, b)}
    assert Held(LENGTH, rows.extents_after(step.change), rows.blocks()).stretches() == held.stretches()


class Rows:
    """The journal's two tables, as dictionaries."""

    def __init__(self) -> None:
        self._extents: dict[int, tuple[int, bytes]] = {}
        self._blocks: dict[int, bytes] = {}

    def apply(self, change: held_module.Change) -> None:
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

    def extents_after(self, change: held_module.Change) -> list[tuple[int, int, bytes]]:
        self.apply(change)
        return [(a, b, d) for a, (b, d) in sorted(self._extents.items())]

    def blocks(self) -> list[tuple[int, bytes]]:
        return sorted(self._blocks.items())


def test_a_whole_block_has_one_digest_and_its_extents_are_gone() -> None:
    file, held, rows = File(), Held(LENGTH), Rows()
    rows.apply(held.take([(0, 5)], file.read).change)
    assert len(held.proofs(0, SMALL)) == 1
    rows.apply(held.take([(5, SMALL)], file.read).change)
    assert [(a, b, len(d)) for a, b, d in held.proofs(0, SMALL)] == [(0, SMALL, 16)]
    assert rows.blocks()
    assert rows.extents_after(held_module.Change()) == []


def test_rot_in_an_extent_is_found_when_its_block_becomes_whole() -> None:
    file, held = File(), Held(LENGTH)
    held.take([(0, 5)], file.read)
    file.bytes[2] ^= 1
    step = held.take([(5, SMALL)], file.read)
    assert step.lost == [(0, 5)]
    assert vouched(held) == set(range(5, SMALL))


def test_a_file_that_is_too_short_vouches_for_nothing() -> None:
    file, held = File(), Held(LENGTH)
    del file.bytes[10:]
    step = held.take([(0, 40)], file.read)
    assert 39 not in vouched(held)
    assert step.lost
