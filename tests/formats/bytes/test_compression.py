"""Compressed objects: whole members to the last byte, damage told, bombs given up, memory bounded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import Result, decode
from skyhaul_schemas.errors import DecodeError

COMPRESS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (".gz", lambda raw: gzip.compress(raw, mtime=0)),
    "zstd": (".zst", lambda raw: zstandard.ZstdCompressor(write_checksum=True).compress(raw)),
    "bzip2": (".bz2", bz2.compress),
    "xz": (".xz", lzma.compress),
    "lz4": (".lz4", lambda raw: bytes(lz4.frame.compress(raw, content_checksum=True))),
}
PICK = random.Random(7)
LINES = [b'{"text":"line %d %x"}\n' % (number, PICK.getrandbits(200)) for number in range(6000)]
RAW = b"".join(LINES)
TEXTS = [line[9:-3].decode() for line in LINES]

codec = pytest.mark.parametrize("name", COMPRESS)


def _decode(packed: bytes, name: str, **options: object) -> Result:
    return decode(packed, "x.jsonl" + COMPRESS[name][0], **options)


def _pack(name: str, raw: bytes = RAW) -> bytes:
    return COMPRESS[name][1](raw)


@codec
def test_offsets_are_of_the_decompressed_stream(name: str) -> None:
    found = _decode(_pack(name), name)
    assert found.texts == TEXTS
    assert not found.rejects
    assert all(
        RAW[row["offset"] :][: row["length"]] == LINES[i][:-1] for i, row in enumerate(found.rows[:50])
    )


@codec
def test_it_is_told_by_its_first_bytes_too(name: str) -> None:
    assert decode(_pack(name), "x.jsonl").texts == TEXTS
    assert decode(_pack(name), "x.jsonl", compression="none").counts[0] == 0


@codec
def test_several_members_are_one_stream_and_zero_padding_is_passed_over(name: str) -> None:
    half = len(RAW) // 2
    packed = _pack(name, RAW[:half]) + _pack(name, b"") + _pack(name, RAW[half:])
    assert _decode(packed, name).texts == TEXTS
    assert _decode(packed + b"\0" * 1024, name).counts == (6000, 0, False)


@codec
@pytest.mark.parametrize("share", [0.0005, 0.3, 0.7, 0.999])
def test_a_truncated_object_keeps_the_lines_before_and_is_damaged(name: str, share: float) -> None:
    packed = _pack(name)
    cut = max(20, int(len(packed) * share))
    found = _decode(packed[:cut], name)
    assert found.damaged
    assert found.texts == TEXTS[: len(found.texts)]
    (rest,) = found.rejects
    assert "truncated" in rest.reason
    assert f"of {cut})" in rest.reason
    assert rest.offset == sum(map(len, LINES[: len(found.texts)]))
    assert RAW[rest.offset :][: rest.length].startswith(rest.raw)
    with pytest.raises(DecodeError, match="truncated"):
        _decode(packed[:cut], name, on_damage="fail")


@codec
def test_truncation_at_each_of_the_last_bytes_is_seen(name: str) -> None:
    packed = _pack(name, RAW[:2000])
    for cut in range(len(packed) - 24, len(packed)):
        assert _decode(packed[:cut], name).damaged, cut


@codec
def test_trailing_garbage_is_damage_after_good_rows(name: str) -> None:
    found = _decode(_pack(name) + b"garbage", name)
    assert found.texts == TEXTS
    assert found.damaged
    assert "trailing garbage: 7 bytes" in found.reasons[0]
    assert (found.rejects[0].offset, found.rejects[0].length) == (len(RAW), 0)


@codec
@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_seen(name: str, at: float) -> None:
    packed = bytearray(_pack(name))
    packed[int(len(packed) * at)] ^= 0x10
    found = _decode(bytes(packed), name)
    assert found.damaged
    assert len(found.rejects) >= 1


def test_rows_before_the_damage_of_a_gzip_member_all_stay() -> None:
    packed = bytearray(_pack("gzip"))
    middle = len(packed) // 2
    packed[middle : middle + 40] = b"\xff" * 40
    found = _decode(bytes(packed), "gzip")
    reach = zlib.decompressobj(31)
    good = b""
    for byte in packed:
        try:
            good += reach.decompress(bytes([byte]))
        except zlib.error:
            break
    assert found.rejects[-1].offset + found.rejects[-1].length == len(good)
    assert len(found.rows) > 2000


@codec
def test_an_empty_compressed_object_gives_no_rows(name: str) -> None:
    assert _decode(_pack(name, b""), name).counts == (0, 0, False)
    assert _decode(b"", name).counts == (0, 0, False)


@codec
def test_a_name_that_lies_is_damage(name: str) -> None:
    found = _decode(RAW, name)
    assert found.counts == (0, 1, True)
    assert f"its name says {name}" in found.reasons[0]


def _bomb(name: str, size: int) -> bytes:
    piece = b"\0" * (1 << 20)
    out = io.BytesIO()
    if name == "gzip":
        with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as file:
            for _ in range(size >> 20):
                file.write(piece)
    elif name == "zstd":
        with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as file:
            for _ in range(size >> 20):
                file.write(piece)
    elif name == "bzip2":
        return bz2.compress(piece * (size >> 20))
    elif name == "xz":
        return lzma.compress(piece * (size >> 20), preset=0)
    else:
        return bytes(lz4.frame.compress(piece * (size >> 20)))
    return out.getvalue()


@codec
def test_a_bomb_is_given_up_by_ratio_in_bounded_memory(name: str) -> None:
    bomb = _bomb(name, 160 << 20)
    tracemalloc.start()
    try:
        found = _decode(bomb, name, max_ratio=200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.damaged
    assert "decompression bomb: more than 200 times its input" in found.reasons[-1]
    assert peak < 64 << 20


@codec
def test_a_bomb_is_given_up_by_output(name: str) -> None:
    found = _decode(_pack(name), name, max_output="100kB")
    assert found.damaged
    assert "more than max_output of 100000 bytes" in found.reasons[0]
    assert 0 < len(found.rows) < 6000


def test_more_empty_members_than_anyone_needs_are_given_up() -> None:
    found = _decode(gzip.compress(b"", mtime=0) * 10_500, "gzip")
    assert found.damaged
    assert "empty members" in found.reasons[0]


def test_a_zstd_frame_without_its_checksum_is_still_whole_or_damaged() -> None:
    packed = zstandard.ZstdCompressor(write_checksum=False).compress(RAW)
    assert _decode(packed, "zstd").texts == TEXTS
    assert _decode(packed[:-1], "zstd").damaged


def test_a_wrong_checksum_of_a_zstd_frame_is_damage() -> None:
    packed = bytearray(_pack("zstd"))
    packed[-1] ^= 1
    found = _decode(bytes(packed), "zstd")
    assert found.damaged
    assert "checksum" in found.reasons[0].lower()


def test_a_zstd_window_beyond_the_limit_is_refused_not_allocated() -> None:
    params = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    packed = io.BytesIO()
    with zstandard.ZstdCompressor(compression_params=params).stream_writer(packed, closefd=False) as writer:
        writer.write(RAW)
    found = _decode(packed.getvalue(), "zstd")
    assert found.counts == (0, 1, True)


def test_a_dictionary_frame_is_used_for_the_frames_after_it() -> None:
    words = zstandard.ZstdCompressionDict(RAW[:20_000])
    frame = b"\x5d\x2a\x4d\x18" + (20_000).to_bytes(4, "little") + RAW[:20_000]
    pack = zstandard.ZstdCompressor(dict_data=words).compress
    packed = frame + pack(RAW[:30_000]) + pack(RAW[30_000:])
    assert _decode(packed, "zstd").texts == TEXTS


def test_the_collected_test_files_of_the_codecs_end_as_their_names_say(shared_data: Path) -> None:
    seen = 0
    folders = [shared_data / "malformed" / name for name in ("xz-tests", "bzip2", "zstd-golden")]
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if path.suffix not in (".xz", ".bz2", ".zst"):
            continue
        seen += 1
        found = decode(path.read_bytes(), path.name, format="text", encoding="latin-1")
        bad = path.name.startswith(("bad-", "unsupported-"))
        assert found.damaged == bad, (path.name, found.reasons)
    assert seen >= 30


@codec
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_damage_is_rows_and_rejects(name: str, data: st.DataObject) -> None:
    packed = bytearray(_pack(name, RAW[:3000]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(packed) - 1))
        packed[at] = data.draw(st.integers(0, 255))
    stop = data.draw(st.integers(0, len(packed)))
    _decode(bytes(packed[:stop]), name)


@codec
def test_much_zero_padding_costs_neither_memory_nor_the_square_of_its_length(name: str) -> None:
    """A tape is filled up with it. 24 MiB took 12 s when what was passed over was kept."""
    packed = _pack(name, RAW[: len(RAW) // 2]) + bytes(24 * 1024**2) + _pack(name, RAW[len(RAW) // 2 :])
    for object_ in (packed, packed + bytes(24 * 1024**2 + 4)):
        tracemalloc.start()
        began = time.process_time()
        found = _decode(object_, name)
        spent = time.process_time() - began
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found.counts == (6000, 0, False)
        assert found.texts == TEXTS
        assert spent < 6
        assert peak < 16 * 1024**2
