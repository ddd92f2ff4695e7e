"""The sum of a tar header, as the archive states it."""

from __future__ import annotations

import tarfile

from hypothesis import given
from hypothesis import strategies as st

from skyhaul_connectors.formats.archive.tar_members import _header_size, _sums


@given(st.one_of(st.binary(max_size=512), st.binary(max_size=512).map(lambda b: bytes(c & 127 for c in b))))
def test_the_sum_of_a_header_is_that_of_its_bytes(block: bytes) -> None:
    assert sum(block) in _sums(block)


def test_the_largest_sum_of_ascii_is_not_taken_modulo() -> None:
    assert _sums(b"\x7f" * 512) == (512 * 127,)


def test_a_header_with_bytes_beyond_ascii_is_summed_up_with_and_without_sign() -> None:
    header = bytearray(tarfile.TarInfo("é" * 20).tobuf(tarfile.GNU_FORMAT))
    assert _header_size(bytes(header)) == 0
    blanked = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blanked)
    header[148:156] = b"%06o\0 " % signed
    assert _header_size(bytes(header)) == 0
    header[148:156] = b"%06o\0 " % (signed + 1)
    assert _header_size(bytes(header)) is None
