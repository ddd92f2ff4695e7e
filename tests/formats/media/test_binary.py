"""Binary: any object in parts of 16 MiB, with its media type."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from formats.decoding import decode, settings
from skyhaul_connectors.formats.bytes.chunk_bytes import FileChunkBytes
from skyhaul_connectors.formats.media.media_type import media_type
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.records import BLOB_PART_SIZE


def test_a_small_object_is_one_part() -> None:
    (row,) = decode(b"\x89PNG\r\n\x1a\n rest", "a/b/c.bin", schema="blob").rows
    assert row == {
        "name": "c.bin",
        "bytes": b"\x89PNG\r\n\x1a\n rest",
        "part": 0,
        "parts": 1,
        "media_type": "image/png",
        "offset": 0,
        "length": 13,
    }


def test_an_empty_object_gives_no_rows() -> None:
    assert decode(b"", "x", schema="blob").counts == (0, 0, False)


def test_a_large_object_comes_in_parts_that_add_up_wherever_it_is_cut() -> None:
    raw = random.Random(1).randbytes(1000) * (2 * BLOB_PART_SIZE // 1000 + 70)
    whole = decode(raw, "x", schema="blob")
    assert [row["part"] for row in whole.rows] == [0, 1, 2]
    assert {row["parts"] for row in whole.rows} == {3}
    assert b"".join(row["bytes"] for row in whole.rows) == raw
    assert decode(raw, "x", schema="blob", cuts=[BLOB_PART_SIZE, 2 * BLOB_PART_SIZE]).rows == whole.rows
    assert decode(raw, "x", schema="blob", cuts=[5, BLOB_PART_SIZE + 5]).rows == whole.rows


def test_two_gigabytes_never_sit_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large"
    size = 2 * 1024**3
    with path.open("wb") as file:
        file.truncate(size)
    decoder = decoder_for("binary", settings("blob"), "large")
    obj = PinnedObject("src", "large", size, f"mtime:{path.stat().st_mtime_ns}")
    chunks = list(decoder.cut(obj, 64 * 1024**2))
    assert len(chunks) == 32
    tracemalloc.start()
    try:
        with FileChunkBytes(str(path), Chunk(0, 0, obj, *chunks[31])) as data:
            parts = [step.batch.column("part")[0].as_py() for step in decoder.decode(data)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert parts == [124, 125, 126, 127]
    assert peak < 4 * BLOB_PART_SIZE


@pytest.mark.parametrize(
    ("head", "path", "wanted"),
    [
        (b"\xff\xd8\xff\xe0", "x", "image/jpeg"),
        (b"CDF\x01", "x.nc", "application/netcdf"),
        (b"GRIB\0\0\0\x02", "x", "application/wmo-GRIB2"),
        (b"PAR1....", "x", "application/vnd.apache.parquet"),
        (b"\x1f\x8b\x08", "x.txt", "application/gzip"),
        (b"plain words\n", "x", "text/plain"),
        (b"a,b\n", "x.csv", "text/csv"),
        ("é".encode(), "README", "text/plain"),
        (b"<svg/>", "x.SVG", "image/svg+xml"),
        (b"\x01\x02\x03\xff\xfe\x00", "x.txt", None),
        (b"", "x.txt", None),
    ],
)
def test_the_media_type_is_told_by_bytes_then_by_name(head: bytes, path: str, wanted: str | None) -> None:
    assert media_type(head, path) == wanted


@hypothesis(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.text(max_size=10))
def test_any_bytes_are_a_blob(raw: bytes, name: str) -> None:
    found = decode(raw, "d/" + name.replace("/", ""), schema="blob")
    assert len(found.rows) == (1 if raw else 0)
    assert not found.rejects
