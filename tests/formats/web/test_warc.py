"""Web archives: documents out of WARC, WET and ARC, and damage that costs its record only."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import decode
from formats.web.archives import PAGES, WORDS, by_record, http_record, numbers, record, response, sha1
from skyhaul_connectors.formats.web import warc_records
from skyhaul_schemas.errors import DecodeError

INFO = record("warcinfo", b"software: test\r\n", Content_Type="application/warc-fields")


def test_a_response_becomes_the_text_of_its_page() -> None:
    raw = INFO + PAGES[0]
    (row,) = decode(raw, "x.warc").rows
    assert row["text"] == f"{WORDS} 0."
    assert (row["source_id"], row["url"], row["language"]) == ("urn:uuid:0", "http://example.org/0", "en")
    assert row["created"].isoformat() == "2024-05-18T01:58:10+00:00"
    assert row["metadata"] == '{"content_type":"text/html","status":200,"title":"T","type":"response"}'
    assert raw[row["offset"] :][: row["length"]] == PAGES[0][:-4]


def test_a_conversion_is_text_as_it_is_and_other_records_are_passed_over() -> None:
    raw = (
        INFO
        + record("request", b"GET / HTTP/1.1\r\n\r\n")
        + record(
            "conversion",
            "Zwölf\n".encode(),
            Content_Type="text/plain",
            WARC_Identified_Content_Language="deu",
        )
        + record("metadata", b"x: y\r\n")
        + record("resource", b"plain", Content_Type="text/plain; charset=ascii")
        + record("resource", b"\x89PNG", Content_Type="image/png")
        + record("revisit", b"HTTP/1.1 200 OK\r\n\r\n")
    )
    found = decode(raw, "x.warc.wet")
    assert found.texts == ["Zwölf\n", "plain"]
    assert found.rows[0]["language"] == "deu"
    assert not found.rejects


def test_only_success_is_a_document_unless_the_job_says_so() -> None:
    raw = PAGES[0] + response("Gone.", 1, status="404 Not Found")
    assert numbers(decode(raw, "x.warc")) == [0]
    assert numbers(decode(raw, "x.warc", statuses="all")) == [0, 1]


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"not HTTP at all", "no HTTP status line"),
        (b"", "no HTTP status line"),
        (b"\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x", "no HTTP status line"),
        (b"http/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x", "no HTTP status line"),
        (b"ICY 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x", "no HTTP status line"),
        (b"HTTP/1.1 nope\r\n\r\n<html>", "no HTTP status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\xff\xff\xff", "HTTP body: corrupt br"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: x-new\r\n\r\nabc",
            "HTTP body: unknown content coding 'x-new'",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n\xff", "invalid utf-8"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=x\r\n\r\na", "unknown charset 'x'"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"<div>" * 1000,
            "elements nested deeper than 256",
        ),
    ],
)
def test_a_record_that_cannot_be_taken_costs_itself(block: bytes, reason: str) -> None:
    raw = PAGES[1] + http_record(block, 2) + PAGES[3]
    found = decode(raw, "x.warc")
    assert numbers(found) == [1, 3]
    assert not found.damaged
    assert len(found.rejects) == 1
    assert found.reasons[0].startswith(reason)
    assert found.rejects[0].offset == len(PAGES[1])


def test_a_response_of_another_protocol_is_what_its_content_type_says() -> None:
    dns = record("response", b"example.org. 1 IN A 192.0.2.1", Content_Type="text/dns")
    ftp = record("response", b"\x89PNG", WARC_Target_URI="ftp://example.org/x")
    bare = record("response", b"no status", WARC_Target_URI="<http://example.org/x>")
    found = decode(dns + ftp + bare, "x.warc")
    assert found.texts == []
    assert found.reasons == ["no HTTP status line"]
    assert found.passed_over == {"no text: a DNS answer": 1, "no content type": 1}


def test_segments_of_a_record_are_rejected() -> None:
    first = response("the first half", 1, WARC_Segment_Number="1")
    second = record("continuation", b"the second half", WARC_Segment_Number="2")
    of_a_request = record("request", b"GET / HTTP/1.1\r\n", WARC_Segment_Number="1")
    found = decode(PAGES[0] + first + PAGES[2] + second + of_a_request + PAGES[3], "x.warc")
    assert numbers(found) == [0, 2, 3]
    assert found.reasons == [
        f"segmented: this is segment {number}, and segments are not put together" for number in (1, 2)
    ]
    assert found.rejects[0].offset == len(PAGES[0])
    assert not found.damaged


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (record("response", b"x" * 50, length=20), "Content-Length is not the record's end"),
        (record("response", b"x" * 50, length=300), "Content-Length is beyond the record's end"),
        (
            record("response", b"x" * 50).replace(b"Content-Length: 50", b"Content-Length: many"),
            "Content-Length is 'many'",
        ),
        (record("response", b"x").replace(b"Content-Length", b"Content-Size"), "Content-Length is ''"),
        (b"garbage\r\n\r\n", "no WARC record"),
        (b"WARC/x\r\nContent-Length: 0\r\n\r\n\r\n\r\n", "a malformed version line"),
    ],
)
@pytest.mark.parametrize("pack", [lambda records: b"".join(records), by_record], ids=["plain", "by record"])
def test_a_malformed_record_costs_itself(bad: bytes, reason: str, pack) -> None:
    found = decode(pack([PAGES[1], bad, PAGES[2], PAGES[3]]), "x.warc")
    assert numbers(found) == [1, 2, 3]
    assert found.reasons == [reason]
    assert not found.damaged
    assert (found.rejects[0].offset, found.rejects[0].length) == (len(PAGES[1]), len(bad))


PACKS = pytest.mark.parametrize(
    "pack", [lambda records: b"".join(records), by_record], ids=["plain", "by record"]
)
TOO_LONG = "Content-Length is beyond the record's end"


@pytest.mark.parametrize("length", [10**4, 10**14], ids=["long", "too large"])
@pytest.mark.parametrize("kind", ["response", "request"])
@PACKS
def test_a_content_length_beyond_the_archive_costs_its_record(pack, kind: str, length: int) -> None:
    bad = record(kind, b"x" * 50, length=length)
    found = decode(pack([PAGES[0], bad, PAGES[1], PAGES[2]]), "x.warc")
    assert numbers(found) == [0, 1, 2]
    assert found.reasons == [TOO_LONG]
    assert not found.damaged
    assert (found.rejects[0].offset, found.rejects[0].length) == (len(PAGES[0]), len(bad))
    assert found.rejects[0].raw == bad[:-1]


@PACKS
def test_a_content_length_beyond_the_archive_in_its_last_record_is_damage(pack) -> None:
    for length in (10**4, 10**14):
        for kind in ("response", "request"):
            bad = record(kind, b"x" * 50, length=length)
            found = decode(pack([PAGES[0], bad]), "x.warc")
            assert numbers(found) == [0]
            assert found.reasons[0].startswith("truncated: the archive ends inside a record")
            assert found.damaged
            assert (found.rejects[0].offset, found.rejects[0].length) == (len(PAGES[0]), len(bad))
            assert found.rejects[0].raw == bad


@pytest.mark.parametrize("max_record", [1024, 1024**2])
@PACKS
def test_a_record_that_is_passed_over_does_not_swallow_those_behind_it(pack, max_record: int) -> None:
    bad = record("request", b"GET / HTTP/1.1\r\n\r\n", length=5000)
    found = decode(pack(PAGES[:2] + [bad] + 20 * PAGES[2:10]), "x.warc", max_record=max_record)
    assert numbers(found) == [0, 1, *(20 * list(range(2, 10)))]
    assert found.reasons == [TOO_LONG]


@pytest.mark.parametrize("kind", ["resource", "metadata"])
def test_what_looks_like_a_record_in_a_block_of_the_right_length_is_none(kind: str) -> None:
    inner = b"\n" + b"".join(PAGES)
    for size in (1, 200):
        bad = record(kind, inner + size * b"WARC/1.0\r\nContent-Length: 90000\r\n\r\n", Content_Type="a/b")
        for max_record in (1024, "64MiB"):
            found = decode(PAGES[0] + bad + PAGES[1], "x.warc", max_record=max_record)
            assert numbers(found) == [0, 1]
            assert len(found.rejects) == (kind == "resource" and max_record == 1024)


def test_records_are_found_again_beyond_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc_records, "PIECE", 1024)
    bad = record("response", b"x" * 50, length=20_000)
    pages = [response(f"{WORDS} {number}. " + 5 * WORDS, number) for number in range(100)]
    found = decode(bad + b"".join(pages), "x.warc", max_record=1024)
    assert numbers(found) == list(range(100))
    assert found.reasons == [TOO_LONG]
    # What is held begins with no whole record: the length is believed, and found out at its end.
    lure = record("response", b"x\nWARC/1.0 is a format" + 3000 * b"x", length=20_000)
    found = decode(lure + b"".join(pages), "x.warc", max_record=1024)
    assert found.reasons == ["Content-Length is not the record's end"]
    assert numbers(found) == list(range(numbers(found)[0], 100))
    assert numbers(found)[0] < 50
    sound = record("response", b"x\nWARC/1.0 is a format" + 3000 * b"x")
    found = decode(sound + b"".join(pages), "x.warc", max_record=1024)
    assert found.reasons == ["a record of 3022 bytes, more than max_record of 1024"]
    assert numbers(found) == list(range(100))


def test_records_before_a_corrupt_member_are_found_in_a_block_that_is_too_long() -> None:
    members = [gzip.compress(page, mtime=0) for page in PAGES]
    members[0] = gzip.compress(record("response", b"x" * 50, length=10**6), mtime=0)
    members[7] = members[7][:40] + bytes(40) + members[7][80:]
    found = decode(b"".join(members), "x.warc.gz")
    assert numbers(found) == [number for number in range(20) if number not in (0, 7)]
    assert found.reasons[0] == TOO_LONG
    assert "corrupt gzip" in found.reasons[1]
    assert len(found.rejects) == 2
    assert found.damaged


def test_a_corrupt_member_that_gives_nothing_is_no_part_of_the_record_before() -> None:
    members = [gzip.compress(page, mtime=0) for page in PAGES[:3]]
    members[1] = members[1][:10] + b"\xff" * 10 + members[1][20:]
    found = decode(b"".join(members), "x.warc.gz")
    assert numbers(found) == [0, 2]
    assert (found.rejects[0].offset, found.rejects[0].length) == (len(PAGES[0]), 0)


def test_every_truncation_of_an_archive_is_seen_unless_it_falls_between_records() -> None:
    records = [INFO, *PAGES[:2]]
    raw = b"".join(records)
    borders = {0}
    at = 0
    for one in records:
        borders |= {at + len(one) - missing for missing in range(5)}
        at += len(one)
    for cut in range(len(raw)):
        found = decode(raw[:cut], "x.warc")
        assert found.damaged == (cut not in borders), cut
        packed = by_record(records)
    borders = set()
    at = 0
    for one in records:
        borders.add(at)
        at += len(gzip.compress(one, mtime=0))
    for cut in range(0, len(packed), 3):
        assert decode(packed[:cut], "x.warc.gz").damaged == (cut not in borders), cut


def test_an_archive_in_a_single_gzip_member_is_read_to_its_end() -> None:
    assert numbers(decode(gzip.compress(b"".join(PAGES)), "x.warc.gz")) == list(range(20))


def test_a_corrupt_member_costs_itself_and_marks_the_archive_as_damaged() -> None:
    members = [gzip.compress(page, mtime=0) for page in PAGES]
    members[7] = members[7][:40] + bytes(40) + members[7][80:]
    found = decode(b"".join(members), "x.warc.gz")
    assert numbers(found) == [number for number in range(20) if number != 7]
    assert found.damaged
    assert len(found.rejects) == 1
    assert "corrupt gzip" in found.reasons[0]
    pack = zstandard.ZstdCompressor(write_checksum=True).compress
    frames = [pack(page) for page in PAGES]
    frames[3] = frames[3][:-1] + b"\0"
    found = decode(b"".join(frames), "x.warc.zst")
    assert set(range(20)) - {3} <= set(numbers(found))
    assert found.damaged
    with pytest.raises(DecodeError):
        decode(b"".join(members), "x.warc.gz", on_damage="fail")


@pytest.mark.parametrize(
    ("stated", "meta", "encoding"),
    [
        ("klingon", "iso-8859-1", "utf-8"),
        ("klingon", "", "utf-8"),
        ("klingon", "koi8-r", "koi8-r"),
        ("utf-8", "iso-8859-1", "utf-8"),
        ("koi8-r", "utf-8", "koi8-r"),
    ],
)
def test_an_unknown_charset_counts_as_none_and_what_is_utf_8_is_that(
    stated: str, meta: str, encoding: str
) -> None:
    text = "Широкая электрификация южных губерний даст мощный толчок подъёму сельского хозяйства."
    page = f"<html><head><meta charset={meta}></head><body><p>{text}</p></body></html>".encode(encoding)
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=%b\r\n\r\n%b" % (stated.encode(), page)
    assert decode(http_record(block), "x.warc").texts == [text]


def test_digests_are_compared_where_they_are_stated() -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"
    good = http_record(block, 1, WARC_Block_Digest=sha1(block))
    bad = http_record(block, 2, WARC_Block_Digest=sha1(b"other"))
    odd = http_record(block, 3, WARC_Block_Digest="crc99:abc")
    found = decode(good + bad + odd, "x.warc")
    assert numbers(found) == [1, 3]
    assert found.reasons == ["the block is not what its WARC-Block-Digest states"]
    assert numbers(decode(good + bad + odd, "x.warc", digests=False)) == [1, 2, 3]


def test_a_record_or_page_over_its_cap_is_rejected() -> None:
    raw = PAGES[0] + response("x" * 5000, 1) + PAGES[2]
    found = decode(raw, "x.warc", max_record=2000)
    assert numbers(found) == [0, 2]
    assert "more than max_record of 2000" in found.reasons[0]
    found = decode(raw, "x.warc", max_page=2000)
    assert numbers(found) == [0, 2]
    assert "more than max_page of 2000" in found.reasons[0]
    bomb = gzip.compress(b"<p>" + b" " * 5_000_000)
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + bomb
    assert decode(http_record(http), "x.warc", max_record="1MB").counts == (0, 1, False)


def test_arc_records_come_out_as_responses(shared_data: Path) -> None:
    folder = shared_data / "webarchive" / "warcio"
    for name in ("example.arc", "example.arc.gz"):
        (row,) = decode((folder / name).read_bytes(), name).rows
        assert row["text"].startswith("Example Domain")
        assert row["url"] == "http://example.com/"
        assert row["created"].isoformat() == "2014-02-16T05:02:21+00:00"
    raw = (folder / "example.arc").read_bytes()
    assert decode(raw[:-100], "x.arc").damaged
    found = decode((folder / "bad.arc").read_bytes(), "bad.arc")
    assert found.counts == (1, 2, True)


def _arc(number: int, *, length: int | None = None) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n%s %d" % (WORDS.encode(), number)
    stated = len(block) if length is None else length
    return b"http://example.org/%d 192.0.2.1 20140216050221 text/plain %d\n%b\n" % (number, stated, block)


ARC_HEAD = b"filedesc://x.arc 0.0.0.0 20140216050221 text/plain 9\n1 0 Test\n\n"


@pytest.mark.parametrize("number", range(4))
def test_a_corrupt_member_of_an_arc_costs_itself(number: int) -> None:
    members = [gzip.compress(one, mtime=0) for one in (ARC_HEAD, _arc(1), _arc(2), _arc(3))]
    members[number] = members[number][:20] + bytes(20) + members[number][40:]
    found = decode(b"".join(members), "x.arc.gz", format="warc")
    assert [int(row["url"][-1]) for row in found.rows] == [one for one in (1, 2, 3) if one != number]
    assert len(found.rejects) == 1
    assert "corrupt gzip" in found.reasons[0]
    assert found.damaged


@pytest.mark.parametrize("length", [200, 10**5])
@PACKS
def test_an_arc_record_that_is_too_long_costs_itself(pack, length: int) -> None:
    found = decode(pack([ARC_HEAD, _arc(1, length=length), _arc(2), _arc(3)]), "x.arc", format="warc")
    assert [row["url"][-1] for row in found.rows] == ["2", "3"]
    assert found.reasons == ["Archive-length is beyond the record's end"]
    assert not found.damaged
    assert found.rejects[0].length == len(_arc(1, length=length))
    found = decode(pack([ARC_HEAD, _arc(1), _arc(2, length=length)]), "x.arc", format="warc")
    assert len(found.rows) == 1
    assert found.damaged


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_is_rows_and_rejects(data: st.DataObject) -> None:
    raw = bytearray(
        by_record([INFO, *PAGES[:4]]) if data.draw(st.booleans()) else b"".join([INFO, *PAGES[:4]])
    )
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            raw[at] = data.draw(st.integers(0, 255))
        else:
            del raw[at : at + data.draw(st.integers(1, 50))]
    found = decode(bytes(raw), "x.warc")
    offsets = [row["offset"] for row in found.rows]
    assert offsets == sorted(set(offsets))
