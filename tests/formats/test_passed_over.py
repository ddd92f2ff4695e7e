"""What is read and by its kind is no record is counted by reason, the same in whatever batches it comes."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from formats.decoding import Result, decode
from formats.web.archives import PAGES, record, response

NO_TYPE = record("response", b"HTTP/1.1 200 OK\r\n\r\nplain words")
PNG = record("resource", b"\x89PNG", Content_Type="image/png")
ODD = record("resource", b"x", Content_Type="x-private/x-thing")
ARCHIVE = (
    record("warcinfo", b"software: test\r\n", Content_Type="application/warc-fields")
    + record("request", b"GET / HTTP/1.1\r\n\r\n")
    + PAGES[0]
    + response("Gone.", 1, status="404 Not Found")
    + response("", 2, status="304 Not Modified")
    + response("", 3, status="304 Not Modified")
    + record("metadata", b"x: y\r\n")
    + record("revisit", b"HTTP/1.1 200 OK\r\n\r\n")
    + record("from-the-future", b"?")
    + NO_TYPE
    + PNG
    + ODD
    + record("resource", b"words", Content_Type="text/plain; charset=x")
)
COUNTS = {
    "a warcinfo record": 1,
    "a request record": 1,
    "a response of status 404": 1,
    "a response of status 304": 2,
    "a metadata record": 1,
    "a revisit record": 1,
    "a record of another type": 1,
    "no content type": 1,
    "no text: image/*": 1,
    "no text: another content type": 1,
}


def total(found: Result) -> int:
    return len(found.rows) + len(found.rejects) + sum(found.passed_over.values())


@pytest.mark.parametrize("batch_bytes", [1, 100, 8 * 1024 * 1024])
def test_each_record_of_a_web_archive_is_a_row_a_reject_or_passed_over(batch_bytes: int) -> None:
    found = decode(ARCHIVE, "x.warc", batch_bytes=batch_bytes)
    assert found.passed_over == COUNTS
    assert found.first_passed_over == 0
    assert (len(found.rows), found.reasons) == (1, ["unknown charset 'x'"])
    assert total(found) == ARCHIVE.count(b"WARC/1.")


def test_a_compressed_archive_counts_the_same() -> None:
    assert decode(gzip.compress(ARCHIVE), "x.warc.gz").passed_over == COUNTS


def test_a_record_that_is_not_wanted_is_counted_though_it_is_too_large_to_be_held() -> None:
    raw = record("request", b"y" * 5000) + PAGES[0]
    found = decode(raw, "x.warc", max_record=1024)
    assert (found.passed_over, len(found.rows)) == ({"a request record": 1}, 1)


def test_members_of_a_tar_that_are_no_files_are_counted() -> None:
    out = io.BytesIO()
    kinds = [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, kind in enumerate(kinds):
            info = tarfile.TarInfo(f"m{number}")
            info.type, info.linkname = kind, "m0"
            archive.addfile(info)
        for name, body in (("a.txt", b"words"), ("b.txt", b""), ("c.warc", ARCHIVE)):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    found = decode(out.getvalue(), "x.tar")
    own = {"a folder": 1, "a link": 2, "a device or pipe": 2, "an empty member": 1}
    assert found.passed_over == {**own, **COUNTS}, "what a member passes over is passed over"
    blobs = decode(out.getvalue(), "x.tar", "tar", schema="blob")
    assert (blobs.passed_over, len(blobs.rows)) == (own, 2)


@pytest.mark.parametrize(
    ("raw", "path", "counts"),
    [
        (b"", "x.txt", {"an empty object": 1}),
        (gzip.compress(b"", mtime=0), "x.txt.gz", {"an empty object": 1}),
        (b" \n\t\n", "x.txt", {"an object of white space only": 1}),
        (b"\xef\xbb\xbf", "x.txt", {"an object of white space only": 1}),
        (gzip.compress(b"", mtime=0), "x.html.gz", {"an empty object": 1}),
        (b"words", "x.txt", {}),
    ],
)
def test_objects_without_a_word_are_counted(raw: bytes, path: str, counts: dict[str, int]) -> None:
    found = decode(raw, path)
    assert found.passed_over == counts
    assert total(found) == 1


def test_blank_lines_and_comments_are_no_records_of_any_kind() -> None:
    assert decode(b"\n\n", "x.jsonl").passed_over == {}
    assert decode(b"one\n\n\n\ntwo", "x.txt", unit="paragraph").passed_over == {}
