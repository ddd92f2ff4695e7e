"""Small writes are gathered: the file ends as if each had been written at once, with far fewer writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul_connectors.transfer.spool.write_behind import GATHER, MOST_HELD, WriteBehind

SIZE = 4 * GATHER


@given(
    st.lists(
        st.tuples(st.integers(0, SIZE), st.sampled_from([1, 700, 1448, 20_000, GATHER - 1, GATHER, 100_000])),
        max_size=40,
    )
)
def test_after_a_flush_the_file_is_what_it_would_be_without_gathering(writes: list[tuple[int, int]]) -> None:
    # Bytes are a function of their place, as those of an object are: what comes twice is equal.
    source = bytes((at * 31 + at // 256) % 251 for at in range(SIZE + 100_000))
    wanted, found = bytearray(len(source)), bytearray(len(source))

    def write(position: int, data: bytes | memoryview) -> None:
        found[position : position + len(data)] = data

    behind = WriteBehind(write)
    buffer = bytearray(100_000)
    for position, length in writes:
        data = source[position : position + length]
        wanted[position : position + length] = data
        buffer[:length] = data
        behind.add(position, memoryview(buffer)[:length])
        buffer[:length] = bytes(length)  # the owner uses its buffer again
    behind.flush()
    assert found == wanted


def test_packets_of_many_streams_become_one_write_a_stretch() -> None:
    written: list[tuple[int, int]] = []
    behind = WriteBehind(lambda position, data: written.append((position, len(data))))
    for packet in range(40):
        for stream in range(10):
            behind.add(stream * 1_000_000 + packet * 1448, bytes(1448))
    assert written == []
    behind.flush()
    assert sorted(written) == [(stream * 1_000_000, 40 * 1448) for stream in range(10)]


def test_what_is_held_of_a_stretch_is_bounded() -> None:
    written: list[int] = []
    behind = WriteBehind(lambda position, data: written.append(len(data)))
    for packet in range(1000):
        behind.add(packet * 1448, bytes(1448))
    held = 1000 * 1448 - sum(written)
    assert 0 <= held < GATHER
    assert max(written) < GATHER + 1448


def test_a_write_that_fails_is_told_and_what_it_held_is_gone() -> None:
    def full(position: int, data: bytes | memoryview) -> None:
        raise OSError(28, "full")

    behind = WriteBehind(full)
    behind.add(0, b"a")
    with pytest.raises(OSError, match="full"):
        behind.flush()
    behind.flush()


def test_the_ends_of_many_ranges_that_touch_are_one_write() -> None:
    """Ranges end out of order, on many connections, each too short to be written by itself."""
    written: list[tuple[int, bytes]] = []
    behind = WriteBehind(lambda position, data: written.append((position, bytes(data))))
    data = bytes(range(240)) * 100
    for start in (16_000, 0, 8_000, 20_000, 4_000):
        behind.add(start, data[start : start + 4_000])
    behind.flush()
    assert written == [(0, data[:12_000]), (16_000, data[16_000:24_000])]


def test_what_is_held_of_a_file_is_bounded_however_long_no_flush_comes() -> None:
    written: list[int] = []
    behind = WriteBehind(lambda position, data: written.append(len(data)))
    most = 0
    for count in range(1, 3000):
        behind.add(count * 20_000, bytes(16_000))
        most = max(most, count * 16_000 - sum(written))
    assert MOST_HELD - 16_000 <= most <= MOST_HELD


def test_two_stretches_that_end_in_one_place_are_both_written() -> None:
    found = bytearray(100)

    def write(position: int, data: bytes | memoryview) -> None:
        found[position : position + len(data)] = data

    behind = WriteBehind(write)
    behind.add(0, b"a" * 100)
    behind.add(50, b"a" * 50)
    behind.add(100, b"")
    behind.flush()
    assert found == b"a" * 100


def test_what_is_forgotten_is_never_written() -> None:
    written: list[int] = []
    behind = WriteBehind(lambda position, data: written.append(position))
    behind.add(0, b"a")
    behind.forget()
    behind.flush()
    assert written == []
