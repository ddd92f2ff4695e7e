"""The EXIF orientation of an image is in its metadata as Pillow reads it; what cannot be read is left out."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.decoding import decode
from skyhaul_connectors.formats.media.image_end import _LOOKS
from skyhaul_connectors.formats.media.image_orientation import orientation_of
from skyhaul_connectors.formats.media.media_type import HEAD, media_type

PIL = pytest.importorskip("PIL.Image", reason="Pillow makes and judges the images")

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff"}


def made(kind: str, orientation: int | None = None) -> bytes:
    exif = PIL.Exif()
    exif[0x010E] = "a description " * 20
    if orientation is not None:
        exif[274] = orientation
    out = io.BytesIO()
    PIL.new("RGB", (20, 10)).save(out, kind, exif=exif)
    return out.getvalue()


def with_exif(data: bytes) -> bytes:
    """A JPEG with this EXIF data."""
    raw = made("JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(data) + 8) + b"Exif\0\0" + data
    return raw[:2] + segment + raw[2:]


def directory(order: str, kind: int, count: int, value: bytes) -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(order + "IHHHI", 8, 1, 274, kind, count) + value.ljust(4, b"\0") + bytes(4)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_in_the_metadata_and_the_size_is_that_of_the_stored_pixels(kind: str, orientation: int) -> None:
    raw = made(kind, orientation)
    with PIL.open(io.BytesIO(raw)) as image:
        assert image.getexif()[274] == orientation
    (row,) = decode(raw, "x", schema="image", format="image").rows
    assert (row["width"], row["height"]) == (20, 10)
    assert json.loads(row["metadata"]) == {"orientation": orientation}


@pytest.mark.parametrize("kind", TYPES)
def test_without_one_or_with_one_that_is_none_there_is_none(kind: str) -> None:
    for orientation in (None, 0, 9, 200):
        raw = made(kind, orientation)
        assert decode(raw, "x", schema="image", format="image").rows[0]["metadata"] is None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "code"), [(3, "H"), (4, "I"), (9, "i")])
def test_any_whole_number_is_taken_in_both_byte_orders(order: str, kind: int, code: str) -> None:
    raw = with_exif(directory(order, kind, 1, struct.pack(order + code, 6)))
    assert orientation_of(raw, "image/jpeg") == 6
    with PIL.open(io.BytesIO(raw)) as image:
        assert image.getexif()[274] == 6


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"XX*\0" + directory("<", 3, 1, b"\6\0")[4:],
        directory("<", 3, 1, b"\6\0")[:-8],
        directory("<", 2, 1, b"6"),
        directory("<", 3, 2**31, b"\6\0"),
        directory("<", 99, 1, b"\6\0"),
        b"II*\0" + struct.pack("<IH", 8, 65535),
    ],
)
def test_malformed_exif_data_is_left_out(data: bytes) -> None:
    found = decode(with_exif(data), "x", schema="image", format="image")
    assert found.counts == (1, 0, False)
    assert found.rows[0]["metadata"] is None


def test_it_is_the_first_directory_of_the_image_itself() -> None:
    """Not of the thumbnail's, which is the second, nor of an image inside of another segment."""
    data = directory("<", 3, 1, b"\1\0")
    second = struct.pack("<HHHI", 1, 274, 3, 1) + b"\6\0\0\0" + bytes(4)
    assert orientation_of(with_exif(data[:-4] + struct.pack("<I", len(data)) + second), "image/jpeg") == 1
    raw = made("JPEG")
    inner = made("JPEG", 6)
    comment = b"\xff\xfe" + struct.pack(">H", len(inner) + 2) + inner
    assert orientation_of(raw[:2] + comment + raw[2:], "image/jpeg") is None


XMP = {"color_snakes.png", "chelsea.png"}
"""Whose orientation stands in their XMP data alone, which Pillow reads too."""


def test_the_collected_images_are_turned_as_pillow_turns_them(shared_data: Path) -> None:
    seen = 0
    for path in sorted(path for path in (shared_data / "images").rglob("*") if path.is_file()):
        raw = path.read_bytes()
        kind = media_type(raw[:HEAD], path.name) or ""
        if kind not in _LOOKS or "malformed" in path.parent.name:
            continue
        with PIL.open(io.BytesIO(raw)) as image:
            wanted = image.getexif().get(274)
        assert orientation_of(raw, kind) == (None if path.name in XMP else wanted), path
        seen += wanted is not None
    assert seen > len(XMP)


@given(st.sampled_from(sorted(TYPES)), st.data())
def test_no_damage_makes_it_raise(kind: str, data: st.DataObject) -> None:
    raw = bytearray(_MADE[kind])
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + 2] = data.draw(st.binary(min_size=2, max_size=2))
    found = orientation_of(bytes(raw[: data.draw(st.integers(0, len(raw)))]), TYPES[kind])
    assert found is None or 1 <= found <= 8


_MADE = {kind: made(kind, 6) for kind in TYPES}
