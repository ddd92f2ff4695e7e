"""Bodies of HTTP responses in web archives: codings undone, ends told, lengths compared."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard

from formats.decoding import decode
from formats.web.archives import PAGES, WORDS, http_record, numbers

BODY = f"<html><body><p>{WORDS}.</p></body></html>".encode()
GZIP = gzip.compress(BODY, mtime=0)
ZSTD = zstandard.ZstdCompressor(write_checksum=True)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("", BODY),
        (
            "Transfer-Encoding: chunked",
            b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:]),
        ),
        ("Transfer-Encoding: chunked", BODY),
        ("Content-Encoding: gzip", gzip.compress(BODY, mtime=0)),
        ("Content-Encoding: gzip", BODY),
        ("Content-Encoding: deflate", zlib.compress(BODY)),
        ("Content-Encoding: deflate", zlib.compress(BODY, wbits=-15)),
        ("Content-Encoding: identity", BODY),
        ("Content-Encoding: br", brotli.compress(BODY)),
        ("Content-Encoding: zstd", zstandard.compress(BODY)),
        (
            "Content-Encoding: gzip",
            gzip.compress(BODY[:20], mtime=0)
            + gzip.compress(b"", mtime=0)
            + gzip.compress(BODY[20:], mtime=0),
        ),
        ("Content-Encoding: gzip", gzip.compress(BODY, mtime=0) + b"\r\n<!-- served by -->"),
        ("Content-Encoding: zstd", zstandard.compress(BODY[:20]) + zstandard.compress(BODY[20:])),
        ("Content-Encoding: zstd", ZSTD.compress(BODY) + b"\x50\x2a\x4d\x18\x03\0\0\0abc"),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", b"%x\r\n%b\r\n0\r\n" % (len(GZIP), GZIP)),
        ("Transfer-Encoding: chunked", b"5\n" + BODY),
        ("Transfer-Encoding: chunked", b"1000\n" + BODY),
    ],
)
def test_transfer_and_content_codings_are_undone(coding: str, body: bytes) -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + (coding + "\r\n" if coding else "") + "\r\n"
    found = decode(http_record(head.encode() + body), "x.warc")
    assert len(found.texts) == 1, found.reasons
    assert found.texts[0].removeprefix("5").removeprefix("1000").strip() == f"{WORDS}."


_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n%b\r\n\r\n%b"
CUT_OFF = {
    "gzip": (b"Content-Encoding: gzip", GZIP[:-9], "truncated gzip: "),
    "no trailer": (b"Content-Encoding: gzip", GZIP[:-8], "truncated gzip: "),
    "second gzip member": (b"Content-Encoding: x-gzip", GZIP + GZIP[:40], "truncated x-gzip: "),
    "zlib": (b"Content-Encoding: deflate", zlib.compress(BODY)[:-5], "truncated deflate: "),
    "deflate": (b"Content-Encoding: deflate", zlib.compress(BODY, wbits=-15)[:-5], "truncated deflate: "),
    "brotli": (b"Content-Encoding: br", brotli.compress(BODY)[:-5], "truncated br: "),
    "zstd": (b"Content-Encoding: zstd", ZSTD.compress(BODY)[:-1], "truncated zstd: "),
    "second zstd frame": (
        b"Content-Encoding: zstd",
        ZSTD.compress(BODY) + ZSTD.compress(BODY)[:-9],
        "truncated zstd: ",
    ),
    "in a chunk": (b"Transfer-Encoding: chunked", b"5\r\n<p>ab\r\n40\r\ncde", "truncated chunked: "),
    "before a chunk's end": (b"Transfer-Encoding: chunked", b"5\r\n<p>ab\r", "truncated chunked: "),
    "after a chunk": (b"Transfer-Encoding: chunked", b"5\r\n<p>ab\r\n", "truncated chunked: "),
    "in a chunk's size": (b"Transfer-Encoding: chunked", b"5\r\n<p>ab\r\n4", "truncated chunked: "),
}


@pytest.mark.parametrize("name", CUT_OFF)
def test_a_coded_body_that_is_cut_off_is_rejected_unless_the_archive_says_so(name: str) -> None:
    head, body, reason = CUT_OFF[name]
    block = _PAGE % (head, body)
    found = decode(http_record(block, 1) + PAGES[2], "x.warc")
    assert numbers(found) == [2]
    assert found.reasons[0].startswith(f"HTTP body: {reason}{len(body)} bytes ")
    assert not found.damaged
    found = decode(http_record(block, 1, WARC_Truncated="length") + PAGES[2], "x.warc")
    assert numbers(found) == [1, 2]
    assert '"truncated":"length"' in found.rows[0]["metadata"]


def test_a_body_of_very_many_members_is_rejected() -> None:
    for head, member in (
        (b"Content-Encoding: gzip", gzip.compress(b"")),
        (b"Content-Encoding: zstd", ZSTD.compress(b"")),
    ):
        found = decode(http_record(_PAGE % (head, 2000 * member)), "x.warc")
        assert found.counts == (0, 1, False)
        assert found.reasons[0].startswith("HTTP body: more than 1000 ")


def test_large_bodies_come_out_whole_and_over_the_cap_not_at_all() -> None:
    text = b"".join(b"%d\n" % (number * 7919 % 100_003) for number in range(300_000))
    for coding, body in (
        (b"gzip", gzip.compress(text, 1) + gzip.compress(text, 1)),
        (b"zstd", ZSTD.compress(text) + ZSTD.compress(text)),
        (b"br", brotli.compress(text + text, quality=1)),
    ):
        raw = http_record(_PAGE.replace(b"html", b"plain") % (b"Content-Encoding: " + coding, body))
        assert decode(raw, "x.warc").texts == [(text + text).decode()], coding
        found = decode(raw, "x.warc", max_record=2 * len(text) - 1)
        assert "HTTP body of" in found.reasons[0], coding
        assert found.counts == (0, 1, False)


@pytest.mark.parametrize(
    ("head", "body", "is_short"),
    [
        (b"Content-Length: 5000", b"<p>eighteen bytes.", True),
        (b"Content-Length: 18", b"<p>eighteen bytes.", False),
        (b"Content-Length: 7", b"<p>eighteen bytes.", False),
        (b"Content-Length: many", b"<p>eighteen bytes.", False),
        (b"Content-Length: 5000\r\nContent-Encoding: identity", b"<p>eighteen bytes.", True),
        # The lengths of what the server sent, where the crawler stored the body decoded.
        (b"Content-Length: 5000\r\nContent-Encoding: gzip", b"<p>eighteen bytes.", False),
        (b"Content-Length: 5000\r\nTransfer-Encoding: chunked", b"<p>eighteen bytes.", False),
        # Coded, and whole by its own end.
        (b"Content-Length: 5000\r\nContent-Encoding: gzip", GZIP, False),
    ],
)
def test_a_plain_body_shorter_than_its_content_length_is_marked(
    head: bytes, body: bytes, is_short: bool
) -> None:
    (row,) = decode(http_record(_PAGE % (head, body)), "x.warc").rows
    assert ('"truncated":"unspecified"' in row["metadata"]) == is_short
    stated = http_record(_PAGE % (head, body), WARC_Truncated="time")
    assert '"truncated":"time"' in decode(stated, "x.warc").rows[0]["metadata"]


def _deflated(raw: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(raw) + packer.flush()


TWICE = {
    "Content-Encoding: gzip, gzip": gzip.compress(GZIP, mtime=0),
    "Content-Encoding: gzip\r\nContent-Encoding: gzip": gzip.compress(GZIP, mtime=0),
    "Content-Encoding: gzip\r\nX: y\r\ncontent-encoding: br": brotli.compress(GZIP),
    "Content-Encoding: br , x-gzip": gzip.compress(brotli.compress(BODY), mtime=0),
    "Content-Encoding: deflate,zstd": zstandard.compress(_deflated(BODY)),
    "Content-Encoding: zstd, identity, deflate": zlib.compress(zstandard.compress(BODY)),
    "Content-Encoding: utf-8, gzip": GZIP,
    "Content-Encoding: gzip;q=1.0": GZIP,
    'Content-Encoding: "gzip"': GZIP,
    "Content-Encoding: GZIP,": GZIP,
    "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\nContent-Encoding: br": (
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(brotli.compress(GZIP)), brotli.compress(GZIP))
    ),
    # The crawler has undone one of them, or both.
    "Content-Encoding: br, gzip": brotli.compress(BODY),
    "Content-Encoding: gzip, zstd, deflate": GZIP,
}


@pytest.mark.parametrize("head", TWICE)
def test_codings_upon_codings_are_undone_in_their_order(head: str) -> None:
    found = decode(http_record(_PAGE % (head.encode(), TWICE[head])), "x.warc")
    assert (found.texts, found.reasons) == ([f"{WORDS}."], [])


NONE = [
    "utf8",
    "UTF-8",
    "iso-8859-1",
    "ISO-8859-1",
    "windows-1252",
    "none",
    "None",
    "identity",
    "binary",
    "",
    "null",
]
NONE += ["text/html", "charset=utf-8", "8bit", "us-ascii", "Shift_JIS", "utf-8, none"]


@pytest.mark.parametrize(
    "coding", [*NONE, "gzip", "x-gzip", "deflate", "br", "zstd", "gzip, br", "br, deflate"]
)
def test_a_coding_that_is_none_or_was_undone_by_the_crawler_leaves_the_body_as_it_is(coding: str) -> None:
    for body in (
        BODY,
        "<p>Größe, 長さ.".encode(),
        "<p>Größe.".encode("latin-1"),
        BODY.decode().encode("utf-16"),
    ):
        found = decode(http_record(_PAGE % (b"Content-Encoding: " + coding.encode(), body)), "x.warc")
        assert (len(found.texts), found.reasons) == (1, []), body
    plain = _PAGE.replace(b"html", b"plain") % (b"Content-Encoding: " + coding.encode(), "Größe\n".encode())
    assert decode(http_record(plain), "x.warc").texts == ["Größe\n"]


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("br", bytes(range(256)), "HTTP body: corrupt br"),
        ("zstd", bytes(range(256)), "HTTP body: corrupt zstd"),
        ("deflate", b"\x07" + bytes(range(128, 256)), "HTTP body: corrupt deflate"),
        ("utf-8", GZIP, "no text: the bytes are application/gzip, though the type is text/html"),
        (
            "gzip",
            gzip.compress(GZIP),
            "no text: the bytes are application/gzip, though the type is text/html",
        ),
        ("compress", BODY, "HTTP body: unknown content coding 'compress'"),
        ("gzip, x-new", BODY, "HTTP body: unknown content coding 'x-new'"),
        (", ".join(["gzip"] * 6), BODY, "HTTP body: 6 content codings, more than 5"),
    ],
)
def test_a_coding_that_cannot_be_undone_is_a_reject(coding: str, body: bytes, reason: str) -> None:
    found = decode(http_record(_PAGE % (b"Content-Encoding: " + coding.encode(), body)), "x.warc")
    assert found.counts == (0, 1, False)
    assert found.reasons[0].startswith(reason)


def test_a_bomb_within_a_bomb_is_given_up_at_the_cap() -> None:
    bomb = gzip.compress(gzip.compress(b"<p>" + b" " * 20_000_000))
    http = _PAGE % (b"Content-Encoding: gzip\r\nContent-Encoding: gzip", bomb)
    found = decode(http_record(http), "x.warc", max_record="1MB")
    assert found.reasons[0].startswith("HTTP body of ")
    assert found.counts == (0, 1, False)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + BODY


@pytest.mark.parametrize(
    "block",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 100 Continue\n\n" + OK.replace(b"\r\n", b"\n"),
        b"HTTP/1.1 100 Continue\r\nServer: x\r\nContent-Encoding: gzip\r\n\r\n" + OK,
        b"HTTP/1.1 100 Continue\r\n\r\n\r\n" + OK,
        b"HTTP/1.0 100\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\nContent-Type: text/css\r\n\r\n" + OK,
        OK.replace(b"HTTP/1.1 200 OK", b"HTTP/2 200"),
        OK.replace(b"HTTP/1.1 200 OK", b"HTTP/2.0 200 "),
        OK.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 200"),
        OK.replace(b"\r\n", b"\n"),
        OK.replace(b"Type: text", b"Type:\r\n\ttext"),
    ],
)
def test_the_final_answer_is_the_document_in_whatever_form(block: bytes) -> None:
    found = decode(http_record(block), "x.warc")
    assert (found.texts, found.reasons) == ([f"{WORDS}."], [])
    assert '"status":200' in found.rows[0]["metadata"]
    assert '"content_type":"text/html"' in found.rows[0]["metadata"]


def test_an_interim_answer_alone_is_passed_over_and_so_is_the_final_one_of_another_status() -> None:
    found = decode(http_record(b"HTTP/1.1 100 Continue\r\n\r\n"), "x.warc")
    assert found.passed_over == {"a response of status 100": 1}
    gone = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>gone"
    assert decode(http_record(gone), "x.warc").passed_over == {"a response of status 404": 1}
    switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n<p>x"
    assert decode(http_record(switched), "x.warc").passed_over == {"a response of status 101": 1}
    many = b"HTTP/1.1 100 Continue\r\n\r\n" * 1000
    assert decode(http_record(many + OK), "x.warc").passed_over == {"a response of status 100": 1}
