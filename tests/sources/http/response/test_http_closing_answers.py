"""Answers that have no body, or end their connection: what they say counts, not that they ended it."""

from __future__ import annotations

import pytest

from faults.spelled_http import Page, SpelledServer
from skyhaul_connectors.sources.http.response.head import parse_head
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import (
    CarriageError,
    MalformedAnswer,
    ObjectMissing,
    RangeRefused,
    RedirectRefused,
    SkyhaulError,
)
from skyhaul_schemas.job.model import SourceSpec

QUICK = Timeouts(connect=5.0, idle=0.5, total=5.0)
BODY = b"real bytes"
RANGE = ("GET range", "/a")
CLOSE = {"Connection": "close"}


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (b"200 OK\r\nContent-Length: 0", True),
        (b"302 Found\r\nContent-Length: 0", True),
        (b"416 No\r\nContent-Length: 0", True),
        (b"416 No\r\nContent-Length: 0\r\nConnection: close", False),
        (b"416 No\r\nContent-Length: 5", True),
        (b"204 No\r\nConnection: close", False),
        (b"200 OK", False),
    ],
)
def test_an_answer_without_a_body_keeps_its_connection_as_it_says(lines: bytes, kept: bool) -> None:
    assert parse_head(b"HTTP/1.1 " + lines + b"\r\n\r\n").keep_alive is kept


def read(server: SpelledServer) -> bytes | SkyhaulError:
    source = open_source("s", SourceSpec(url=[f"{server.url}/a"]), timeouts=QUICK)
    try:
        (obj,) = source.listing()
        return source.read_now(obj, 0, len(BODY))
    except CarriageError as error:
        return error
    finally:
        source.close()


@pytest.mark.parametrize("more", [{}, CLOSE])
@pytest.mark.parametrize(
    ("status", "location", "error"),
    [
        (416, "", RangeRefused),
        (404, "", ObjectMissing),
        (302, "/none", ObjectMissing),
        (302, "/a", RedirectRefused),
    ],
)
def test_a_range_that_is_always_refused_ends_with_the_reason(
    status: int, location: str, error: type[CarriageError], more: dict[str, str]
) -> None:
    odd = {RANGE: Page("", headers={"Location": location, **more}, status=status)}
    with SpelledServer({"/a": BODY}, odd=odd) as server:
        assert isinstance(read(server), error)


@pytest.mark.parametrize("more", [{}, CLOSE])
def test_a_redirect_that_ends_its_connection_is_followed(more: dict[str, str]) -> None:
    odd = {RANGE: Page("", headers={"Location": "/b", **more}, status=302)}
    with SpelledServer({"/a": BODY, "/b": BODY}, odd=odd) as server:
        assert read(server) == BODY
        assert [target for method, target in server.log if method == "GET"].count("/a") <= 2


def test_a_redirect_to_another_server_that_ends_its_connection_is_followed_at_once() -> None:
    with SpelledServer({"/b": BODY}) as other:
        odd = {RANGE: Page("", headers={"Location": f"{other.url}/b", **CLOSE}, status=302)}
        with SpelledServer({"/a": BODY}, odd=odd) as server:
            assert read(server) == BODY
            assert server.log == [("HEAD", "/a"), ("GET", "/a")]
            assert set(other.log) == {("GET", "/b")}


def test_a_body_that_is_compressed_on_the_way_is_named_so_whatever_its_length() -> None:
    packed = Page(b"shorter", "application/octet-stream", {"Content-Encoding": "gzip"})
    with SpelledServer({"/a": BODY}, odd={RANGE: packed}) as server:
        error = read(server)
        assert isinstance(error, MalformedAnswer)
        assert "Content-Encoding 'gzip' that was not asked for" in str(error)
