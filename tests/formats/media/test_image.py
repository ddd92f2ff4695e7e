"""Images: bytes as they are, size from the header, bombs and what is no image refused."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import decode
from formats.decoding import settings as settings_of
from skyhaul_connectors.formats.media.captions import Captions
from skyhaul_connectors.formats.media.image_size import _SNIFFERS, size_of
from skyhaul_connectors.formats.media.media_type import media_type
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.errors import UsageError

PIL = pytest.importorskip("PIL.Image", reason="Pillow makes the images")


def made(kind: str, width: int = 37, height: int = 21, **options: object) -> bytes:
    out = io.BytesIO()
    PIL.new("RGB", (width, height), (1, 2, 3)).save(out, kind, **options)
    return out.getvalue()


FORMATS = {
    "PNG": "png", "JPEG": "jpeg", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tiff",
    "JPEG2000": "jp2", "DDS": "vnd.ms-dds", "QOI": "qoi", "TGA": "tga",
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_size_and_format_come_from_the_header(kind: str) -> None:
    raw = made(kind)
    (row,) = decode(raw, "a/b", schema="image", format="image").rows
    assert row["bytes"] == raw
    assert (row["width"], row["height"]) == (37, 21)
    assert row["format"] == FORMATS[kind]
    assert row["metadata"] is None
    assert (row["offset"], row["length"]) == (0, len(raw))


def test_variants_of_headers() -> None:
    assert size_of(made("JPEG", progressive=True), "image/jpeg") == (37, 21)
    assert size_of(made("WEBP", lossless=True), "image/webp") == (37, 21)
    assert size_of(made("TIFF", compression="tiff_lzw", big_tiff=True), "image/tiff") == (37, 21)
    assert size_of(made("JPEG2000", no_jp2=True), "image/j2c") == (37, 21)
    siz = b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 41, 0, 42, 28, 5, 7)
    assert size_of(siz, "image/j2c") == (37, 21), "from an offset on"
    exif = PIL.Exif()
    exif[0x010E] = "x" * 5000
    assert size_of(made("JPEG", exif=exif), "image/jpeg") == (37, 21)


def test_a_tga_file_is_told_by_its_end_mark_alone() -> None:
    raw = made("TGA", compression="tga_rle")
    assert decode(raw, "x", schema="image", format="image").rows[0]["format"] == "tga"
    assert media_type(raw, "x.tga") is None, "its first bytes say nothing"
    found = decode(raw[:-1], "x.tga", schema="image", format="image")
    assert found.reasons == ["no image: its bytes are of no known type"]


@pytest.mark.parametrize("text", ["DDS | a table", "qoif is how it begins, then text", "\xffO\xffQ"])
def test_a_text_that_begins_as_an_image_does_is_text(text: str) -> None:
    assert media_type(text.encode(), "a.txt") == "text/plain"


def test_an_animation_is_a_video() -> None:
    head = struct.pack("<IHHHHHH", 128, 0xAF12, 1, 320, 200, 8, 3)
    assert media_type(head + bytes(112), "") == "video/x-flc"
    found = decode(head + bytes(112), "x.flc", schema="image", format="image")
    assert found.reasons == ["no image: its bytes are video/x-flc"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_truncated_image_says_so(kind: str) -> None:
    raw = made(kind, 300, 300)
    (row,) = decode(raw[:-4], "x", schema="image", format="image").rows
    assert row["metadata"] == '{"truncated":true}'
    found = decode(raw[:-4], "x", schema="image", format="image", truncated="reject")
    assert found.reasons == [f"truncated: the {kind.lower()} ends before its structure does"]
    assert found.rejects[0].raw == raw[:-4]


@pytest.mark.parametrize("format", ["image", "tar", "parquet", "arrow"])
def test_how_images_are_told_is_in_the_fingerprint(format: str) -> None:
    found = decoder_for(format, settings_of("image"), "").fingerprint
    assert {"skyhaul.image", "puremagic"} <= found.keys()
    if format != "image":
        assert "skyhaul.image" not in decoder_for(format, settings_of("document"), "").fingerprint


def test_a_bomb_is_refused_by_what_it_states() -> None:
    raw = bytearray(made("PNG"))
    raw[16:24] = struct.pack(">II", 100_000, 100_000)
    found = decode(bytes(raw), "x.png", schema="image")
    assert found.reasons == ["100000 x 100000 pixels, more than max_pixels of 250000000"]
    assert decode(bytes(raw), "x.png", schema="image", max_pixels=10**10).counts == (1, 0, False)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"plain text", "no image: its bytes are text/plain"),
        (b"\x00\x01\x02\x03", "no image: its bytes are of no known type"),
        (b"\x1f\x8b\x08abc", "corrupt gzip"),
        (b"x" * 5000, "a record of 5000 bytes, more than max_image of 4096"),
    ],
)
def test_what_is_no_image_is_rejected(raw: bytes, reason: str) -> None:
    found = decode(raw, "x.png", schema="image", max_image=4096)
    assert not found.rows
    assert found.reasons[0].startswith(reason)
    assert decode(b"", "x.png", schema="image").counts == (0, 0, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "metadata.jsonl",
            '{"file_name": "a/x.png", "text": "a \\u00e9", "n": 1}\n\n{"path": "y.png", "caption": null}\n',
        ),
        ("captions.csv", "file,caption,n\na/x.png,a é,1\ny.png,,2\n"),
    ],
)
def test_captions_come_from_a_list(name: str, text: str, tmp_path: Path) -> None:
    listed = tmp_path / name
    listed.write_text(text)
    raw = made("PNG")
    options = {"schema": "image", "captions": str(listed)}
    assert decode(raw, "a/x.png", **options).rows[0]["caption"] == "a é"
    assert decode(raw, "y.png", **options).rows[0]["caption"] is None
    assert decode(raw, "x.png", **options).rows[0]["caption"] is None

    def fingerprint() -> dict[str, str]:
        given = settings_of("image", options={"captions": str(listed)})
        return dict(decoder_for("image", given, "x.png").fingerprint)

    before = fingerprint()
    assert before[f"captions {listed}"] == hashlib.sha256(text.encode()).hexdigest()
    listed.write_text(text.replace("y.png", "z.png"))
    assert fingerprint() != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"file": "x"}\n[]', "line 2: not a JSON object"),
        ('{"caption": "x"}', "line 1: no path, file_name or file"),
        ('{"path": "x", "caption": 1}', "line 1: its caption is no text"),
        ('{"path": "x", "caption": "a"}\n{"path": "x", "caption": "b"}', "line 2: 'x' is there twice"),
        ('{"path": "x", "caption": "\\ud800"}', "line 1: a lone surrogate"),
        ('{"path": "x", "caption": "' + "a" * 1024 * 1024 + '"}', "line 1: longer than 1048576 bytes"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_wrong_list_of_captions_is_refused_in_a_line(
    text: str | None, message: str, tmp_path: Path
) -> None:
    listed = tmp_path / "list.jsonl"
    if text is not None:
        listed.write_text(text)
    with pytest.raises(UsageError, match=message):
        decode(b"", "x.png", schema="image", captions=str(listed))


def test_the_collected_captions_belong_to_the_collected_images(shared_data: Path) -> None:
    folder = shared_data / "images" / "openclipart"
    captions = Captions(str(folder / "captions.shared.jsonl"))
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.png")]
    assert sum(captions.of(path) is not None for path in files) > 380


def test_sizes_are_what_pillow_finds_in_the_collected_images(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PIL, "MAX_IMAGE_PIXELS", None)
    folders = [
        shared_data / "images" / name for name in ("openclipart", "pillow", "scikit-image", "stdlib-getty")
    ]
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    seen = 0
    for path in files[::3] + files[-40:]:
        raw = path.read_bytes()
        kind = media_type(raw[:16384], path.name)
        if kind not in _SNIFFERS:
            continue
        with PIL.open(path) as image:
            assert size_of(raw, kind) == image.size, path
        found = decode(raw, path.name, schema="image", format="image")
        assert found.counts == (1, 0, False), (path, found.reasons)
        seen += 1
    assert seen > 100


def test_the_collected_malformed_images_are_rows_or_rejects(shared_data: Path) -> None:
    files = sorted((shared_data / "images" / "pillow-malformed").iterdir())
    assert len(files) >= 35
    for path in files:
        found = decode(path.read_bytes(), path.name, schema="image", format="image")
        assert len(found.rows) + len(found.rejects) == 1, path


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(_SNIFFERS)), st.binary(max_size=200), st.data())
def test_any_header_is_a_size_or_none(kind: str, raw: bytes, data: st.DataObject) -> None:
    real = {"image/png": "PNG", "image/jpeg": "JPEG", "image/tiff": "TIFF", "image/webp": "WEBP"}.get(kind)
    if real is not None:
        whole = bytearray(made(real))
        at = data.draw(st.integers(0, len(whole)))
        whole[at : at + len(raw) // 4] = raw[: len(raw) // 4]
        raw = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    size = size_of(raw, kind)
    assert size is None or (size[0] > 0 and size[1] > 0)
    decode(raw, "x", schema="image", format="image")


def test_a_jpeg_without_a_frame_before_its_scan_has_no_size() -> None:
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x12\x34"
    later = b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x10\x00\x20\x01\x01\x11\x00"
    assert size_of(b"\xff\xd8" + scan + later, "image/jpeg") is None
    assert size_of(b"\xff\xd8\xff\xd9" + later, "image/jpeg") is None
    assert size_of(later + scan, "image/jpeg") == (32, 16)
    assert size_of(b"\xff\xd8\xff\x01\xff\xd0" + later[2:] + scan, "image/jpeg") == (32, 16)
