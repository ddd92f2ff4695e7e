"""Content types read as Fetch reads them, and bodies that are no text, or that no type is stated of."""

from __future__ import annotations

import gzip
import io

import pytest
from PIL import Image

from formats.decoding import decode
from formats.web.archives import WORDS, http_record, record
from skyhaul_connectors.formats.web.content_type import ContentType, content_type

# Cases of the web platform tests (fetch/content-type/resources/content-types.json, mimesniff/mime-types) and
# of our own; what `new Response(body, {headers}).blob()` of a browser gives as its type.
TYPES = [
    (None, "", None),
    ("", "", None),
    ("bogus", "", None),
    ("text/html;charset=gbk", "text/html", "gbk"),
    ("TEXT/HTML;CHARSET=GBK", "text/html", "GBK"),
    ("text/html;charset=gbk(", "text/html", "gbk("),
    ("text/html;x=(;charset=gbk", "text/html", "gbk"),
    ("text/html;charset=gbk;charset=windows-1255", "text/html", "gbk"),
    ("text/html;charset=();charset=GBK", "text/html", "()"),
    ("text/html;charset =gbk", "text/html", None),
    ("text/html ;charset=gbk", "text/html", "gbk"),
    ("text/html; charset=gbk", "text/html", "gbk"),
    ("text/html;charset= gbk", "text/html", " gbk"),
    ('text/html;charset="gbk"', "text/html", "gbk"),
    ('text/html;charset="gbk', "text/html", "gbk"),
    ('text/html;charset="\\ gbk"', "text/html", " gbk"),
    ('text/html;charset="gbk"x', "text/html", "gbk"),
    ('text/html;charset="";charset=GBK', "text/html", ""),
    ("text/html;charset='gbk'", "text/html", "'gbk'"),
    ('text/html;x=";charset=foo";charset=gbk', "text/html", "gbk"),
    ("text/html;charset=;charset=gbk", "text/html", "gbk"),
    ("text/html;;;;charset=gbk", "text/html", "gbk"),
    ("text/html, text/html;charset=gbk", "text/html", "gbk"),
    ("text/html;charset=gbk, text/html", "text/html", "gbk"),
    ("text/html;charset=gbk, text/html, text/html;charset=windows-1254", "text/html", "windows-1254"),
    ("text/html;charset=gbk;x=1, text/html;charset=big5, text/html", "text/html", "gbk"),
    ("text/plain;charset=gbk, text/html", "text/html", None),
    ("text/plain, */*;charset=gbk", "text/plain", None),
    ("text/html, */*", "text/html", None),
    ("*/*, text/html;charset=gbk", "text/html", "gbk"),
    ("text/html;charset=gbk, bogus", "text/html", "gbk"),
    ('text/html;x=",text/css;charset=gbk", text/plain', "text/plain", None),
    ("image/png, text/html, text/css", "text/css", None),
    ("unknown/unknown", "", None),
    # Not of the standard, which finds no type: as Chromium, and a charset besides.
    ("text/html charset=gbk", "text/html", "gbk"),
    ("text/html charset='gbk'", "text/html", "gbk"),
    ("text/html (comment)", "text/html", None),
    ("bogus, text/plain charset=gbk", "text/plain", "gbk"),
]


@pytest.mark.parametrize(("header", "essence", "charset"), TYPES)
def test_a_header_says_what_fetch_reads_in_it(header: str | None, essence: str, charset: str | None) -> None:
    assert content_type(header) == ContentType(essence, charset)


@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: text/html, text/html; charset=shift_jis",
        "Content-Type: text/html\r\nContent-Type: text/html; charset=shift_jis",
        "Content-Type: text/html charset=shift_jis",
        "Content-Type: text/html;\r\n  charset=shift_jis",
        'content-type : text/html;x="a,b;c";CHARSET="windows-31j"',
        "Content-Type: text/html;charset=shift_jis\r\nContent-Type: */*",
    ],
)
def test_headers_in_the_forms_that_servers_send(head: str) -> None:
    body = b"<p>\x87\x40\x93\xfa\x96\x7b."
    found = decode(http_record(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body), "x.warc")
    assert (found.texts, found.reasons) == (["①日本."], [])
    assert '"content_type":"text/html"' in found.rows[0]["metadata"]


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ("text/css", "no text: a style sheet"),
        ("text/css; charset=utf-8", "no text: a style sheet"),
        ("text/javascript", "no text: a script"),
        ("TEXT/JavaScript1.5", "no text: a script"),
        ("text/x-javascript, text/ecmascript", "no text: a script"),
        ("application/javascript", "no text: application/*"),
        ("application/json", "no text: application/*"),
        ("text/html, image/png", "no text: image/*"),
    ],
)
def test_scripts_and_style_sheets_are_no_documents(stated: str, reason: str) -> None:
    raw = http_record(f"HTTP/1.1 200 OK\r\nContent-Type: {stated}\r\n\r\nvar words = 1;".encode())
    found = decode(raw, "x.warc")
    assert (found.counts, found.passed_over) == ((0, 0, False), {reason: 1})
    found = decode(record("resource", b"body{}", Content_Type=stated), "x.warc")
    assert (found.counts, found.passed_over) == ((0, 0, False), {reason: 1})


def test_an_answer_of_dns_is_no_document_whatever_its_type() -> None:
    block = b"20240101000000\nwww.example.org. 600 IN A 192.0.2.1\n"
    for kind in ("text/dns", "text/plain", ""):
        raw = record("response", block, WARC_Target_URI="dns:www.example.org", Content_Type=kind)
        found = decode(raw, "x.warc")
        assert (found.counts, found.passed_over) == ((0, 0, False), {"no text: a DNS answer": 1})


def _picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, kind)
    return out.getvalue()


BINARY = {
    "application/pdf": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + bytes(range(128, 256)),
    "application/gzip": gzip.compress(WORDS.encode(), mtime=0),
    "image/png": _picture("png"),
    "image/jpeg": _picture("jpeg"),
    "image/gif": _picture("gif"),
    "application/x-elf": b"\x7fELF\x02\x01\x01" + bytes(57),
    "application/octet-stream": b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00\xb8"
    + bytes(200),
    "application/zip": b"PK\x03\x04\x14\x00\x08\x08\x08\x00",
}


@pytest.mark.parametrize(
    "label", ["text/html", "text/plain", "text/html; charset=latin1", "text/plain;charset=gbk"]
)
@pytest.mark.parametrize("kind", BINARY)
def test_bytes_that_are_no_text_are_a_reject_whatever_the_label_says(kind: str, label: str) -> None:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {label}\r\n\r\n".encode() + BINARY[kind]
    for raw in (http_record(http), record("resource", BINARY[kind], Content_Type=label)):
        found = decode(raw, "x.warc")
        assert found.counts == (0, 1, False)
        essence = content_type(label).essence
        assert found.reasons == [f"no text: the bytes are {kind}, though the type is {essence}"]


@pytest.mark.parametrize("kind", [kind for kind in BINARY if kind != "application/gzip"])
def test_an_object_that_is_no_page_or_text_is_a_reject(kind: str) -> None:
    assert decode(BINARY[kind], "x.html").reasons == [f"no text: the bytes are {kind}"]
    assert decode(BINARY[kind], "x.txt", encoding="latin1").reasons == [f"no text: the bytes are {kind}"]


@pytest.mark.parametrize(
    "body",
    [
        b"GIF89a is a format of pictures.",
        b"ID3 tags are a sad story.",
        b"WARC/1.0 begins a record.",
        b"\x0cA form feed, \x1b[1mbold\x1b[0m words, and one \x02 that slipped in.",
        "PK\u0003 im Text, mit Ümlauten.".encode().replace(b"\x03", b""),
    ],
)
def test_texts_that_look_like_something_else_stay_texts(body: bytes) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + body
    assert decode(http_record(http), "x.warc").texts == [body.decode()]


def test_utf_16_is_text_with_a_mark_with_a_label_and_where_it_begins_a_page() -> None:
    page = f"<html><p>{WORDS}.</p></html>"
    for label, body in (
        ("text/html", page.encode("utf-16")),
        ("text/html", ("\ufeff" + page).encode("utf-16-be")),
        ("text/html;charset=utf-16", page.encode("utf-16-le")),
        ("text/html;charset=utf-16be", page.encode("utf-16-be")),
        ("", page.encode("utf-16")),
    ):
        http = f"HTTP/1.1 200 OK\r\nContent-Type: {label}\r\n\r\n".encode() + body
        assert decode(http_record(http), "x.warc").texts == [f"{WORDS}."], label


@pytest.mark.parametrize(
    "body",
    [
        b"<!-- c -->\n<html><p>%b",
        b"\xef\xbb\xbf<html><p>%b",
        b" \r\n\t<!DOCTYPE HTML><p>%b",
        b"<title>T</title><p>%b",
        b"<P >%b",
        b"<a href=x>%b</a>",
        b"<table><tr><td>%b</table>",
    ],
)
@pytest.mark.parametrize(
    "head", ["", "Content-Type:\r\n", "Content-Type: bogus\r\n", "Content-Type: */*\r\n"]
)
def test_a_page_without_a_type_is_known_as_browsers_know_it(head: str, body: bytes) -> None:
    raw = http_record(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body % WORDS.encode())
    (row,) = decode(raw, "x.warc", extract="all").rows
    assert row["text"].endswith(WORDS)
    assert '"content_type":"text/html"' in row["metadata"]


@pytest.mark.parametrize(
    "body", [b"plain words", b"<?xml version='1.0'?><x/>", b"<pre>x", b"", b"%PDF-1.4", b"{}"]
)
def test_what_else_has_no_type_is_passed_over(body: bytes) -> None:
    found = decode(http_record(b"HTTP/1.1 200 OK\r\n\r\n" + body), "x.warc")
    assert (found.counts, found.passed_over) == ((0, 0, False), {"no content type": 1})
