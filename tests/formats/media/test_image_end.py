"""Which images were cut off: every format's structure is walked to its end, and nothing behind it counts.

Pillow is the judge of what a whole image is; where it decodes what ends too early by its structure, or the
other way round, the test says why.
"""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.decoding import decode
from skyhaul_connectors.formats.media import image_parts
from skyhaul_connectors.formats.media.image_end import _LOOKS, is_truncated
from skyhaul_connectors.formats.media.media_type import HEAD, media_type

PIL = pytest.importorskip("PIL.Image", reason="Pillow makes and judges the images")

NOISE = random.Random(3).randbytes(120 * 90 * 3)
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "jpeg with restarts": ("JPEG", {"restart_marker_rows": 1}),
    "jpeg with comment": ("JPEG", {"comment": b"\xff\xd9 not the end" * 9}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "gif of frames": ("GIF", {"save_all": True, "frames": 3}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "webp of frames": ("WEBP", {"save_all": True, "frames": 3}),
    "tiff": ("TIFF", {}),
    "tiff of pages": ("TIFF", {"save_all": True, "frames": 3, "compression": "tiff_lzw"}),
    "big tiff": ("TIFF", {"big_tiff": True}),
    "bmp": ("BMP", {}),
    "jp2": ("JPEG2000", {}),
    "j2c": ("JPEG2000", {"no_jp2": True}),
    "j2c of tiles": ("JPEG2000", {"no_jp2": True, "tile_size": (64, 64)}),
    "qoi": ("QOI", {}),
    "avif": ("AVIF", {}),
}


def made(name: str, width: int = 120, height: int = 90) -> bytes:
    kind, options = MADE[name]
    options = dict(options)
    frames = [
        PIL.frombytes("RGB", (width, height), NOISE[shift:] + NOISE[:shift])
        for shift in range(options.pop("frames", 1))
    ]
    if "save_all" in options:
        options["append_images"] = frames[1:]
    out = io.BytesIO()
    frames[0].save(out, kind, **options)
    return out.getvalue()


def truncated(raw: bytes) -> bool:
    """By the record that comes of it."""
    (row,) = decode(raw, "x", schema="image", format="image").rows
    assert row["metadata"] in (None, '{"truncated":true}')
    return row["metadata"] is not None


def loads(raw: bytes) -> bool:
    """Whether Pillow decodes each frame of it."""
    try:
        with PIL.open(io.BytesIO(raw)) as image:
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                image.load()
    except (
        OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, struct.error,
        PIL.DecompressionBombError,
    ):  # fmt: skip
        return False
    return True


names = pytest.mark.parametrize("name", MADE)


@names
@pytest.mark.parametrize("behind", [b"", b"\0" * 9000, b"garbage ,;!" * 900, "another"])
def test_a_whole_image_is_whole_whatever_lies_behind_it(name: str, behind: bytes | str) -> None:
    raw = made(name)
    assert loads(raw)
    assert not truncated(raw + (raw if isinstance(behind, str) else behind))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@names
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_an_image_that_was_cut_off_is_told(name: str, share: float) -> None:
    raw = made(name)
    cut = raw[: max(60, int(len(raw) * share))]
    assert truncated(cut)
    assert not loads(cut)


@pytest.mark.parametrize("name", [name for name in MADE if MADE[name][0] in ("JPEG", "PNG", "GIF")])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_so_is_one_whose_end_became_zeros(name: str, share: float) -> None:
    """As of a download whose space was taken beforehand; Pillow takes the zeros of a JPEG for pixels."""
    raw = made(name)
    kept = int(len(raw) * share)
    assert truncated(raw[:kept] + bytes(len(raw) - kept))


@pytest.mark.parametrize("name", [name for name in MADE if name != "tiff of pages"])
def test_so_is_one_that_lacks_its_last_bytes(name: str) -> None:
    """But a TIFF of pages, which ends with a list of bits per sample."""
    raw = made(name)
    for missing in (1, 2, 5, 12):
        assert is_truncated(raw[:-missing], media_type(raw[:HEAD], "") or ""), missing


def test_an_image_of_another_kind_behind_a_jpeg_is_none_of_it() -> None:
    """As phones append a film or further pictures (CIPA DC-007, Multi-Picture Format)."""
    film = b"\0\0\0\x18ftypmp42" + NOISE[:20_000]
    assert not truncated(made("jpeg") + made("progressive jpeg"))
    assert not truncated(made("jpeg") + film)


def test_a_jpeg_in_a_jpeg_does_not_end_it() -> None:
    thumbnail = made("jpeg", 16, 16)
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    raw = made("jpeg")
    raw = raw[:2] + segment + raw[2:]
    assert loads(raw)
    assert not truncated(raw)
    assert truncated(raw[: len(raw) // 2])
    assert truncated(raw[: len(thumbnail) + 200])


def test_a_second_picture_inside_the_first_ends_it_too_early() -> None:
    raw = made("jpeg")
    assert truncated(raw[: len(raw) // 2] + raw)


def test_fill_bytes_and_reserved_codes_are_passed_over() -> None:
    raw = made("jpeg")
    assert not truncated(raw[:-2] + b"\xff" * 9 + raw[-2:])
    assert not truncated(raw[:-2] + b"\xff\x02\xff\x01\x00" + raw[-2:])


def test_a_gif_without_its_trailer_may_lack_frames_though_pillow_shows_those_that_are_there() -> None:
    raw = made("gif of frames")
    assert raw.endswith(b"\0;")
    assert loads(raw[:-1])
    assert truncated(raw[:-1])


def test_bytes_between_the_blocks_of_a_gif_are_passed_over() -> None:
    raw = made("gif")
    assert not truncated(raw[:-1] + b"\0\0\x01" + raw[-1:])
    comment = b"!\xfe\x03a;b\0"
    assert not truncated(raw[:-1] + comment + raw[-1:])
    assert truncated(raw[:-1] + comment)


def test_a_chunk_that_lies_is_corrupt_and_not_cut_off_where_the_end_mark_ends_the_bytes() -> None:
    raw = bytearray(made("png"))
    raw[33:37] = (2**31 - 1).to_bytes(4, "big")
    assert not truncated(bytes(raw))
    assert not truncated(bytes(raw) + b"\0" * 99)
    assert truncated(bytes(raw[:-1]))


def test_a_bmp_may_lack_the_padding_of_its_last_row() -> None:
    raw = made("bmp", 3, 2)
    assert len(raw) == 54 + 2 * 12
    assert [is_truncated(raw[: len(raw) - n], "image/bmp") for n in range(5)] == [False] * 4 + [True]


def test_a_webp_may_lack_the_padding_of_its_last_chunk() -> None:
    body = b"VP8L" + struct.pack("<I", 5) + b"\x2f\x00\x00\x00\x00"
    raw = b"RIFF" + struct.pack("<I", 4 + len(body) + 1) + b"WEBP" + body
    assert not is_truncated(raw, "image/webp")
    assert not is_truncated(raw + b"\0", "image/webp")
    assert is_truncated(raw[:-1], "image/webp")


def test_a_tiff_whose_directories_are_in_a_ring_ends() -> None:
    raw = bytearray(made("tiff"))
    at = int.from_bytes(raw[4:8], "little")
    count = int.from_bytes(raw[at : at + 2], "little")
    link = at + 2 + 12 * count
    raw[link : link + 4] = at.to_bytes(4, "little")
    assert not is_truncated(bytes(raw), "image/tiff")
    raw[link : link + 4] = (len(raw) + 8).to_bytes(4, "little")
    assert is_truncated(bytes(raw), "image/tiff")


def test_a_tile_part_may_leave_its_length_to_the_end_mark() -> None:
    """ISO/IEC 15444-1, A.4.2: Psot of the last one may be 0."""
    raw = bytearray(made("j2c"))
    at = raw.index(b"\xff\x90")
    raw[at + 6 : at + 10] = bytes(4)
    assert loads(bytes(raw))
    assert not truncated(bytes(raw) + b"garbage")
    assert truncated(bytes(raw[:-2]))


def test_a_tile_part_that_lies_is_corrupt_and_not_cut_off_where_the_end_mark_ends_the_bytes() -> None:
    raw = bytearray(made("j2c of tiles"))
    at = raw.index(b"\xff\x90")
    raw[at + 6 : at + 10] = (13).to_bytes(4, "big")
    assert not truncated(bytes(raw))
    assert not truncated(bytes(raw) + b"\0" * 99)
    assert truncated(bytes(raw[:-1]))


DIFFERENT = {
    "images/pillow-malformed/decompression_bomb_extents.gif": "whole, and a bomb to Pillow",
    "sensor/r-stars/L7_ETMs.tif": "whole; Pillow has no mode for six bands",
}
"""Collected images that Pillow does not decode and that are whole by their structure."""


def test_the_collected_images_are_whole_where_pillow_decodes_them_and_told_where_it_does_not(
    shared_data: Path,
) -> None:
    seen, malformed = 0, []
    for path in sorted(path for path in shared_data.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            kind = media_type(file.read(HEAD), path.name)
        if kind not in _LOOKS:
            continue
        name = path.relative_to(shared_data).as_posix()
        if path.suffix == ".j2k" or (kind == "image/png" and seen % 4 and "pillow" not in name):
            seen += 1
            continue  # of the hundreds of clip art, some; hostile JPEG 2000 takes minutes to decode
        raw = path.read_bytes()
        seen += 1
        told = is_truncated(raw, kind)
        if name in DIFFERENT:
            assert not told
        elif told:
            malformed.append(name)
            assert not loads(raw), name
        elif path.stat().st_size < 300_000:
            assert loads(raw), name
    assert seen > 400


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 9 + b"\xff\xda\0\x02\xff\xd9",
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0tEXt1234" * 9 + b"\0\0\0\0IEND\xaeB`\x83",
    ],
)
def test_a_walk_ends_after_more_parts_than_an_image_has(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = media_type(raw, "") or ""
    assert not is_truncated(raw, kind)
    monkeypatch.setattr(image_parts, "PARTS", 5)
    assert is_truncated(raw, kind)


@given(st.sampled_from(sorted(MADE)), st.data())
def test_no_damage_makes_it_raise(name: str, data: st.DataObject) -> None:
    raw = bytearray(_SMALL[name])
    kind = media_type(bytes(raw[:HEAD]), "") or ""
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        size = data.draw(st.sampled_from([1, 2, 4]))
        raw[at : at + size] = data.draw(st.binary(min_size=size, max_size=size))
    is_truncated(bytes(raw[: data.draw(st.integers(0, len(raw)))]), kind)


_SMALL = {name: made(name, 16, 12) for name in MADE}
