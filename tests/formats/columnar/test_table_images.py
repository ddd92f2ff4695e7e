"""Images in tables: found in a struct, checked and measured as image files are, and not kept twice."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from formats.decoding import Result, decode
from skyhaul_schemas.errors import DecodeError, DriftError

PIL = pytest.importorskip("PIL.Image", reason="Pillow makes the images")


def made(kind: str, width: int = 12, height: int = 7, **options: Any) -> bytes:
    out = io.BytesIO()
    PIL.new("RGB", (width, height), (1, 2, 3)).save(out, kind, **options)
    return out.getvalue()


def turned(orientation: int) -> bytes:
    exif = PIL.Exif()
    exif[274] = orientation
    return made("JPEG", exif=exif)


JPEG, PNG, GIF = made("JPEG"), made("PNG", 5, 4), made("GIF", 3, 2)
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def arrow(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def read(table: pa.Table, *, as_arrow: bool = False, **options: Any) -> Result:
    raw = arrow(table) if as_arrow else parquet(table)
    return decode(raw, "x.arrow" if as_arrow else "x.parquet", schema="image", **options)


def hugging_face(*images: tuple[bytes | None, str | None] | None, **more: list[Any]) -> pa.Table:
    rows = [None if image is None else {"bytes": image[0], "path": image[1]} for image in images]
    return pa.table({"image": pa.array(rows, STRUCT), **more})


@pytest.mark.parametrize("as_arrow", [False, True])
@pytest.mark.parametrize("fields", [{"bytes": "/image/bytes"}, {"bytes": "image"}, {}])
def test_a_struct_of_bytes_and_path_is_measured_and_its_bytes_are_not_in_the_metadata(
    fields: dict[str, str], as_arrow: bool
) -> None:
    table = hugging_face((JPEG, "a.jpg"), (PNG, None), (GIF, "c.gif"), label=[1, 2, 3])
    found = read(table, fields=fields, as_arrow=as_arrow)
    assert found.counts == (3, 0, False)
    assert [row["bytes"] for row in found.rows] == [JPEG, PNG, GIF]
    for row in found.rows:
        with PIL.open(io.BytesIO(row["bytes"])) as image:
            assert (row["format"], row["width"], row["height"]) == (image.format.lower(), *image.size)
    assert [json.loads(row["metadata"]) for row in found.rows] == [
        {"image": {"path": "a.jpg"}, "label": 1},
        {"image": {"path": None}, "label": 2},
        {"image": {"path": "c.gif"}, "label": 3},
    ]


def test_junk_is_a_reject_as_a_junk_file_is_with_its_bytes() -> None:
    table = hugging_face(
        (b"not an image", "b.jpg"), (PNG, "p"), (b"\x89PNG", "q"), (b"", "e"), caption=list("abcd")
    )
    found = read(table)
    assert [row["caption"] for row in found.rows] == ["b"]
    for reject, raw in zip(found.rejects, (b"not an image", b"\x89PNG", b""), strict=True):
        assert reject.raw == raw
        assert reject.reason.startswith("no image: its bytes are ")
    assert found.reasons[0] == decode(b"not an image", "b.jpg", schema="image").reasons[0]
    with pytest.raises(DecodeError, match="no image"):
        read(table, on_damage="fail")


def test_an_image_that_is_elsewhere_is_a_reject_that_names_it() -> None:
    found = read(hugging_face((None, "far/b.jpg"), (JPEG, "a"), (None, None), None))
    assert found.counts == (1, 3, False)
    assert found.reasons == [
        "bytes: column '/image/bytes' is null: the image is not in the table, only its path 'far/b.jpg'",
        "bytes: column '/image/bytes' is null",
        "bytes: column '/image/bytes' is null",
    ]
    with pytest.raises(DriftError, match=r"far/b\.jpg"):
        read(hugging_face((None, "far/b.jpg")), on_drift="fail")


def test_a_plain_column_of_bytes_is_checked_and_measured_too() -> None:
    table = pa.table({"jpg": [JPEG, b"junk"], "key": ["0", "1"]})
    found = read(table, fields={"bytes": "jpg"})
    ((row,), (reject,)) = (found.rows, found.rejects)
    assert (row["format"], row["width"], row["height"], row["metadata"]) == ("jpeg", 12, 7, '{"key":"0"}')
    assert (reject.reason, reject.raw) == ("no image: its bytes are text/plain", b"junk")


def test_what_columns_state_of_the_image_stands_where_its_bytes_do_not_say_otherwise() -> None:
    columns = {"width": [12, 99, None], "height": [7, 7, None], "format": ["jpeg", "jpg", None]}
    found = read(hugging_face((JPEG, None), (JPEG, None), (JPEG, None), **columns))
    assert [(row["format"], row["width"], row["height"]) for row in found.rows] == [("jpeg", 12, 7)] * 3
    assert [json.loads(row["metadata"]) for row in found.rows] == [
        {"image": {"path": None}},
        {"format": "jpg", "image": {"path": None}, "width": 99},
        {"image": {"path": None}},
    ]
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    found = read(hugging_face((svg, "a.svg"), width=[4], height=[3]))
    assert [(row["format"], row["width"], row["height"]) for row in found.rows] == [("svg", 4, 3)]


def test_metadata_has_what_that_of_a_file_has() -> None:
    found = read(hugging_face((turned(6), None), (JPEG[:-9], None), orientation=[None, "mine"]))
    assert [json.loads(row["metadata"]) for row in found.rows] == [
        {"image": {"path": None}, "orientation": 6},
        {"image": {"path": None}, "orientation": "mine", "truncated": True},
    ]
    found = read(hugging_face((turned(6), None)))
    assert found.rows[0]["metadata"] == '{"image":{"path":null},"orientation":6}'
    assert read(pa.table({"bytes": [turned(8)]})).rows[0]["metadata"] == '{"orientation":8}'


def test_a_bomb_is_refused_by_what_it_states() -> None:
    found = read(hugging_face((PNG, None), (JPEG, None)), max_pixels=50)
    assert found.reasons == ["12 x 7 pixels, more than max_pixels of 50"]
    assert len(found.rows) == 1


@pytest.mark.parametrize(
    "kind", [pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary()), pa.binary(len(PNG))]
)
@pytest.mark.parametrize("inside", [False, True])
def test_whatever_type_holds_the_bytes(kind: pa.DataType, inside: bool) -> None:
    if pa.types.is_dictionary(kind):
        values: pa.Array = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([PNG]))
    else:
        values = pa.array([PNG, PNG], pa.binary()).cast(kind)
    if inside:
        values = pa.StructArray.from_arrays([values, pa.array(["a", "b"])], ["bytes", "path"])
    table = pa.table({"image" if inside else "bytes": values})
    found = read(table, as_arrow=True)
    assert found.counts == (2, 0, False)
    assert [(row["bytes"], row["width"]) for row in found.rows] == [(PNG, 5)] * 2
    assert [row["metadata"] for row in found.rows] == (
        ['{"image":{"path":"a"}}', '{"image":{"path":"b"}}'] if inside else [None, None]
    )


def test_a_struct_deeper_down_and_one_with_nothing_but_bytes() -> None:
    deep = pa.table({"a": [{"b/c": {"bytes": PNG, "path": "p"}, "n": 1}, None]})
    found = read(deep, fields={"bytes": "/a/b~1c/bytes"})
    assert json.loads(found.rows[0]["metadata"]) == {"a": {"b/c": {"path": "p"}, "n": 1}}
    assert found.reasons == ["bytes: column '/a/b~1c/bytes' is null"]
    bare = read(pa.table({"image": [{"bytes": PNG}]}), fields={"bytes": "image"})
    assert bare.rows[0]["metadata"] is None


def test_lists_of_images_and_two_structs_are_told() -> None:
    several = pa.table({"images": pa.array([[{"bytes": PNG, "path": "p"}]], pa.list_(STRUCT))})
    assert read(several, fields={"bytes": "/images/bytes"}).reasons == [
        "bytes: column '/images/bytes' lies in a list, and a row takes one"
    ]
    assert (
        read(several, fields={"bytes": "images"}).reasons[0].startswith("bytes: column 'images' holds list<")
    )
    assert read(several).reasons == ["bytes: column 'bytes' is missing"]
    two = pa.table({"a": pa.array([{"bytes": PNG}], STRUCT), "b": pa.array([{"bytes": PNG}], STRUCT)})
    assert read(two).reasons == ["bytes: column 'bytes' is missing"]
    assert read(two, fields={"bytes": "b"}).counts == (1, 0, False)


def test_texts_are_left_as_they_were() -> None:
    table = hugging_face((JPEG, "a.jpg"), text=["t"])
    (row,) = decode(parquet(table), "x.parquet").rows
    assert set(json.loads(row["metadata"])["image"]) == {"bytes", "path"}


def test_a_truncated_image_is_kept_with_a_mark_or_rejected_as_the_job_says() -> None:
    table = hugging_face((GIF[:-3], "a.gif"), (GIF, None))
    assert '"truncated":true' in read(table).rows[0]["metadata"]
    found = read(table, truncated="reject")
    assert found.reasons == ["truncated: the gif ends before its structure does"]
    assert len(found.rows) == 1
