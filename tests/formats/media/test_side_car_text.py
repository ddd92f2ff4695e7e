"""Side-cars are decoded as texts are: without a byte order mark, by it, or by the declared encoding."""

from __future__ import annotations

import codecs
import json

import pytest

from formats.archive.test_tar import packed
from formats.decoding import decode
from formats.media.test_beside import GIF, together
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.errors import UsageError

CAPTION = "ein Käuzchen – 猫"
MARKED = {
    "utf-8": codecs.BOM_UTF8 + CAPTION.encode(),
    "utf-16-le": codecs.BOM_UTF16_LE + CAPTION.encode("utf-16-le"),
    "utf-16-be": codecs.BOM_UTF16_BE + CAPTION.encode("utf-16-be"),
    "utf-32-le": codecs.BOM_UTF32_LE + CAPTION.encode("utf-32-le"),
}
marked = pytest.mark.parametrize("raw", MARKED.values(), ids=MARKED)


def of_text(raw: bytes, **options: object) -> str | None:
    """What format `text` makes of the same bytes."""
    rows = decode(raw, "x.txt", **options).rows
    return rows[0]["text"] if rows else None


def loose(name: str, raw: bytes, **options: object):
    return together({"cat.gif": GIF, f"cat.{name}": raw}, **options)


def in_tar(name: str, raw: bytes, **options: object):
    return decode(packed([(f"cat.{name}", raw), ("cat.gif", GIF)]), "x.tar", schema="image", **options)


both = pytest.mark.parametrize("read", [loose, in_tar], ids=["loose", "in a tar"])


@both
@marked
@pytest.mark.parametrize("suffix", ["txt", "caption", "text"])
def test_a_byte_order_mark_says_how_and_is_no_part_of_the_caption(read, raw: bytes, suffix: str) -> None:
    found = read(suffix, raw)
    assert found.counts == (1, 0, False)
    assert found.rows[0]["caption"] == CAPTION == of_text(raw)


@both
@pytest.mark.parametrize("name", MARKED)
def test_json_is_decoded_so_too(read, name: str) -> None:
    mark = MARKED[name][: -len(CAPTION.encode(name))]
    found = read("json", mark + json.dumps({"k": CAPTION}, ensure_ascii=False).encode(name))
    assert found.counts == (1, 0, False)
    assert json.loads(found.rows[0]["metadata"])["json"] == {"k": CAPTION}


@both
def test_a_declared_or_detected_encoding_is_used(read) -> None:
    raw = "caf\u00e9 \u20ac".encode("cp1252")
    assert (
        read("txt", raw, encoding="cp1252").rows[0]["caption"] == "café €" == of_text(raw, encoding="cp1252")
    )
    assert read("json", b'{"k":"\xe9"}', encoding="latin-1").rows[0]["metadata"].count("é") == 1
    russian = ("Широкая электрификация южных губерний даст мощный толчок. " * 3).strip()
    raw = russian.encode("cp1251")
    assert (
        read("txt", raw, encoding="detect").rows[0]["caption"] == russian == of_text(raw, encoding="detect")
    )
    assert read("txt", MARKED["utf-16-le"], encoding="detect").rows[0]["caption"] == CAPTION


@both
@pytest.mark.parametrize(
    ("raw", "options", "reason"),
    [
        (b"caf\xe9", {}, "'utf-8' codec can't decode byte 0xe9"),
        (codecs.BOM_UTF8 + b"\xff", {}, "can't decode byte 0xff in position 3"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8", {}, "invalid utf-16le"),
        (b"a\0b", {}, "a NUL character"),
        (b"\x81", {"encoding": "euc-jp"}, "invalid euc-jp"),
        (b"\\ud800", {"encoding": "unicode_escape"}, "a lone surrogate"),
    ],
)
def test_bytes_that_it_does_not_allow_are_a_reject_and_the_image_goes_without(
    read, raw: bytes, options: dict[str, str], reason: str
) -> None:
    found = read("txt", raw, **options)
    assert (len(found.rows), len(found.rejects)) == (1, 1)
    assert found.rows[0]["caption"] is None
    assert reason in found.reasons[0]
    assert found.rejects[0].raw == raw


def test_an_encoding_that_is_none_is_refused() -> None:
    for format in ("image", "tar"):
        with pytest.raises(UsageError, match="is no text encoding"):
            decoder_for(format, DecodeSettings("image", options={"encoding": "rot13"}), "")


def test_the_detector_is_in_the_fingerprint_where_it_is_asked() -> None:
    for format in ("image", "tar"):
        asked = decoder_for(format, DecodeSettings("image", options={"encoding": "detect"}), "").fingerprint
        plain = decoder_for(format, DecodeSettings("image"), "").fingerprint
        assert asked.keys() - plain.keys() >= {"charset-normalizer", "skyhaul.guessing"}
