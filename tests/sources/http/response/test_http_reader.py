"""Heads and bodies that are almost HTTP are refused, and nothing else ever comes out of the parser."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_connectors.sources.http.response.head import FIELDS_CAP, HEAD_CAP, NotHttp, parse_head
from skyhaul_connectors.sources.http.response.reader import AnswerReader
from skyhaul_connectors.sources.http.response.validation import RETRY_AFTER_CAP, retry_after
from sources.http.fed_channel import FedChannel, requests_for
from sources.http.test_http_splits import LENGTH, OBJECT, answer


class Sink:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.ends = 0

    def answer_head(self, head: object) -> bool:
        self.bodies.append(b"")
        return False

    def answer_body(self, data: memoryview) -> None:
        self.bodies[-1] += bytes(data)

    def answer_end(self) -> None:
        self.ends += 1


def read(stream: bytes) -> Sink:
    sink = Sink()
    buffer = bytearray(stream)
    AnswerReader(sink).feed(buffer, memoryview(buffer), len(buffer))
    return sink


OK = b"HTTP/1.1 206 X\r\n"

BAD_HEADS = {
    "no version": b"HTTP 206 X\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 206 X\r\n\r\n",
    "leading newline": b"\r\nHTTP/1.1 206 X\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 206 X\nContent-Length: 1\n\r\n\r\n",
    "folded line": OK + b"X: a\r\n b\r\nContent-Length: 1\r\n\r\n",
    "space before colon": OK + b"Content-Length : 1\r\n\r\n",
    "no colon": OK + b"Content-Length\r\n\r\n",
    "NUL in a value": OK + b"X: a\0b\r\n\r\n",
    "negative length": OK + b"Content-Length: -1\r\n\r\n",
    "signed length": OK + b"Content-Length: +5\r\n\r\n",
    "hex length": OK + b"Content-Length: 0x5\r\n\r\n",
    "list of lengths": OK + b"Content-Length: 5, 5\r\n\r\n",
    "two equal lengths": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "enormous length": OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two encodings": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "identity encoding": OK + b"Transfer-Encoding: identity\r\n\r\n",
    "two etags": OK + b'ETag: "a"\r\nETag: "b"\r\n\r\n',
    "two ranges": OK + b"Content-Range: bytes 0-1/9\r\nContent-Range: bytes 0-1/9\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 X\r\n\r\n",
    "too many lines": OK + b"X: y\r\n" * (FIELDS_CAP + 1) + b"\r\n",
    "too long": OK + b"X: " + b"y" * HEAD_CAP + b"\r\n\r\n",
    "endless interim answers": b"HTTP/1.1 103 X\r\n\r\n" * 20,
}


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=list(BAD_HEADS))
def test_a_head_that_is_almost_http_is_refused(head: bytes) -> None:
    with pytest.raises(NotHttp):
        read(head)


BAD_CHUNKS = {
    "no number": b"zz\r\n",
    "empty size": b"\r\n",
    "negative": b"-1\r\n",
    "underscore": b"1_0\r\n" + b"x" * 16,
    "enormous": b"f" * 16 + b"\r\n",
    "line feed only": b"1\nx\r\n",
    "longer than it says": b"1\r\nxy\r\n",
    "endless extension": b"1;" + b"x" * 1000,
    "endless trailers": b"0\r\n" + b"X: y\r\n" * 5000,
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=list(BAD_CHUNKS))
def test_chunks_that_are_almost_right_are_refused(body: bytes) -> None:
    with pytest.raises(NotHttp):
        read(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body)


def test_chunks_with_extensions_and_trailers_are_one_body() -> None:
    body = b"3;a=b\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
    sink = read((OK + b"Transfer-Encoding: Chunked\r\n\r\n" + body) * 2)
    assert sink.bodies == [b"abc0123456789"] * 2
    assert sink.ends == 2


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_end_with_their_head(status: int) -> None:
    sink = read(b"HTTP/1.1 %d X\r\n\r\n" % status + OK + b"Content-Length: 1\r\n\r\nx")
    assert sink.bodies == [b"", b"x"]


def test_an_http_1_0_answer_does_not_keep_its_connection() -> None:
    assert not parse_head(b"HTTP/1.0 206 X\r\nContent-Length: 1\r\n\r\n").keep_alive
    assert parse_head(b"HTTP/1.1 206 X\r\nContent-Length: 1\r\n\r\n").keep_alive
    assert not parse_head(b"HTTP/1.1 206 X\r\nConnection: close\r\nContent-Length: 1\r\n\r\n").keep_alive
    # RFC 9112, section 6.1: it may be of somebody who does not know what he passes on.
    chunks = b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
    assert not parse_head(b"HTTP/1.0 206 X\r\n" + chunks).keep_alive
    assert parse_head(b"HTTP/1.1 206 X\r\n" + chunks).keep_alive


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        (b"Retry-After: 120", 120.0),
        (b"Retry-After:  0 ", 0.0),
        (b"Retry-After: 99999999999999999999", RETRY_AFTER_CAP),
        (b"Retry-After: -5", None),
        (b"Retry-After: soon", None),
        (b"Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 12:01:30 GMT", 90.0),
        (b"Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        (b"Date: nonsense\r\nRetry-After: Sun, 22 Nov 2026 11:00:00 GMT", None),
        (b"X: y", None),
    ],
)
def test_what_retry_after_asks_for(fields: bytes, seconds: float | None) -> None:
    assert retry_after(parse_head(b"HTTP/1.1 503 X\r\n" + fields + b"\r\n\r\n")) == seconds


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"]))
def test_any_bytes_are_read_or_refused(noise: bytes, start: bytes) -> None:
    with contextlib.suppress(NotHttp):
        sink = read(start + noise)
        assert sink.ends <= len(sink.bodies)


@settings(max_examples=150, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["right", "chunked", "error", "busy", "last"]), min_size=1, max_size=4),
    edits=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 900),
)
def test_a_stream_with_wrong_bytes_breaks_no_promise_of_the_channel(
    kinds: list[str], edits: list[tuple[int, int]], cut: int
) -> None:
    """The recorder asserts them: rising order, no gaps, never too much, finished only when whole."""
    stream = bytearray(b"".join(answer(kind, i * LENGTH) for i, kind in enumerate(kinds)))
    for at, value in edits:
        stream[at % len(stream)] = value

    async def main() -> None:
        with pytest.MonkeyPatch.context() as patch:
            fed = FedChannel(patch, proven=True)
            fed.ask(requests_for([(OBJECT, i * LENGTH, LENGTH) for i in range(len(kinds))]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            fed.feed(bytes(stream[: cut % len(stream)]))
            fed.feed(bytes(stream[cut % len(stream) :]))
            fed.end()
            await asyncio.sleep(0)
            assert fed.events.is_closed

    asyncio.run(main())
