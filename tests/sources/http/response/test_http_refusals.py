"""A store's own code is taken from the body of its refusal, however that comes."""

from __future__ import annotations

import asyncio

import pytest

from skyhaul_connectors.sources.http.response.head import parse_head
from skyhaul_connectors.sources.http.response.refusal import BODY_CAP, RefusalBody
from skyhaul_schemas.errors import AccessRefused, ServerBusy, SourceChanged
from skyhaul_schemas.plan import PinnedObject
from sources.http.fed_channel import FedChannel, requests_for

XML = b'<?xml version="1.0"?>\n<Error><Code>%b</Code><Message>AWS4-HMAC-SHA256 secret</Message></Error>'
OBJECT = PinnedObject("s", "a.bin", 10, 'etag:"x"')


def answer(code: bytes, status: bytes = b"403 Forbidden", more: bytes = b"") -> bytes:
    body = XML % code
    head = b"HTTP/1.1 %b\r\nContent-Type: application/xml\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, more, len(body)) + body


def told(data: bytes, piece: int, *, cut: int | None = None) -> list[tuple[int, bytes, bool, str, str]]:
    """What becomes of one request that is answered with `data`, `piece` bytes at a time."""

    async def fed() -> list[tuple[int, bytes, bool, str, str]]:
        with pytest.MonkeyPatch.context() as patch:
            channel = FedChannel(patch, proven=True)
            channel.ask(requests_for([(OBJECT, 0, 10)]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for at in range(0, len(data) if cut is None else cut, piece):
                channel.feed(data[at : min(at + piece, cut or len(data))])
            if cut is not None:
                channel.end()
            return channel.report()

    return asyncio.run(fed())


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_the_code_is_shown_and_the_text_is_not(piece: int) -> None:
    outcome, channel = told(answer(b"SignatureDoesNotMatch"), piece)
    assert outcome[1:4] == (b"", False, "AccessRefused")
    assert outcome[4].endswith("check the credentials [SignatureDoesNotMatch]")
    assert channel[2] is False, "the connection can be used again"


def test_a_clock_is_named_where_the_store_says_so_without_a_date() -> None:
    outcome, _ = told(answer(b"RequestTimeTooSkewed"), 10_000)
    assert "[RequestTimeTooSkewed]: this machine's clock and the server's differ" in outcome[4]


def test_the_verdict_is_told_once_where_the_body_is_cut() -> None:
    data = answer(b"AccessDenied")
    outcome, channel = told(data, 10_000, cut=data.index(b"<Message>"))
    assert outcome[3] == "AccessRefused"
    assert outcome[4].endswith("[AccessDenied]")
    assert channel[2] is True


def test_what_the_server_asks_for_stays_with_the_error() -> None:
    outcome, _ = told(answer(b"SlowDown", b"503 Slow Down", b"Retry-After: 7\r\n"), 10_000)
    assert outcome[3:] == ("ServerBusy", "s: 'a.bin' at 0: the server is busy (503) [SlowDown]")
    body = RefusalBody(ServerBusy("busy", retry_after=7.0))
    body.take(memoryview(XML % b"SlowDown"))
    error = body.error()
    assert isinstance(error, ServerBusy)
    assert (str(error), error.retry_after) == ("busy [SlowDown]", 7.0)


@pytest.mark.parametrize("code", [b"", b"two words", b"x" * 65, b"<b>x</b>"])
def test_what_is_no_code_is_not_repeated(code: bytes) -> None:
    body = RefusalBody(AccessRefused("refused"))
    body.take(memoryview(XML % code))
    assert str(body.error()) == "refused"


@pytest.mark.parametrize(
    "fields", ["Content-Type: text/html", "Content-Length: 0", f"Content-Length: {BODY_CAP + 1}"]
)
def test_other_bodies_are_not_waited_for(fields: str) -> None:
    kind = "" if fields.startswith("Content-Type") else "Content-Type: text/xml\r\n"
    head = parse_head(f"HTTP/1.1 403 No\r\n{kind}{fields}\r\n\r\n".encode())
    assert RefusalBody.of(AccessRefused("refused"), head) is None
    xml = parse_head(b"HTTP/1.1 412 No\r\nContent-Type: text/xml\r\nContent-Length: 9\r\n\r\n")
    assert RefusalBody.of(SourceChanged("changed"), xml) is None
    assert RefusalBody.of(AccessRefused("refused"), xml) is not None
