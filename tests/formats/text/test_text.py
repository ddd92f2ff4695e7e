"""Text: whole objects and paragraphs, in declared, marked and detected encodings."""

from __future__ import annotations

import codecs
import gzip
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import decode
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_connectors.formats.text import decoder as text_decoder
from skyhaul_schemas.errors import DecodeError, UsageError
from skyhaul_schemas.plan import Chunk, PinnedObject


def test_an_object_is_a_record_byte_for_byte() -> None:
    (row,) = decode("Zwölf\r\nBoxkämpfer\n".encode(), "a/b/notes.txt").rows
    assert row["text"] == "Zwölf\r\nBoxkämpfer\n"
    assert (row["offset"], row["length"]) == (0, 20)
    assert row["metadata"] is None
    assert row["source_id"] is None


def test_name_and_path_can_be_mapped() -> None:
    fields = {"source_id": "@name", "url": "@path"}
    (row,) = decode(b"x", "a/b/notes.txt", fields=fields).rows
    assert (row["source_id"], row["url"]) == ("notes.txt", "a/b/notes.txt")


@pytest.mark.parametrize("unit", ["object", "paragraph"])
def test_an_empty_object_gives_no_rows(unit: str) -> None:
    assert decode(b"", "x.txt", unit=unit).counts == (0, 0, False)
    assert decode(codecs.BOM_UTF8, "x.txt", unit=unit).counts == (0, 0, False)


@pytest.mark.parametrize("unit", ["object", "paragraph"])
@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-16-le", "latin-1", "cp037"])
def test_white_space_alone_gives_no_rows(unit: str, encoding: str | None) -> None:
    blank = " \n\t\r\n\x0b\x0c\n \n"
    for mark in ("", "\ufeff") if encoding in ("utf-8", "utf-16-le") else ("",):
        raw = (mark + blank).encode(encoding or "utf-8")
        assert decode(raw, "x.txt", unit=unit, encoding=encoding).counts == (0, 0, False)
    kept = (blank + "x" + blank).encode(encoding or "utf-8")
    assert len(decode(kept, "x.txt", unit=unit, encoding=encoding).rows) == 1


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_tells_the_encoding_and_is_no_text(mark: bytes, name: str) -> None:
    raw = mark + "Ünïcode 😀\n\nzwei\n".encode(name)
    (row,) = decode(raw, "x.txt").rows
    assert row["text"] == "Ünïcode 😀\n\nzwei\n"
    stated = name.replace("utf-16-", "utf-16")
    assert row["metadata"] == (None if name == "utf-8" else f'{{"encoding":"{stated}"}}')
    paragraphs = decode(raw, "x.txt", unit="paragraph").rows
    assert [row["text"] for row in paragraphs] == ["Ünïcode 😀", "zwei"]
    for row in paragraphs:
        assert raw[row["offset"] :][: row["length"]].decode(name).lstrip("\ufeff") == row["text"]


def test_a_declared_encoding_is_stated_and_holds_strictly() -> None:
    (row,) = decode("Müller".encode("latin-1"), "x.txt", encoding="latin-1").rows
    assert (row["text"], row["metadata"]) == ("Müller", '{"encoding":"windows-1252"}')
    found = decode(b"a\x81b", "x.txt", encoding="cp1253")
    assert found.texts == ["a\x81b"]
    found = decode(b"a\xd2b", "x.txt", encoding="cp1253")
    assert found.counts == (0, 1, False)
    assert found.reasons == ["invalid windows-1253 at byte 1 of the record"]


def test_utf_16_by_name_takes_the_mark_or_this_machines_order() -> None:
    (row,) = decode("hé".encode("utf-16"), "x.txt", encoding="utf-16").rows
    assert row["text"] == "hé"
    assert decode("a\n\nb".encode("utf-16"), "x.txt", encoding="utf-16", unit="paragraph").texts == ["a", "b"]


def test_detection_is_asked_only_where_utf_8_does_not_fit(shared_data: Path) -> None:
    assert decode("naïve".encode(), "x.txt", encoding="detect").texts == ["naïve"]
    text = "Der Fluß fließt über die Äcker, und die Bäuerin grüßt müde zurück. " * 20
    (row,) = decode(text.encode("cp1252"), "x.txt", encoding="detect").rows
    assert row["text"] == text
    assert "encoding" in row["metadata"]


@pytest.mark.parametrize("raw", [b"\xff\xfe\xfd", b"abc\x80", b"\xed\xa0\x80", b"a\x00b"])
def test_bytes_that_do_not_fit_are_rejected_not_replaced(raw: bytes) -> None:
    found = decode(raw, "x.txt", encoding="utf-8")
    assert found.counts == (0, 1, False)
    assert (found.rejects[0].offset, found.rejects[0].length, found.rejects[0].raw) == (0, len(raw), raw)
    with pytest.raises(DecodeError, match=r"src/x\.txt at byte 0"):
        decode(raw, "x.txt", on_damage="fail")


def test_a_record_over_the_cap_is_rejected_with_its_length() -> None:
    found = decode(b"x" * 5000, "x.txt", max_record=4096)
    assert found.counts == (0, 1, False)
    assert found.rejects[0].length == 5000
    assert found.reasons == ["a record of 5000 bytes, more than max_record of 4096"]


def test_paragraphs_have_offsets_into_the_object() -> None:
    raw = b"\r\nOne\r\ntwo\r\n \t\r\n\r\nThree\n\n\n  four"
    found = decode(raw, "x.txt", unit="paragraph", encoding="utf-8")
    assert found.texts == ["One\r\ntwo", "Three", "  four"]
    assert [raw[row["offset"] :][: row["length"]].decode() for row in found.rows] == found.texts


def test_one_bad_paragraph_costs_only_itself() -> None:
    found = decode(b"one\n\n\xff\n\nthree\n", "x.txt", unit="paragraph", encoding="utf-8")
    assert found.texts == ["one", "three"]
    assert [(reject.offset, reject.length, reject.raw) for reject in found.rejects] == [(5, 1, b"\xff")]


def test_paragraphs_before_the_end_of_a_cut_off_stream_stay() -> None:
    raw = "".join(f"paragraph {number} {hash(str(number) * 3)}\n\n" for number in range(400)).encode()
    packed = gzip.compress(raw)
    found = decode(packed[: len(packed) // 2], "x.txt.gz", unit="paragraph", encoding="utf-8")
    assert found.damaged
    assert 50 < len(found.rows) < 400
    (rest,) = found.rejects
    assert "truncated" in rest.reason
    last = found.rows[-1]
    assert rest.offset >= last["offset"] + last["length"]
    assert raw[rest.offset :].startswith(rest.raw)


@pytest.mark.parametrize("encoding", [None, "detect", "utf-8", "utf-16", "utf-32-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_max_record_is_of_each_paragraph_and_not_of_the_object(encoding: str | None, packed: bool) -> None:
    paragraphs = [f"paragraph {number} of a text in English, as any other" for number in range(400)]
    paragraphs[7] = "much too long " * 400
    codec = "utf-8" if encoding in (None, "detect") else encoding
    raw = "\n\n".join(paragraphs).encode(codec)
    name = "x.txt.gz" if packed else "x.txt"
    found = decode(
        gzip.compress(raw) if packed else raw, name, unit="paragraph", encoding=encoding, max_record=1024
    )
    assert found.texts == paragraphs[:7] + paragraphs[8:]
    (reject,) = found.rejects
    assert reject.length == len("much too long ".encode(codec.replace("16", "16-le"))) * 400
    assert reject.reason == f"a record of {reject.length} bytes, more than max_record of 1024"
    assert raw[reject.offset :].startswith(reject.raw)
    assert not found.damaged


def test_paragraphs_of_a_large_object_are_read_in_bounded_memory_and_one_by_one() -> None:
    raw = b"".join(b"paragraph %08d%s\n\n" % (number, b"." * 2000) for number in range(40_000))
    tracemalloc.start()
    count = 0
    settings_ = DecodeSettings("document", options={"unit": "paragraph"})
    obj = PinnedObject("src", "x.txt", len(raw), "")
    for step in decoder_for(None, settings_, "x.txt").decode(BytesChunk(raw, Chunk(0, 0, obj, 0, len(raw)))):
        count += step.batch.num_rows
        assert not step.rejects
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(raw) > 80_000_000
    assert count == 40_000
    assert peak < 40_000_000


def test_an_object_that_is_too_large_for_a_guess_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_decoder, "_HELD", 2048)
    raw = "a paragraph\n\n".encode("utf-16") * 200
    found = decode(raw, "x.txt", unit="paragraph", encoding="utf-16", max_record=1024)
    held = "what is held to look for paragraphs in its encoding, of 2048"
    assert found.reasons == [f"a record of {len(raw)} bytes, more than {held}"]


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_paragraphs_are_the_same_whether_utf_8_is_declared_or_not(mark: bytes) -> None:
    raw = mark + "Ünïcode\r\n\r\n\xff zwei\n\n\n".encode() + b"\xff\n\nlast"
    plain, declared = (decode(raw, "x.txt", unit="paragraph", encoding=name) for name in (None, "utf-8"))
    assert plain.rows == declared.rows
    assert plain.rejects == declared.rejects


@pytest.mark.parametrize("name", ["utf-7", "iso2022_jp", "hz"])
def test_paragraphs_of_an_encoding_with_state_are_refused_when_the_job_is_read(name: str) -> None:
    with pytest.raises(UsageError, match="use unit: object"):
        decode(b"", "x.txt", unit="paragraph", encoding=name)


@pytest.mark.parametrize("name", ["rot13", "hex", "no-such", "base64", "a\0b"])
def test_an_encoding_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no text encoding"):
        decode(b"", "x.txt", encoding=name)


@pytest.mark.parametrize("name", ["shift_jis", "gb18030", "euc-kr", "cp037", "koi8-r", "utf-16-be", "big5"])
def test_paragraph_offsets_hold_in_other_encodings(name: str) -> None:
    words = {"koi8-r": "Мир", "cp037": "Peace", "euc-kr": "평화", "utf-16-be": "😀"}.get(name, "平和")
    raw = f"{words} 1\n{words}\n\n\n{words} 2\n".encode(name)
    found = decode(raw, "x.txt", unit="paragraph", encoding=name)
    assert found.texts == [f"{words} 1\n{words}", f"{words} 2"]
    for row in found.rows:
        assert raw[row["offset"] :][: row["length"]].decode(name) == row["text"]


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from(["object", "paragraph"]),
    st.sampled_from([None, "detect", "utf-8", "latin-1", "utf-16", "utf-32-be", "gb18030", "cp037"]),
)
def test_any_bytes_are_rows_or_rejects(raw: bytes, unit: str, encoding: str | None) -> None:
    decode(raw, "x.txt", unit=unit, encoding=encoding)
