"""Searches in a stream give the same wherever its pieces end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skyhaul_connectors.formats.bytes.byte_reader import ByteReader


class _Pieces:
    position = 0

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def read(self, length: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


@given(st.lists(st.text("ab\n", max_size=6)), st.integers(0, 4), st.integers(0, 30))
def test_a_marker_is_found_within_its_bound_and_not_beyond(texts: list[str], begin: int, length: int) -> None:
    pieces = [text.encode() for text in texts]
    raw = b"".join(pieces)
    reader = ByteReader(_Pieces(pieces))
    begin = reader.skip(begin)
    found = raw.find(b"\nab", begin, begin + length)
    expected = found if found >= 0 else min(begin + length, len(raw))
    assert reader.skip_to(b"\nab", length) == expected - begin
    assert reader.offset == expected
    assert reader.take(len(raw)) == raw[expected:]
