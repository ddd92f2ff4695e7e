"""The Encoding Standard's encodings against independent implementations, and what its labels mean here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.decoding import decode
from formats.web.archives import http_record
from skyhaul_connectors.formats.charsets import whatwg
from skyhaul_connectors.formats.web.html_encoding import prescan
from skyhaul_schemas.errors import UsageError

DIGESTS = json.loads(Path(__file__).with_name("whatwg_digests.json").read_text("ascii"))
SEVERAL = ("shift_jis", "euc-jp", "euc-kr", "big5", "gb18030")
SINCE_2018 = {
    f"a6{low:x}": chr(code)
    for low, code in (
        *((0xD9, 0xE78D), (0xDA, 0xE78E), (0xDB, 0xE78F), (0xDC, 0xE790), (0xDD, 0xE791), (0xDE, 0xE792)),
        *((0xDF, 0xE793), (0xEC, 0xE794), (0xED, 0xE795), (0xF3, 0xE796)),
    )
} | {
    f"fe{low:x}": chr(code)
    for low, code in (
        *((0x59, 0xE81E), (0x61, 0xE826), (0x66, 0xE82B), (0x67, 0xE82C), (0x6D, 0xE832), (0x7E, 0xE843)),
        *((0x90, 0xE854), (0xA0, 0xE864)),
    )
}
"""gb18030 as it was in 2005; since 2022 these 18 have characters outside the private use area."""


def sequences(name: str) -> Iterator[bytes]:
    """As whatwg_digests.mjs gives them."""
    yield from (bytes((a,)) for a in range(256))
    if name not in SEVERAL:
        return
    yield from (bytes((a, b)) for a in range(128, 256) for b in range(256))
    if name == "euc-jp":
        yield from (bytes((0x8F, a, b)) for a in range(128, 256) for b in range(256))
    if name == "gb18030":
        for a in (0x81, 0x82, 0x83, 0x84, 0x90, 0xE3, 0xFE):
            for b in range(0x30, 0x3A):
                for c in range(0x81, 0xFF):
                    yield from (bytes((a, b, c, d)) for d in range(0x30, 0x3A))


@pytest.mark.parametrize("name", DIGESTS["errors"])
def test_every_sequence_gives_what_independent_implementations_give(name: str) -> None:
    errors, characters = hashlib.sha256(), hashlib.sha256()
    for raw in sequences(name):
        text = whatwg.decode(raw, name, "replace")
        errors.update(f"{raw.hex()} {text}\n".encode())
        if "\ufffd" not in text:
            older = SINCE_2018.get(raw.hex(), text) if name == "gb18030" else text
            characters.update(f"{raw.hex()} {older}\n".encode())
    assert errors.hexdigest() == DIGESTS["errors"][name]
    assert characters.hexdigest() == DIGESTS["characters"][name]


LABELS = [
    ("windows-31j", b"\x87\x40\x81\x60\xfb\xfc", "①～髙"),
    ("Shift_JIS", b"\x87\x8a\xed\x40", "㈱纊"),
    ("x-sjis", b"\xee\xef", "ⅰ"),
    ("windows-949", b"\x81\x41\xb0\xa1", "갂가"),
    ("ks_c_5601-1987", b"\x8c\x63", "똠"),
    ("big5-hkscs", b"\x87\x40\xfa\x40", "䏰𠕇"),
    ("Big5", b"\xa1\x45\xa1\xf2\x88\x62", "‧⊕Ê̄"),
    ("gb2312", b"\x80\x81\x40\xa8\xbc", "€丂ḿ"),
    ("gbk", b"\x81\x35\xf4\x37\x95\x32\x82\x36", "\ue7c7𠀀"),
    ("gb18030", b"\xa3\xa0\xa6\xd9", "\u3000︐"),
    ("windows-874", b"\xa1\xd2\x80\x85", "กา€…"),
    ("tis-620", b"\xa1\x80", "ก€"),
    ("latin1", b"\x80\x93x\x94\x81", "€“x”\x81"),
    ("iso-8859-1", b"\x80", "€"),
    ("us-ascii", b"\x85\xe9", "…é"),
    ("iso-8859-9", b"\x80\xfd", "€ı"),
    ("euc-jp", b"\xad\xa1\xa1\xc1\x8f\xa2\xb7\x8e\xb1", "①～～ｱ"),
    ("iso-2022-jp", b"\x1b$B-!!A\x1b(B.", "①～."),
    ("iso-2022-jp", b"\x1b(I1\x1b(J\\~\x1b(B", "ｱ¥‾"),
    ("koi8-u", b"\xa4\xb4\xae", "єЄў"),
    ("x-mac-cyrillic", b"\xa2\xff", "Ґ€"),
    ("macintosh", b"\xdb\xf0", "€\uf8ff"),
    ("x-user-defined", b"\x80\xff", "\uf780\uf7ff"),
    ("utf-16", "añ".encode("utf-16-le"), "añ"),
    ("  UTF8\t", "añ".encode(), "añ"),
]


@pytest.mark.parametrize(("label", "raw", "text"), LABELS)
def test_a_label_means_what_it_means_to_a_browser_in_texts_pages_and_tables(
    label: str, raw: bytes, text: str
) -> None:
    assert decode(raw, "x.txt", encoding=label).texts == [text]
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/%b; charset=%b\r\n\r\n%b"
    given_label = label.strip()
    page = f"<p>{text}.</p>".encode("utf-16-le") if label == "utf-16" else b"<p>%b.</p>" % raw
    assert decode(http_record(http % (b"plain", given_label.encode(), raw)), "x.warc").texts == [text]
    assert decode(http_record(http % (b"html", given_label.encode(), page)), "x.warc").texts == [text + "."]
    assert decode(page, "x.html", encoding=label).texts == [text + "."]
    if label != "utf-16":  # such a page could not be read up to its <meta>
        meta = b"<meta charset='%b'>" % given_label.encode()
        shown = "€ÿ" if label == "x-user-defined" else text
        assert decode(meta + page, "x.html").texts == [shown + "."]
    if label != "iso-2022-jp":
        table = "text\n".encode("utf-16-le" if label == "utf-16" else "ascii") + raw
        assert decode(table, "x.csv", encoding=label).texts == [text]


@pytest.mark.parametrize("label", ["iso-2022-kr", "hz-gb-2312", "csiso2022kr", "iso-2022-cn", "replacement"])
def test_what_the_standard_replaces_is_refused_or_rejected(label: str) -> None:
    with pytest.raises(UsageError, match="the Encoding Standard replaces it"):
        decode(b"", "x.txt", encoding=label)
    with pytest.raises(UsageError, match="is no encoding of HTML"):
        decode(b"", "x.html", encoding=label)
    page = b"<meta charset=%b><p>words" % label.encode()
    assert decode(page, "x.html").counts == (0, 1, False)
    for kind in (b"plain", b"html"):
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/%b;charset=%b\r\n\r\n<p>words" % (kind, label.encode())
        found = decode(http_record(http), "x.warc")
        assert found.counts == (0, 1, False)
        assert "the Encoding Standard replaces" in found.reasons[0]


@pytest.mark.parametrize(
    ("label", "raw", "text"),
    [
        # An ASCII byte that ends no character stands for itself, so that no tag is swallowed.
        ("shift_jis", b"a\x81<b", "a\ufffd<b"),
        ("euc-jp", b"a\x8f\xa1<b", "a\ufffd<b"),
        ("big5", b"a\x87\x3cb\xff", "a\ufffd<b\ufffd"),
        ("euc-kr", b"\x81<\xc9", "\ufffd<\ufffd"),
        ("gb18030", b"\x81\x30<\x84\x31\xa5\x30\x81\x30", "\ufffd0<\ufffd\ufffd"),
        ("shift_jis", b"\xa0\xfd\x80", "\ufffd\ufffd\x80"),
        ("iso-2022-jp", b"\x1b$B\x1b(Ba\x0e", "\ufffda\ufffd"),
        ("windows-1255", b"\xd9\xe0", "\ufffdא"),
    ],
)
def test_an_error_takes_the_bytes_that_it_takes_in_a_browser(label: str, raw: bytes, text: str) -> None:
    assert whatwg.decode(raw, label, "replace") == text
    with pytest.raises(UnicodeDecodeError) as caught:
        whatwg.decode(raw, label)
    assert caught.value.start == text.index("\ufffd") + (label == "iso-2022-jp") * 3
    assert decode(raw, "x.txt", encoding=label).reasons[0].startswith(f"invalid {label} at byte ")


@given(st.sampled_from([*DIGESTS["errors"], "iso-2022-jp"]), st.binary(max_size=40))
def test_any_bytes_have_a_text_and_strictly_the_same_or_none(name: str, raw: bytes) -> None:
    replaced = whatwg.decode(raw, name, "replace")
    escaped = whatwg.decode(raw, name, "surrogateescape")
    try:
        assert whatwg.decode(raw, name) == replaced == escaped
    except UnicodeDecodeError:
        assert "\ufffd" in replaced


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<meta charset=koi8-r>", "koi8-r"),
        (b"<META/CHARSET = 'koi8-r'/>", "koi8-r"),
        (b'<meta http-equiv=content-type content="text/html; charset = koi8-r ">', "koi8-r"),
        (b"""<meta content='text/html;charset="koi8-r"' http-equiv="Content-Type">""", "koi8-r"),
        (b"<meta content='text/html;charset=koi8-r'>", None),
        (b"<meta name=x content='charset=koi8-r'><meta charset=big5>", "big5"),
        (b"<!-- <meta charset=koi8-r> --><meta charset=big5>", "big5"),
        (b"<!--><meta charset=koi8-r>", "koi8-r"),
        (b"<a title='<meta charset=koi8-r>'><meta charset=big5>", "big5"),
        (b"<?php x ?><!doctype html></p x><meta charset=big5>", "big5"),
        (b"<meta charset=klingon><meta charset=big5>", "big5"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<metal charset=koi8-r>", None),
        (b"<meta charset='koi8-r", None),
        (b"<meta charset=koi8-r charset=big5>", "koi8-r"),
        (b"<?xml version='1.0' encoding='euc-jp'?><html>", "euc-jp"),
        (b"<?xml version='1.0' encoding='euc-jp'?><meta charset=big5>", "big5"),
        ("<?xml".encode("utf-16-be"), "utf-16be"),
        (b"<p>charset=koi8-r", None),
    ],
)
def test_what_a_page_says_of_itself_is_found_as_the_html_standard_finds_it(
    head: bytes, name: str | None
) -> None:
    assert prescan(head) == name


def test_the_order_of_what_states_an_encoding() -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=%b\r\n\r\n%b"
    page = b"<meta charset=koi8-r><p>\xe4\xb8\x80."
    assert decode(http_record(http % (b"utf-8", page)), "x.warc").texts == ["一."]
    assert decode(http_record(http % (b"", page)), "x.warc").texts == ["Д╦─."]
    marked = b"\xef\xbb\xbf<meta charset=koi8-r><p>\xe4\xb8\x80."
    assert decode(http_record(http % (b"big5", marked)), "x.warc").texts == ["一."]
    assert decode(marked, "x.html", encoding="big5").texts == ["一."]
    assert decode(page, "x.html", encoding="utf-8").texts == ["一."]
    assert decode("\ufeff一".encode("utf-16-be"), "x.txt", encoding="shift_jis").texts == ["一"]
    plain = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin1\r\n\r\n" + "\ufeff一".encode()
    assert decode(http_record(plain), "x.warc").texts == ["一"]


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        ("euc-jp", b"\xad\xa1\x8f\xa2\xb7\xff", "①～\ufffd"),
        ("gb18030", b"\x80\xa8\xbc\x81\x35\xf4\x37\xff", "€ḿ\ue7c7\ufffd"),
        ("big5", b"\xa2A\xa1\xfe", "∕／"),
    ],
)
def test_a_long_text_full_of_differences_is_read(name: str, raw: bytes, text: str) -> None:
    assert whatwg.decode(raw * 5_000, name, "replace") == text * 5_000


@pytest.mark.parametrize("filler", [b"<script>" + b" " * 5000 + b"</script>", b"<link href=x>" * 300])
def test_a_meta_beyond_the_first_kilobyte_counts_while_it_is_in_the_head(filler: bytes) -> None:
    page = b"<html><head>%b<meta charset=%b></head><body><p>\x87\x40\x93\xfa\x96\x7b."
    assert decode(page % (filler, b"windows-31j"), "x.html").texts == ["①日本."]
    late = b"<html><head>%b</head><body><p>\xe4\xb8\x80.<!-- --><meta charset=koi8-r>" % filler
    assert decode(late, "x.html").texts == ["一."]


@pytest.mark.parametrize("label", ["'gbk'", "\"'gbk'\"", '""', "''", '" "', "", "gbk"])
def test_a_label_in_quotes_is_that_label_and_an_empty_one_none(label: str) -> None:
    text = "中文。" if "gbk" in label else "words é"
    body = text.encode("gbk" if "gbk" in label else "utf-8")
    for kind, shown in ((b"plain", body), (b"html", b"<p>" + body)):
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/%b; charset=%b\r\n\r\n%b" % (
            kind,
            label.encode(),
            shown,
        )
        found = decode(http_record(http), "x.warc", extract="all")
        assert (found.texts, found.reasons) == ([text], [])
