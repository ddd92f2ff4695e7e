"""Side-cars: whose caption they are, which of them count, and what becomes of one that cannot be read."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest

from formats.decoding import Result
from formats.decoding import settings as settings_of
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.media.sidecars import is_side_car, parted
from skyhaul_connectors.formats.records.joining import GROUP_CAP, decode_together, grouped, joining
from skyhaul_connectors.formats.registry import decoder_for, format_under
from skyhaul_schemas.errors import DecodeError, DriftError, UsageError
from skyhaul_schemas.plan import Chunk, PinnedObject

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def together(objects: dict[str, bytes], on_damage: str = "reject", **options: Any) -> Result:
    """The objects as one group, in the order of their paths; each reject's reason begins with its object."""
    given = settings_of("image", options={"captions": "beside", **options}, on_damage=on_damage)
    members = [
        BytesChunk(objects[path], Chunk(0, place, PinnedObject("s", path, len(objects[path]), ""), 0, size))
        for place, path in enumerate(sorted(objects))
        for size in [len(objects[path])]
    ]
    result, last = Result(), -1
    for place, step in decode_together(decoder_for("image", given, ""), members):
        assert place >= last
        last = place
        name = members[place].chunk.object.path
        result.rows += [{"of": name, **row} for row in step.batch.to_pylist()]
        result.rejects += step.rejects
        result.damaged |= step.damaged
    return result


@pytest.mark.parametrize(
    ("path", "stem", "suffix"),
    [
        ("a/cat.jpg", "a/cat", "jpg"),
        ("a/cat.JPG.gz", "a/cat", "jpg"),
        ("2024.05.01.png", "2024.05.01", "png"),
        ("a.b/cat", "a.b/cat", ""),
        ("a/.txt", "a/.txt", ""),
        ("cat.", "cat", ""),
    ],
)
def test_a_name_is_parted_at_the_last_dot_of_its_last_part(path: str, stem: str, suffix: str) -> None:
    assert parted(path) == (stem, suffix)


def test_a_side_car_is_told_by_its_suffix() -> None:
    names = ["a.txt", "a.Caption", "a.text", "a.json", "a.txt.gz", "a.jpg", "txt", "a.txt.bak", ".json"]
    assert [name for name in names if is_side_car(name)] == names[:5]


def test_the_text_beside_an_image_is_its_caption_and_json_goes_to_the_metadata() -> None:
    found = together({"cat.gif": GIF, "cat.json": b'{"k": 1}', "cat.txt": " a caté \n".encode()})
    assert found.counts == (1, 0, False)
    (row,) = found.rows
    assert (row["of"], row["bytes"], row["caption"]) == ("cat.gif", GIF, "a caté")
    assert (row["metadata"], row["offset"], row["length"]) == ('{"json":{"k":1}}', 0, len(GIF))


def test_all_images_of_the_name_take_it_wherever_it_stands_among_them() -> None:
    found = together({"cat.bmp.gif": GIF, "cat.caption": b"one", "cat.gif": GIF, "cat.z": GIF})
    assert [(row["of"], row["caption"]) for row in found.rows] == [
        ("cat.bmp.gif", "one"),
        ("cat.gif", "one"),
        ("cat.z", "one"),
    ]


def test_without_a_side_car_the_caption_is_null_and_with_an_empty_one_empty() -> None:
    assert [row["caption"] for row in together({"cat.gif": GIF}).rows] == [None]
    assert [row["caption"] for row in together({"cat.gif": GIF, "cat.txt": b""}).rows] == [""]


def test_of_several_captions_the_first_by_suffix_counts_and_the_others_are_not_looked_at() -> None:
    found = together({"cat.gif": GIF, "cat.text": b"\xff", "cat.caption": b"\xff", "cat.txt": b"this"})
    assert (found.counts, found.rows[0]["caption"]) == ((1, 0, False), "this")


def test_a_compressed_side_car_is_opened() -> None:
    found = together({"cat.gif.gz": gzip.compress(GIF), "cat.txt.gz": gzip.compress(b"a cat")})
    assert [(row["bytes"], row["caption"]) for row in found.rows] == [(GIF, "a cat")]


@pytest.mark.parametrize(
    ("side_car", "raw", "reason"),
    [
        ("cat.txt", b"caf\xe9 au lait", "'utf-8' codec can't decode"),
        ("cat.json", b'{"k": 1, "k": 2}', "k"),
        ("cat.json", b"{", ""),
        ("cat.txt", b"x" * 101, "more than max_caption of 100"),
    ],
)
def test_a_side_car_that_cannot_be_taken_is_a_reject_and_the_image_goes_without(
    side_car: str, raw: bytes, reason: str
) -> None:
    found = together({"cat.gif": GIF, side_car: raw}, max_caption=100)
    assert found.counts == (1, 1, False)
    (reject,) = found.rejects
    assert (reject.offset, reject.length, reject.raw) == (0, len(raw), raw)
    assert reason in reject.reason
    assert (found.rows[0]["caption"], found.rows[0]["metadata"]) == (None, None)
    with pytest.raises(DecodeError, match=f"s/{side_car} at byte 0"):
        together({"cat.gif": GIF, side_car: raw}, on_damage="fail", max_caption=100)


def test_a_side_car_cut_off_in_its_compressed_stream_is_damaged() -> None:
    found = together({"cat.gif": GIF, "cat.txt.gz": gzip.compress(b"a cat" * 99)[:-9]})
    assert found.counts == (1, 1, True)
    assert found.rows[0]["caption"] is None


def test_side_cars_beside_no_image_do_not_fit_the_schema() -> None:
    found = together({"cat.caption": b"one", "cat.json": b"{}", "cat.txt": b"two"})
    assert found.reasons == ["beside no image"] * 3
    assert found.counts == (0, 3, False)
    given = settings_of("image", options={"captions": "beside"}, on_drift="fail")
    with pytest.raises(DriftError, match="beside no image"):
        list(decoder_for("image", given, "").decode(BytesChunk(b"one", path="cat.txt")))


def test_beside_what_is_no_image_after_all_a_side_car_is_no_reject() -> None:
    found = together({"cat.gif": b"not a picture", "cat.txt": b"a cat"})
    assert found.counts == (0, 1, False)
    assert "no image" in found.reasons[0]


def test_without_the_option_nothing_is_joined_and_a_text_is_no_image() -> None:
    decoder = decoder_for("image", settings_of("image"), "")
    joins = joining(decoder)
    assert joins is not None
    assert (joins.group_of("a/cat.txt"), joins.adds("a/cat.txt")) == (None, False)
    assert joining(decoder_for("tar", settings_of("image"), "")) is None
    with pytest.raises(UsageError, match="its suffix states no format"):
        decoder_for(None, settings_of("image"), "a/cat.txt")


def test_where_no_format_is_named_side_cars_have_that_of_images() -> None:
    given = settings_of("image", options={"captions": "beside"})
    names = ["a.jpg", "a.txt", "a.json", "a.tar", "a.parquet", "a.xyz"]
    assert [format_under(given, name) for name in names] == ["image"] * 3 + ["tar", "parquet", None]


def test_the_way_of_joining_is_in_the_fingerprint_only_where_it_is_asked_for() -> None:
    plain = decoder_for("image", settings_of("image"), "").fingerprint
    beside = decoder_for("image", settings_of("image", options={"captions": "beside"}), "").fingerprint
    assert beside == {**plain, "captions beside": "1"}


def test_chunks_of_a_group_come_together_and_no_more_than_the_cap_at_once() -> None:
    def decoder_of(source: str, path: str) -> Any:  # built anew each time, as among threads it may be
        return decoder_for("image", settings_of("image", options={"captions": "beside"}), path)

    names = ["a.gif", "a.txt", "b.gif", *(f"c.{n}" for n in range(GROUP_CAP + 1)), "a.gif"]
    chunks = [Chunk(0, i, PinnedObject("s", name, 1, ""), 0, 1) for i, name in enumerate(names)]
    found = [[chunk.object.path for chunk in group] for _, group in grouped(chunks, decoder_of)]
    assert [len(group) for group in found] == [2, 1, GROUP_CAP, 1, 1]
    assert [name for group in found for name in group] == names
