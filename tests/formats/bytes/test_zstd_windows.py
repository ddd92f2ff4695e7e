"""zstd frames that ask for large windows, for dictionaries, or that are passed over."""

from __future__ import annotations

import io

import pytest
import zstandard

from formats.decoding import decode
from skyhaul_schemas.errors import UsageError

LINE = b'{"text":"a"}\n'
MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK = (1 | len(LINE) << 3).to_bytes(3, "little") + LINE
"""The last of its frame, raw."""


def frame(log: int) -> bytes:
    """As `zstd --long=log` writes it."""
    parameters = zstandard.ZstdCompressionParameters(
        window_log=log, enable_ldm=True, write_content_size=False, hash_log=10, chain_log=10, ldm_hash_log=10
    )
    out = io.BytesIO()
    with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(out, closefd=False) as writer:
        writer.write(LINE)
        writer.flush(zstandard.FLUSH_FRAME)
    return out.getvalue()


@pytest.mark.parametrize("log", [27, 28, 30, 31])
def test_a_window_of_up_to_2_gib_is_opened_where_the_job_allows_it(log: int) -> None:
    raw = frame(log)
    assert zstandard.get_frame_parameters(raw).window_size == 1 << log
    assert decode(raw, "x.jsonl.zst", zstd_window="2GiB").texts == ["a"]
    assert decode(raw, "x.jsonl.zst", zstd_window=1 << log).texts == ["a"]
    refused = decode(raw, "x.jsonl.zst", zstd_window=(1 << log) - 1)
    assert refused.counts == (0, 1, True)
    assert refused.reasons[0].startswith(
        f"zstd: a window of {1 << log} bytes, more than zstd_window of {(1 << log) - 1}; say `decode: {{zstd_"
    )


def test_by_default_it_is_128_mib_and_the_message_has_both_sizes_and_the_way_out() -> None:
    assert decode(frame(27), "x.jsonl.zst").texts == ["a"]
    assert decode(frame(31), "x.jsonl.zst").reasons == [
        "zstd: a window of 2147483648 bytes, more than zstd_window of 134217728; say `decode: {zstd_window:"
        " 2GiB}` to open it (at compressed byte 0 of 31)"
    ]
    assert "{zstd_window: 256MiB}" in decode(frame(28), "x.jsonl.zst").reasons[0]


@pytest.mark.parametrize(("descriptor", "window"), [(21 << 3 | 1, 2415919104), (31 << 3, 2**41)])
def test_a_window_that_nothing_opens_is_told_with_both_sizes(descriptor: int, window: int) -> None:
    raw = MAGIC + bytes([0, descriptor]) + BLOCK
    for allowed in (134217728, 2147483648):
        (reason,) = decode(raw, "x.jsonl.zst", zstd_window=allowed).reasons
        assert f"a window of {window} bytes, more than zstd_window of {allowed};" in reason
        assert "more than 2147483648 cannot be opened" in reason


def test_the_window_of_a_frame_of_one_segment_is_its_content() -> None:
    raw = MAGIC + bytes([0b11100000]) + (300 << 20).to_bytes(8, "little") + BLOCK
    assert "a window of 314572800 bytes" in decode(raw, "x.jsonl.zst").reasons[0]
    assert "{zstd_window: 300MiB}" in decode(raw, "x.jsonl.zst").reasons[0]
    sound = zstandard.ZstdCompressor(level=22).compress(LINE)
    assert decode(sound, "x.jsonl.zst", zstd_window=1024).texts == ["a"]


def test_the_caps_of_the_option_are_told() -> None:
    for size in ("3GiB", "512"):
        with pytest.raises(UsageError, match="zstd_window"):
            decode(b"", "x.jsonl.zst", zstd_window=size)


def test_a_dictionary_that_is_not_there_is_named() -> None:
    words = zstandard.train_dictionary(1024, [b'{"text":"line %d"}' % n for n in range(2000)])
    raw = zstandard.ZstdCompressor(dict_data=words).compress(LINE)
    number = words.dict_id()
    assert number
    (reason,) = decode(raw, "x.jsonl.zst").reasons
    assert reason.startswith(f"zstd: it needs the dictionary {number}, which the object does not hold")
    held = b"\x5d\x2a\x4d\x18" + len(words.as_bytes()).to_bytes(4, "little") + words.as_bytes()
    assert decode(held + raw, "x.jsonl.zst").texts == ["a"]


@pytest.mark.parametrize("kind", range(16))
def test_skippable_frames_are_passed_over(kind: int) -> None:
    skipped = bytes([0x50 + kind]) + b"\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    if kind != 13:  # first of all it is a dictionary
        assert decode(skipped + frame(20), "x.jsonl.zst").texts == ["a"]
    assert decode(frame(20) + skipped + frame(28) + skipped, "x.jsonl.zst", zstd_window="1GiB").texts == [
        "a",
        "a",
    ]
