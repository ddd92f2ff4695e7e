"""What macOS leaves beside files, and dot-names: passed over, counted, in no group and at the end of none."""

from __future__ import annotations

import io
import tarfile

import pytest

from formats.archive.test_tar import packed
from formats.decoding import decode
from formats.media.test_beside import GIF, together
from skyhaul_connectors.formats.media.hidden_names import APPLE_DOUBLE, DOT_NAME, why_hidden

DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(40)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("._a.jpg", APPLE_DOUBLE),
        ("./._a.jpg", APPLE_DOUBLE),
        ("a/b/._.DS_Store", APPLE_DOUBLE),
        ("__MACOSX/a/b.jpg", APPLE_DOUBLE),
        ("x/__MACOSX/._b.jpg", APPLE_DOUBLE),
        (".DS_Store", DOT_NAME),
        ("a/.hidden.jpg", DOT_NAME),
        (".git/config", None),
        ("a.b/c._d", None),
        ("_a.jpg", None),
        ("__MACOSX", None),
    ],
)
def test_names(path: str, why: str | None) -> None:
    assert why_hidden(path) == why


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("prefix", ["", "./", "d/", "n" * 60 + "/" + "m" * 60 + "/"])
def test_in_a_tar_they_neither_join_nor_end_a_group(prefix: str, format: int) -> None:
    members = [
        ("._0001.jpg", DOUBLE),
        ("0001.gif", GIF),
        ("._0001.txt", DOUBLE),
        (".DS_Store", b"\0\0\0\1Bud1"),
        ("0001.txt", b"one"),
        ("__MACOSX/._0001.json", DOUBLE),
        ("0001.json", b'{"k":1}'),
        (".0002.gif", GIF),
        ("0002.gif", GIF),
        ("._0002.txt", b"no caption"),
    ]
    found = decode(packed([(prefix + name, body) for name, body in members], format), "x.tar", schema="image")
    assert not found.rejects
    assert [row["caption"] for row in found.rows] == ["one", None]
    assert found.rows[0]["metadata"] == f'{{"json":{{"k":1}},"name":"{prefix}0001"}}'
    assert found.passed_over == {APPLE_DOUBLE: 4, DOT_NAME: 2}
    assert found.first_passed_over is not None


def test_as_tar_on_macos_writes_them_with_pax_headers_of_their_own() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, body in [("./._a.gif", DOUBLE), ("./a.gif", GIF), ("./._a.txt", DOUBLE), ("./a.txt", b"a")]:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            info.pax_headers = {"LIBARCHIVE.xattr.com.apple.provenance": "AQAA", "mtime": "1.5"}
            archive.addfile(info, io.BytesIO(body))
    found = decode(out.getvalue(), "x.tar", schema="image")
    assert ([row["caption"] for row in found.rows], found.rejects) == (["a"], [])
    assert found.passed_over == {APPLE_DOUBLE: 2}


def test_of_other_schemas_in_a_tar_they_are_no_records_but_blobs_are_all_there_is() -> None:
    raw = packed([("._a.txt", DOUBLE), ("a.txt", b"text"), (".b.jsonl", b"{"), ("__MACOSX/._c.csv", DOUBLE)])
    found = decode(raw, "x.tar")
    assert (found.texts, found.rejects) == (["text"], [])
    assert found.passed_over == {APPLE_DOUBLE: 2, DOT_NAME: 1}
    blobs = decode(raw, "x.tar", schema="blob", format="tar")
    assert [row["name"] for row in blobs.rows] == ["._a.txt", "a.txt", ".b.jsonl", "._c.csv"]
    assert blobs.passed_over == {}


def test_a_tar_that_ends_inside_of_one_is_damaged() -> None:
    raw = packed([("a.gif", GIF), ("._a.gif", DOUBLE * 30)])
    found = decode(raw[: 512 * 4 + 9], "x.tar", schema="image")
    assert (len(found.rows), found.damaged) == (1, True)


@pytest.mark.parametrize("options", [{}, {"captions": "beside"}])
def test_a_loose_one_that_a_glob_finds_is_passed_over(options: dict[str, str]) -> None:
    def read(path: str, raw: bytes):
        return decode(raw, path, schema="image", format="image", **options)

    assert read("a/._cat.jpg", DOUBLE).passed_over == {APPLE_DOUBLE: 1}
    assert read("__MACOSX/cat.gif", GIF).counts == (0, 0, False)
    assert read("a/.DS_Store", b"\0\0\0\1Bud1").passed_over == {DOT_NAME: 1}
    assert read("a/.cat.gif", GIF).counts == (1, 0, False)  # it was asked for, and is an image
    assert read("a/_cat.gif", b"junk").reasons == ["no image: its bytes are text/plain"]


def test_loose_side_cars_of_such_names_are_passed_over() -> None:
    for path, why in {"a/._cat.txt": APPLE_DOUBLE, "a/.cat.txt": DOT_NAME}.items():
        found = decode(b"a cat", path, schema="image", captions="beside")
        assert (found.rejects, found.passed_over) == ([], {why: 1})
    group = together({"._cat.gif": DOUBLE, "._cat.txt": DOUBLE})
    assert group.counts == (0, 0, False)
    hidden = together({".cat.gif": GIF, ".cat.txt": b"a cat"})
    assert [row["caption"] for row in hidden.rows] == ["a cat"]
