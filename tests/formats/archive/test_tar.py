"""Tar archives as containers: members decoded as objects, names never used as paths, ends told."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import decode
from skyhaul_connectors.formats.archive import tar_images
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.errors import DecodeError, UsageError

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x02\x00\x00\x00\x03\x08\x02\x00\x00\x00"
    b"\x00\x00\x00\x00IEND\xaeB`\x82"
)


def packed(members: list[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


MEMBERS = [
    ("a/one.txt", b"first"),
    ("b/lines.jsonl", b'{"text":"second"}\nbad\n{"text":"third"}\n'),
    ("empty.txt", b""),
    ("long/" + "n" * 150 + ".txt", b"fourth"),
]


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_members_are_decoded_by_their_suffix_at_their_place_in_the_archive(format: int) -> None:
    raw = packed(MEMBERS, format)
    for found in (
        decode(raw, "x.tar"),
        decode(gzip.compress(raw), "x.tar.gz"),
        decode(gzip.compress(raw), "x.tgz"),
    ):
        assert found.texts == ["first", "second", "third", "fourth"]
        assert [raw[row["offset"] :][:5] for row in found.rows] == [b"first", b'{"tex', b'{"tex', b"fourt"]
        (reject,) = found.rejects
        assert reject.reason.startswith("b/lines.jsonl: malformed JSON")
        assert raw[reject.offset :][: reject.length] == b"bad"
        assert not found.damaged


def test_a_format_and_options_may_be_named_for_all_members() -> None:
    raw = packed([("x.dat", b"a\n\nb"), ("y", b"c")])
    found = decode(raw, "x.tar", members={"format": "text", "unit": "paragraph"}, fields={"url": "@path"})
    assert [(row["text"], row["url"]) for row in found.rows] == [("a", "x.dat"), ("b", "x.dat"), ("c", "y")]
    for members in ({"format": "tar"}, {"format": "nope"}, {"unit": "page"}):
        with pytest.raises(UsageError):
            decode(raw, "x.tar", members=members)


def test_what_is_no_document_is_drift_and_what_is_no_file_is_passed_over() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("../../etc/passwd")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, body in (("x.bin", b"?"), ("t.txt.gz", b"\x1f\x8b"), ("/abs/\nname.txt", b"ok")):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    found = decode(out.getvalue(), "x.tar")
    assert found.texts == ["ok"]
    assert found.reasons == [
        "x.bin: its suffix states no format",
        "t.txt.gz: an archive or stream inside the archive",
    ]


def test_members_become_blobs() -> None:
    found = decode(packed([*MEMBERS, ("i.png", PNG)]), "x.tar", format="tar", schema="blob")
    assert [(row["name"], row["media_type"], row["parts"]) for row in found.rows] == [
        ("one.txt", "text/plain", 1),
        ("lines.jsonl", "application/jsonl", 1),
        ("n" * 150 + ".txt", "text/plain", 1),
        ("i.png", "image/png", 1),
    ]


def test_images_take_the_caption_beside_them_as_webdataset_does() -> None:
    raw = packed(
        [
            ("d/000.png", PNG),
            ("d/000.txt", b" a caption\n"),
            ("d/000.json", b'{"k":1}'),
            ("d/001.png", PNG),
            ("d/002.txt", b"beside nothing"),
            ("d/003.png", b"no image"),
            ("d/003.txt", b"x"),
        ]
    )
    found = decode(raw, "x.tar", schema="image")
    assert [(row["width"], row["caption"], row["metadata"]) for row in found.rows] == [
        (2, "a caption", '{"json":{"k":1},"name":"d/000"}'),
        (2, None, '{"name":"d/001"}'),
    ]
    assert found.reasons == ["d/002.txt: beside no image", "d/003.png: no image: its bytes are text/plain"]


def test_a_truncated_image_is_kept_with_a_mark_or_rejected_as_the_job_says() -> None:
    raw = packed([("a.png", PNG[:-1]), ("a.txt", b"c"), ("b.png", PNG)])
    found = decode(raw, "x.tar", schema="image")
    assert [row["metadata"] for row in found.rows] == ['{"name":"a","truncated":true}', '{"name":"b"}']
    found = decode(raw, "x.tar", schema="image", truncated="reject")
    assert found.reasons == ["a.png: truncated: the png ends before its structure does"]


def test_images_of_one_name_all_come_in_the_archives_order() -> None:
    raw = packed(
        [("x.png", PNG), ("x.png", PNG), ("x.txt", b"c"), ("x.jpg", PNG), ("y.png", PNG), ("y.PNG", PNG)]
    )
    found = decode(raw, "x.tar", schema="image")
    assert [row["caption"] for row in found.rows] == ["c", "c", "c", None, None]
    assert [row["offset"] for row in found.rows] == [at * 512 for at in (1, 3, 7, 9, 11)]
    assert not found.rejects


def test_side_cars_that_cannot_be_read_or_come_twice_are_rejects_of_their_own() -> None:
    raw = packed(
        [
            ("x.txt", b"good"),
            ("x.json", b"{bad"),
            ("x.png", PNG),
            ("x.txt", b"again"),
            ("y.txt", b"\xff"),
            ("y.json", b"{"),
            ("y.png", PNG),
        ]
    )
    found = decode(raw, "x.tar", schema="image")
    assert [row["caption"] for row in found.rows] == ["good", None]
    assert [reject.raw for reject in found.rejects] == [b"again", b"{bad", b"\xff", b"{"]
    assert [reason.partition(":")[0] for reason in found.reasons] == ["x.txt", "x.json", "y.txt", "y.json"]


def test_a_group_of_the_whole_archive_is_held_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`frame.00001.png` is the image `00001.png` of the group `frame`."""
    monkeypatch.setattr(tar_images, "GROUP_MEMBERS", 4)
    frames = [(f"frame.{n:05}.png", PNG) for n in range(10)]
    raw = packed([("frame.txt", b"c"), *frames, ("frame.json", b"{}"), ("next.png", PNG), ("next.txt", b"n")])
    found = decode(raw, "x.tar", schema="image", batch_bytes=1)
    assert [row["caption"] for row in found.rows] == ["c"] * 10 + ["n"]
    assert found.reasons == ["frame.json: comes after more images than are held for their side-cars"]


def test_rows_of_tables_with_more_rows_than_bytes_keep_places_of_their_own() -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(["a"] * 20_000)}), out)
    table = out.getvalue()
    raw = packed([("1.parquet", table), ("2.parquet", table), ("3.txt", b"end")])
    assert len(raw) < 20_000
    offsets = [row["offset"] for row in decode(raw, "x.tar").rows]
    assert len(offsets) == 40_001
    assert offsets == sorted(set(offsets))


def test_every_truncation_is_seen() -> None:
    raw = packed(MEMBERS).rstrip(b"\0")
    whole = packed(MEMBERS)
    for cut in range(1, len(raw), 97):
        assert decode(whole[:cut], "x.tar").damaged, cut
    with pytest.raises(DecodeError, match="truncated"):
        decode(whole[:700], "x.tar", on_damage="fail")
    assert decode(b"", "x.tar").counts == (0, 0, False)


def test_a_corrupt_header_ends_what_can_be_read() -> None:
    raw = bytearray(packed(MEMBERS))
    at = raw.find(b"b/lines.jsonl")
    raw[at] ^= 1
    found = decode(bytes(raw), "x.tar")
    assert found.texts == ["first"]
    assert found.damaged
    assert found.reasons == ["no tar header"]


def test_a_member_over_the_cap_costs_itself_and_a_huge_declared_size_the_rest() -> None:
    raw = packed([("a.txt", b"x" * 5000), ("b.txt", b"b")])
    found = decode(raw, "x.tar", max_member=4096)
    assert found.texts == ["b"]
    assert "more than max_member of 4096" in found.reasons[0]
    header = bytearray(packed([("a.txt", b"x")]))
    header[124:136] = b"\x80" + (2**50).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    found = decode(bytes(header), "x.tar")
    assert found.damaged
    assert not found.rows


def test_the_collected_archives_are_read_as_tarfile_reads_them(shared_data: Path) -> None:
    seen = 0
    for path in sorted((shared_data / "malformed" / "libarchive").iterdir()):
        if ".tar" not in path.name or path.suffix == ".Z" or "uu" in path.suffixes:
            continue
        found = decode(path.read_bytes(), path.name, format="tar", schema="blob")
        seen += 1
        if path.name.endswith((".lz4", ".zst")) or found.rejects:
            continue  # tarfile opens neither; sparse files are rejected here
        with tarfile.open(path) as archive:
            wanted = [member for member in archive if member.isreg() and member.size]
        names = [
            member.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for member in wanted
        ]
        assert [row["name"] for row in found.rows] == [name.rpartition("/")[2] for name in names], path.name
    assert seen >= 15


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage_is_rows_and_rejects(data: st.DataObject) -> None:
    raw = bytearray(packed(MEMBERS, data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    schema = data.draw(st.sampled_from(["document", "blob", "image"]))
    decode(bytes(raw[: data.draw(st.integers(0, len(raw)))]), "x.tar", format="tar", schema=schema)


def test_what_is_passed_over_is_in_the_fingerprint_of_records_and_not_of_blobs() -> None:
    prints = {
        schema: decoder_for("tar", DecodeSettings(schema), "").fingerprint
        for schema in ("document", "image", "blob")
    }
    assert [schema for schema, found in prints.items() if "skyhaul.tar" in found] == ["document", "image"]
    assert {"puremagic", "skyhaul.media_type"} <= prints["blob"].keys()
    assert {"puremagic", "skyhaul.media_type"} <= decoder_for(
        "binary", DecodeSettings("blob"), ""
    ).fingerprint.keys()


@pytest.mark.parametrize("schema", ["blob", "image"])
def test_members_before_the_end_of_a_cut_stream_stay(schema: str) -> None:
    """Whatever fits into a batch: what was read and not handed on yet is not lost with the rest."""
    dot = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("one.gif", "two.gif"):
            info = tarfile.TarInfo(name)
            info.size = len(dot)
            archive.addfile(info, io.BytesIO(dot))
    raw = gzip.compress(buffer.getvalue(), mtime=0)
    found = decode(raw[:-9], "x.tar.gz", "tar", schema)
    assert [row["offset"] for row in found.rows] == [512, 512 + 512 * 2]
    assert found.damaged
