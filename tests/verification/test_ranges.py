"""How two sets of ranges differ, and that the sums of a partition see every such difference."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skyhaul.verification.partition import Partition
from skyhaul.verification.ranges import differences
from skyhaul_schemas.plan import Chunk, PinnedObject

INTERVALS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), max_size=8)


@given(INTERVALS, INTERVALS)
def test_differences_are_those_found_byte_by_byte(
    expected: list[tuple[int, int]], actual: list[tuple[int, int]]
) -> None:
    def times(intervals: list[tuple[int, int]], byte: int) -> int:
        return sum(offset <= byte < offset + length for offset, length in intervals)

    found = list(differences(expected, actual))
    seen = {byte: (wanted, got) for start, stop, wanted, got in found for byte in range(start, stop)}
    for byte in range(30):
        counts = (times(expected, byte), times(actual, byte))
        assert seen.get(byte) == (counts if counts[0] != counts[1] else None)
    empties = [offset for start, offset, *_ in found if start == offset]
    assert empties == sorted(
        {o for o, n in expected + actual if n == 0 and expected.count((o, 0)) != actual.count((o, 0))}
    )


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    cuts=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=8),
    chunks=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 9)), max_size=3),
    drop=st.integers(0, 12),
)
def test_sums_are_zero_just_where_chunks_partition_their_objects(
    sizes: list[int], cuts: list[tuple[int, int]], chunks: list[tuple[int, int, int]], drop: int
) -> None:
    objects = [PinnedObject("s", f"o{n}", size, "v") for n, size in enumerate(sizes)]
    made = []
    for number, obj in enumerate(objects):
        places = sorted({0, obj.size, *(at for n, at in cuts if n == number and at < obj.size)})
        made += [(number, a, b - a) for a, b in zip(places, places[1:] or [0], strict=False)]
    if drop < len(made):
        del made[drop]
    made += [(n, offset, length) for n, offset, length in chunks if n < len(objects)]
    partition = Partition()
    for obj in objects:
        partition.add_object(obj)
    for index, (number, offset, length) in enumerate(made):
        partition.add_chunk(Chunk(0, index, objects[number], offset, length))
    exact = all(
        not list(differences([(0, obj.size)], [(o, n) for which, o, n in made if which == number]))
        for number, obj in enumerate(objects)
    )
    assert bool(partition.suspects()) != exact


def test_a_chunk_that_pins_another_version_does_not_cancel() -> None:
    partition = Partition()
    partition.add_object(PinnedObject("s", "o", 5, "v1"))
    partition.add_chunk(Chunk(0, 0, PinnedObject("s", "o", 5, "v2"), 0, 5))
    assert partition.suspects()
