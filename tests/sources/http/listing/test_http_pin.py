"""Pins over HTTP: no stated size of 0 is believed before a GET has come to its end without a byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from faults.spelled_http import Page, SpelledServer
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    MalformedAnswer,
    RangeRefused,
    SourceChanged,
    UsageError,
)
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject

QUICK = Timeouts(connect=5.0, idle=0.5, total=5.0)
BODY = b"real bytes"
ETAG = {"ETag": '"now"'}


def pinned(url: str | dict[str, str]) -> PinnedObject:
    source = open_source("s", SourceSpec(url=url if isinstance(url, dict) else [url]), timeouts=QUICK)  # type: ignore[arg-type]  # fields of a SourceSpec
    try:
        (obj,) = source.listing()
    finally:
        source.close()
    return obj


def octets(body: bytes = b"", status: int = 200, **headers: str) -> Page:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Page(body, "application/octet-stream", {**ETAG, **named}, status)


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


CHUNKED = {"Transfer_Encoding": "chunked"}
NOTHING = octets()
RANGE = ("GET range", "/a")
WHOLE = ("GET whole", "/a")


@pytest.mark.parametrize("head", [NOTHING, octets(Content_Length=""), octets(status=405), octets(status=403)])
@pytest.mark.parametrize(
    ("answers", "size"),
    [
        ({}, len(BODY)),
        ({RANGE: octets(BODY)}, len(BODY)),
        ({RANGE: octets(BODY * 500_000)}, len(BODY) * 500_000),
        ({RANGE: octets(status=416), WHOLE: octets(BODY)}, len(BODY)),
        ({RANGE: octets()}, 0),
        ({RANGE: octets(chunked(), **CHUNKED)}, 0),
    ],
)
def test_the_size_is_what_a_get_shows(head: Page, answers: dict[tuple[str, str], Page], size: int) -> None:
    with SpelledServer({"/a": BODY}, odd={("HEAD", "/a"): head, **answers}) as server:
        assert pinned(f"{server.url}/a").size == size


def test_the_pin_is_of_the_answer_that_had_the_bytes() -> None:
    head = Page("", "text/plain", {"ETag": '"stale"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})
    with SpelledServer({"/a": BODY}, odd={("HEAD", "/a"): head}) as server:
        obj = pinned(f"{server.url}/a")
        assert obj.version == f'etag:"{hashlib.md5(BODY).hexdigest()}"'


@pytest.mark.parametrize("total", ["bytes */0", "bytes */7", ""])
@pytest.mark.parametrize("body", [b"", BODY])
def test_a_refused_range_proves_no_emptiness(total: str, body: bytes) -> None:
    odd = {("HEAD", "/a"): NOTHING, RANGE: octets(status=416, Content_Range=total), WHOLE: octets(body)}
    with SpelledServer(odd=odd) as server:
        assert pinned(f"{server.url}/a").size == len(body)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (octets(Content_Length=""), RangeRefused),
        (octets(BODY, Content_Length=""), RangeRefused),
        (octets(chunked(BODY), **CHUNKED), RangeRefused),
        (octets(status=206, Content_Range="bytes 0-0/0"), MalformedAnswer),
        (octets(status=206, Content_Range="bytes 0-0/9"), MalformedAnswer),
        (octets(b"x", status=206), RangeRefused),
        (octets(status=204), RangeRefused),
        (octets(status=403), AccessRefused),
        (octets(BODY, Content_Encoding="gzip"), MalformedAnswer),
    ],
)
def test_a_get_that_shows_no_size_is_an_error(answer: Page, error: type[CarriageError]) -> None:
    with SpelledServer(odd={("HEAD", "/a"): NOTHING, RANGE: answer}) as server, pytest.raises(error):
        pinned(f"{server.url}/a")


def test_an_object_with_a_stated_size_costs_one_head() -> None:
    with SpelledServer({"/a": BODY}) as server:
        assert pinned(f"{server.url}/a").size == len(BODY)
        assert server.log == [("HEAD", "/a")]


@pytest.mark.parametrize("digest", [None, hashlib.sha256(b"").hexdigest()])
def test_a_list_that_says_0_is_not_believed(tmp_path: Path, digest: str | None) -> None:
    path = tmp_path / "list.jsonl"
    stated = f', "sha256": "{digest}"' if digest else ""
    with SpelledServer({"/a": BODY, "/empty": b""}, odd={("HEAD", "/a"): NOTHING}) as server:
        path.write_text(f'{{"url": "{server.url}/a", "size": 0{stated}}}\n')
        with pytest.raises(SourceChanged, match="the list says 0 bytes, the server 10"):
            pinned({"list": str(path)})
        path.write_text(f'{{"url": "{server.url}/empty", "size": 0{stated}}}\n')
        assert pinned({"list": str(path)}).size == 0


@pytest.mark.parametrize("digest", [f'"sha256": "{"a" * 64}"', '"crc32c": "0123abcd"'])
def test_a_list_that_says_0_and_the_digest_of_something_is_refused(tmp_path: Path, digest: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(f'{{"url": "http://h.example/a", "size": 0, {digest}}}\n')
    with pytest.raises(UsageError, match="line 1: size is 0"):
        pinned({"list": str(path)})


HTML = Page("<html>Please wait</html>")


class Once(dict[tuple[str, str], Page]):
    """Answers that are given once."""

    def get(self, key: tuple[str, str], default: Page | None = None) -> Page | None:  # type: ignore[override]  # of one type
        return self.pop(key, default)  # type: ignore[arg-type]  # None is one


@pytest.mark.parametrize("first", ["HEAD", "GET range"])
def test_a_page_in_the_place_of_data_is_asked_for_again(first: str) -> None:
    with SpelledServer({"/a.jsonl": BODY}) as server:
        server.odd = Once(
            {(first, "/a.jsonl"): HTML, ("HEAD", "/a.jsonl"): HTML if first == "HEAD" else NOTHING}
        )
        assert pinned(f"{server.url}/a.jsonl").size == len(BODY)


@pytest.mark.parametrize(
    ("name", "heads"),
    [("a.jsonl", 6), ("a.HTML", 1), ("a", 1), ("v1.0", 1), ("view.php?x=a.jsonl", 1), ("x.d/a", 1)],
)
def test_a_page_that_stays_one_is_an_object(name: str, heads: int) -> None:
    with SpelledServer(pages={f"/{name}": HTML}) as server:
        assert pinned(f"{server.url}/{name}").size == len(HTML.body)
        assert server.log == [("HEAD", f"/{name}")] * heads


@pytest.mark.parametrize("key", ["list", "checksums"])
def test_a_page_in_the_place_of_a_list_is_asked_for_again(key: str) -> None:
    name = "/list.jsonl" if key == "list" else "/SUMS"
    with SpelledServer({"/a": BODY}) as server:
        server.objects[name] = (
            f'{{"url": "{server.url}/a"}}\n' if key == "list" else f"{hashlib.sha256(BODY).hexdigest()}  a\n"
        ).encode()
        server.odd = Once({("GET whole", name): Page("\r\n <!doctype html>Please wait")})
        spec = (
            {"url": {"list": server.url + name}}
            if key == "list"
            else {"url": [f"{server.url}/a"], "checksums": server.url + name}
        )
        source = open_source("s", SourceSpec(**spec), timeouts=QUICK)  # type: ignore[arg-type]  # fields of a SourceSpec
        (obj,) = source.listing()
        source.close()
        assert (obj.checksum is not None) is (key == "checksums")
        server.odd = {("GET whole", name): Page("<html>")}
        source = open_source("s", SourceSpec(**spec), timeouts=QUICK)  # type: ignore[arg-type]  # fields of a SourceSpec
        with pytest.raises(MalformedAnswer, match="a page of HTML in the place of a list"):
            list(source.listing())
        source.close()


def test_a_server_that_hangs_up_on_heads_is_asked_for_the_first_byte() -> None:
    with SpelledServer({"/a": BODY}, odd={("HEAD", "/a"): Page("", status=0)}) as server:
        assert pinned(f"{server.url}/a").size == len(BODY)
