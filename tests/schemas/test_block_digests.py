"""Block digests: packed and unpacked, cut down to parts of an object, widened to whole blocks."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul_schemas.block_digests import DIGEST, BlockDigests, unpacked


def made(size: int, length: int) -> BlockDigests:
    blocks = -(-length // size)
    return BlockDigests(size, ((0, b"".join(n.to_bytes(DIGEST, "big") for n in range(blocks))),))


RANGES = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 300)), min_size=1, max_size=5)


@given(size=st.integers(1, 70), length=st.integers(1, 900), ranges=RANGES)
def test_parts_keep_the_digests_of_just_the_blocks_that_hold_them(
    size: int, length: int, ranges: list[tuple[int, int]]
) -> None:
    ranges = [(start, min(count, length - start)) for start, count in ranges if start < length]
    whole = made(size, length)
    bytes_wanted = {at for start, count in ranges for at in range(start, start + count)}
    wanted = {at // size for at in bytes_wanted}
    widened = whole.widened(ranges, length)
    covered = {at for start, count in widened for at in range(start, start + count)}
    assert covered == {at for at in range(length) if at // size in wanted}
    assert all(sum(a) < b[0] for a, b in pairwise(widened)), "rising and apart"
    part = whole.only(ranges, length)
    for block in range(-1, length // size + 2):
        assert part.digest_of(block) == (block.to_bytes(DIGEST, "big") if block in wanted else None)
    assert unpacked(part.packed(), length) == part
    assert unpacked(whole.packed(), length) == whole


def test_what_is_not_known_cannot_be_kept() -> None:
    part = made(10, 100).only([(0, 10)], 100)
    with pytest.raises(ValueError, match="not all digests"):
        part.only([(5, 10)], 100)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        struct.pack("<q", 0),
        struct.pack("<q", -1),
        struct.pack("<q", 10) + b"x",
        struct.pack("<qqq", 10, 0, 1),
        struct.pack("<qqq", 10, 0, 0),
        struct.pack("<qqq", 10, -1, 1) + bytes(32),
        struct.pack("<qqq", 10, 3, 1) + bytes(32),
        struct.pack("<qqq", 10, 0, 1 << 62) + bytes(32),
        struct.pack("<qqq", 10, 1, 1) + bytes(32) + struct.pack("<qq", 1, 1) + bytes(32),
        struct.pack("<qqq", 10, 0, 1) + bytes(33),
    ],
)
def test_a_plan_with_other_bytes_there_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the plan's reader says where it is
        unpacked(data, 25)
