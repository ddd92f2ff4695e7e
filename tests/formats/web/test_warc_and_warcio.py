"""Web archives as warcio and FastWARC read them: the same documents, at the same places, of the same text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import fastwarc.warc
import lz4.frame
import pytest
from warcio.archiveiterator import ArchiveIterator

from formats.decoding import decode
from formats.web.archives import DRAFTS, by_record, http_record, numbers, record

KINDS = ("response", "conversion", "resource")


def by_warcio(raw: bytes, **options: Any) -> Iterator[tuple[Any, bytes, int]]:
    """Each document: record, payload and offset. (What asks for the offset reads on to the record's end.)."""
    archive = ArchiveIterator(io.BytesIO(raw), arc2warc=True, **options)
    for one in archive:
        http = one.http_headers if one.rec_type == "response" else None
        kind = http.get_header("Content-Type") if http else one.content_type
        success = http is None or http.get_statuscode().startswith("2")
        if one.rec_type in KINDS and success and (kind or "").startswith(("text/", "application/xhtml")):
            yield one, one.content_stream().read(), archive.get_record_offset()


def documents(raw: bytes, *, ids: bool = True) -> list[tuple[Any, ...]]:
    found = []
    for one, _, offset in by_warcio(raw):
        headers = one.rec_headers
        status = int(one.http_headers.get_statuscode()) if one.rec_type == "response" else None
        identity = headers.get_header("WARC-Record-ID").strip("<>") if ids else None
        created = datetime.fromisoformat(headers.get_header("WARC-Date"))
        uri = headers.get_header("WARC-Target-URI")
        found.append((offset, identity, uri, created, one.rec_type, status))
    return found


def ours(raw: bytes, path: str, *, ids: bool = True) -> list[tuple[Any, ...]]:
    found = decode(raw, path, format="warc")
    assert (found.rejects, found.damaged) == ([], False), path
    return [
        (row["offset"], row["source_id"] if ids else None, row["url"], row["created"], told["type"], status)
        for row in found.rows
        for told in [json.loads(row["metadata"])]
        for status in [told.get("status")]
    ]


def unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix == ".lz4":
        return lz4.frame.open(io.BytesIO(raw)).read()
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


def collected(folder: Path) -> list[Path]:
    """The archives, without the one whose captures state lengths that are none."""
    archive = re.compile(r"\.w?arc($|\.(?!paths))")
    found = sorted((folder / "webarchive").glob("*/*"))
    return [path for path in found if archive.search(path.name) and path.name != "bad.arc"]


def test_the_collected_archives_give_what_warcio_finds_in_them(shared_data: Path) -> None:
    seen = 0
    for path in collected(shared_data):
        ids = ".warc" in path.name  # in an ARC records have none
        wanted = documents(unpacked(path), ids=ids)
        assert ours(path.read_bytes(), path.name, ids=ids) == wanted, path.name
        seen += len(wanted)
    assert seen > 50


def test_the_collected_archives_give_what_fastwarc_finds_in_them(shared_data: Path) -> None:
    kinds = [getattr(fastwarc.warc.WarcRecordType, kind) for kind in KINDS]
    for path in collected(shared_data):
        if ".arc" in path.name:
            continue
        wanted = []
        for one in fastwarc.warc.ArchiveIterator(io.BytesIO(unpacked(path)), parse_http=True):
            if one.record_type not in kinds:
                continue
            media = one.http_content_type if one.is_http else one.headers.get("Content-Type", "")
            success = not one.is_http or 200 <= int(one.http_headers.status_code) < 300
            text = (media or "").startswith(("text/", "application/xhtml"))
            if success and text:
                wanted.append((one.stream_pos, one.record_id.strip("<>")))
        assert [one[:2] for one in ours(path.read_bytes(), path.name)] == wanted, path.name


@pytest.mark.parametrize("pack", [b"".join, by_record], ids=["plain", "by record"])
def test_the_drafts_0_17_and_0_18_give_what_both_find_in_them(pack) -> None:
    raw = pack(DRAFTS)
    found = decode(raw, "x.warc")
    assert numbers(found) == list(range(20))
    assert [one[1] for one in documents(raw)] == [row["source_id"] for row in found.rows]
    seen = fastwarc.warc.ArchiveIterator(io.BytesIO(raw))
    assert [one.record_id.strip("<>") for one in seen] == [row["source_id"] for row in found.rows]
    assert documents(b"".join(DRAFTS)) == ours(b"".join(DRAFTS), "x.warc")


# No brotli: warcio 1.8.1 fails on the decompressor of brotli 1.2.
TEXT = "Grüße vom Schiff, mit Umlauten und genug Länge für jede Packung.\n" * 3
RAW = TEXT.encode()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("X-Nothing: 1", RAW),
        ("Content-Encoding: gzip", gzip.compress(RAW, mtime=0)),
        ("Content-Encoding: deflate", zlib.compress(RAW)),
        ("Content-Encoding: deflate", zlib.compress(RAW, wbits=-15)),
        ("Content-Encoding: gzip", RAW),
        ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(RAW), RAW)),
        ("Transfer-Encoding: chunked", RAW),
        (
            "Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(gzip.compress(RAW, mtime=0)), gzip.compress(RAW, mtime=0)),
        ),
    ],
)
def test_a_body_is_the_bytes_that_warcio_gives(coding: str, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n{coding}\r\n\r\n"
    raw = http_record(head.encode() + body)
    found = decode(raw, "x.warc")
    assert found.texts == [TEXT]
    assert [payload.decode() for _, payload, _ in by_warcio(raw)] == found.texts


def test_conversions_and_resources_are_the_bytes_that_warcio_gives() -> None:
    given = {"WARC_Record_ID": "<urn:uuid:1>", "WARC_Date": "2024-05-18T01:58:10Z"}
    raw = record("conversion", RAW, Content_Type="text/plain", **given) + record(
        "resource", RAW[:66], Content_Type="text/plain; charset=utf-8", **given
    )
    found = decode(raw, "x.warc.wet")
    assert [payload.decode() for _, payload, _ in by_warcio(raw)] == found.texts


@pytest.mark.parametrize("name", ["sha1", "sha256", "md5"])
def test_a_block_is_refused_for_its_digest_where_warcio_says_so(name: str) -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"
    for other in (b"", b"x"):
        stated = f"{name}:" + base64.b32encode(hashlib.new(name, block + other).digest()).decode()
        raw = http_record(block, 1, WARC_Block_Digest=stated)
        ((one, _, _),) = by_warcio(raw, check_digests=True)
        assert bool(decode(raw, "x.warc").rows) == one.digest_checker.passed == (not other)
