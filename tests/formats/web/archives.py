"""Web archives made for tests."""

from __future__ import annotations

import base64
import gzip
import hashlib


def record(kind: str, block: bytes, *, length: int | None = None, **headers: str) -> bytes:
    """One WARC record; `length` lies about the block's."""
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(block) if length is None else length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def response(text: str, number: int = 0, *, head: str = "", status: str = "200 OK", **headers: str) -> bytes:
    """A response record of an HTML page that says `text`."""
    body = f"<html lang=en><head><title>T</title></head><body><p>{text}</p></body></html>".encode()
    http = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n{head}\r\n".encode()
    return http_record(http + body, number, **headers)


def http_record(block: bytes, number: int = 0, **headers: str) -> bytes:
    given = {
        "WARC-Record-ID": f"<urn:uuid:{number}>",
        "WARC-Target-URI": f"http://example.org/{number}",
        "WARC-Date": "2024-05-18T01:58:10Z",
        "Content-Type": "application/http; msgtype=response",
    }
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return record("response", block, **given)


def sha1(block: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(block).digest()).decode()


def by_record(records: list[bytes]) -> bytes:
    """As archives are compressed: one gzip member a record."""
    return b"".join(gzip.compress(one, mtime=0) for one in records)


WORDS = "The quick brown fox jumps over the lazy dog and says so at some length, page"
PAGES = [response(f"{WORDS} {number}.", number) for number in range(20)]
DRAFTS = [one.replace(b"WARC/1.0", b"WARC/0.1%d" % (7 + at % 2)) for at, one in enumerate(PAGES)]


def numbers(found) -> list[int]:
    return [int(row["source_id"].rpartition(":")[2]) for row in found.rows]
