"""Wherever an object is cut, and however small the batches are, the same records and rejects come out."""

from __future__ import annotations

from itertools import pairwise
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import Result, decode
from skyhaul_connectors.formats.bytes import lines
from skyhaul_connectors.formats.decoder import LOOK_AHEAD
from skyhaul_connectors.formats.json import jsonl
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.records import BLOB_PART_SIZE

LINES = [b"", b" ", b"\r", b'{"text":"a"}', b'{"text":"bb"}\r', b"bad", b'{"text":"' + b"x" * 40 + b'"}']
PARAGRAPH_LINES = [b"", b"", b" \t", b"\r", b"one", b" two\r", b"three and more", b"\xff", b"x" * 1100]


def _same(whole: Result, parts: Result) -> None:
    assert parts.rows == whole.rows
    by_offset = attrgetter("offset", "length", "reason", "raw")
    assert sorted(parts.rejects, key=by_offset) == sorted(whole.rejects, key=by_offset)
    assert parts.damaged == whole.damaged


def _check(raw: bytes, cuts: list[int], **kwargs: Any) -> None:
    whole = decode(raw, "object", **kwargs)
    cuts = [cut % (len(raw) + 1) for cut in cuts]
    _same(whole, decode(raw, "object", cuts=cuts, **kwargs))
    _same(whole, decode(raw, "object", cuts=cuts, batch_bytes=1, **kwargs))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from(LINES), max_size=30), st.booleans(), st.lists(st.integers(0, 2000), max_size=6)
)
def test_lines_of_json(found: list[bytes], end: bool, cuts: list[int]) -> None:
    _check(b"\n".join(found) + b"\n" * end, cuts, format="jsonl", max_line=45)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from(PARAGRAPH_LINES), max_size=30),
    st.booleans(),
    st.lists(st.integers(0, 4000), max_size=6),
)
def test_paragraphs_of_text(found: list[bytes], end: bool, cuts: list[int]) -> None:
    raw = b"\n".join(found) + b"\n" * end
    _check(raw, cuts, format="text", unit="paragraph", encoding="utf-8", max_record=1024)


@pytest.mark.parametrize("piece", [1, 7, 64])
@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=20), st.lists(st.integers(0, 2000), max_size=4))
def test_lines_do_not_depend_on_the_pieces_they_are_read_in(
    piece: int, found: list[bytes], cuts: list[int]
) -> None:
    raw = b"\n".join(found)
    whole = decode(raw, "object", format="jsonl", max_line=45)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE", piece)
        patch.setattr(lines, "LOOK_AHEAD", piece)
        patch.setattr(lines, "_TAIL", piece)
        patch.setattr(jsonl, "WINDOW", 3 * piece)
        patch.setitem(lines.lines_of_stream.__kwdefaults__, "piece", piece)
        cuts = [cut % (len(raw) + 1) for cut in cuts]
        _same(whole, decode(raw, "object", format="jsonl", max_line=45, cuts=cuts))


def test_every_single_cut_of_a_small_object_gives_the_same() -> None:
    raw = b'\n{"text":"a"}\r\n\nbad\n{"text":"c"}'
    whole = decode(raw, "object", format="jsonl")
    assert whole.counts == (2, 1, False)
    for first in range(len(raw) + 1):
        for second in range(first, len(raw) + 1):
            _same(whole, decode(raw, "object", format="jsonl", cuts=[first, second]))


def test_a_line_longer_than_several_chunks_is_read_once() -> None:
    raw = b'{"text":"a"}\n{"text":"' + b"x" * 100_000 + b'"}\n{"text":"b"}\n'
    found = decode(raw, "object", format="jsonl", cuts=range(1000, len(raw), 1000))
    assert [len(text) for text in found.texts] == [1, 100_000, 1]


FORMATS = [
    ("jsonl", "document", {}),
    ("text", "document", {"unit": "paragraph", "encoding": "utf-8"}),
    ("binary", "blob", {}),
]


@pytest.mark.parametrize(("format", "schema", "options"), FORMATS)
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10 * BLOB_PART_SIZE), st.integers(1, 3 * BLOB_PART_SIZE))
def test_chunks_partition_the_object_and_segments_hold_the_chunk(
    format: str, schema: str, options: dict[str, Any], size: int, chunk_size: int
) -> None:
    size //= 1000 if format != "binary" else 1
    chunk_size = max(size // 50 + 1, chunk_size // 1000) if format != "binary" else chunk_size
    decoder = decoder_for(format, DecodeSettings(schema, options=options), "object")
    obj = PinnedObject("src", "object", size, "")
    chunks = list(decoder.cut(obj, chunk_size))
    assert chunks[0][0] == 0
    assert sum(length for _, length in chunks) == size
    at = 0
    for offset, length in chunks:
        assert offset == at
        assert length > 0 or size == 0
        at += length
        segments = decoder.segments(Chunk(0, 0, obj, offset, length))
        assert all(start >= 0 and stop > 0 and start + stop <= size for start, stop in segments)
        assert segments == sorted(segments)
        assert all(a + b <= c for (a, b), (c, _) in pairwise(segments))
        if length:
            assert any(s <= offset and offset + length <= s + n for s, n in segments)
            assert sum(n for _, n in segments) <= length + 2 * LOOK_AHEAD + 1
        else:
            assert segments == []
