"""However the stream of bytes is cut into pieces, a channel reports the same."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_schemas.plan import PinnedObject
from sources.http.fed_channel import FedChannel, requests_for

DATA = bytes(range(256)) * 8
OBJECT = PinnedObject("remote", "a.bin", len(DATA), 'etag:"v1"')
LENGTH = 40


def answer(kind: str, offset: int) -> bytes:
    """The bytes of one answer to [offset, offset + LENGTH)."""
    body = DATA[offset : offset + LENGTH]
    first, last, total, etag = offset, offset + LENGTH - 1, len(DATA), '"v1"'
    more = ""
    match kind:
        case "error":
            return b"HTTP/1.1 500 X\r\nContent-Length: 7\r\n\r\nsorry\r\n"
        case "busy":
            return (
                b"HTTP/1.1 503 X\r\nRetry-After: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
            )
        case "garbage":
            return b"\x00\x01HTTP/1.1 206\r\n\r\n"
        case "changed":
            etag = '"v2"'
        case "wrong-range":
            first += 1
        case "interim":
            return b"HTTP/1.1 103 X\r\nLink: <a>\r\n\r\n" + answer("right", offset)
        case "last":
            more = "Connection: close\r\n"
        case "cut":
            body = body[: LENGTH // 2]
        case "bare-lf":
            return b"HTTP/1.1 206 X\nContent-Length: 40\n\n" + body
    head = f"HTTP/1.1 206 X\r\nContent-Range: bytes {first}-{last}/{total}\r\nETag: {etag}\r\n{more}"
    if kind in ("chunked", "chunked-long", "chunked-short"):
        if kind == "chunked-long":
            body += b"!"
        if kind == "chunked-short":
            body = body[:-1]
        pieces = [body[:7], body[7:20], body[20:]]
        chunks = b"".join(b"%x;ext\r\n%s\r\n" % (len(p), p) for p in pieces)
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\nTrailer: x\r\n\r\n"
    return f"{head}Content-Length: {LENGTH}\r\n\r\n".encode() + body


KINDS = (
    "right",
    "chunked",
    "interim",
    "error",
    "busy",
    "changed",
    "chunked-short",
    "right",
    "wrong-range",
    "last",
    "garbage",
    "chunked-long",
    "cut",
    "bare-lf",
)


def reported(kinds: list[str], cuts: list[int], *, proven: bool = True) -> list[tuple[object, ...]]:
    """What a channel says when the answers come in pieces that end at `cuts`."""
    stream = b"".join(answer(kind, i * LENGTH) for i, kind in enumerate(kinds))
    stops = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})

    async def main() -> list[tuple[object, ...]]:
        with pytest.MonkeyPatch.context() as patch:
            fed = FedChannel(patch, proven=proven)
            fed.ask(requests_for([(OBJECT, i * LENGTH, LENGTH) for i in range(len(kinds))]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            start = 0
            for stop in stops:
                if stop > start:
                    fed.feed(stream[start:stop])
                start = stop
            fed.end()
            await asyncio.sleep(0)
            return list(fed.report())

    return asyncio.run(main())


@settings(max_examples=120, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 1200), max_size=40),
)
def test_pieces_of_the_stream_never_change_what_is_reported(kinds: list[str], cuts: list[int]) -> None:
    assert reported(kinds, cuts) == reported(kinds, [])


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_one_byte_at_a_time_is_as_good_as_all_at_once(kind: str) -> None:
    kinds = ["right", kind, "right"]
    assert reported(kinds, list(range(3000))) == reported(kinds, [])


def test_right_answers_are_finished_and_wrong_ones_are_not() -> None:
    report = reported(["right", "chunked", "interim", "error", "right"], list(range(0, 3000, 7)))
    done = [row[2] for row in report[:-1]]
    assert done == [True, True, True, False, True]
    assert [row[1] for row in report[:3]] == [DATA[i * LENGTH : (i + 1) * LENGTH] for i in range(3)]


def test_without_proof_one_request_is_on_the_wire_at_a_time() -> None:
    async def main() -> list[int]:
        with pytest.MonkeyPatch.context() as patch:
            fed = FedChannel(patch, proven=False)
            fed.ask(requests_for([(OBJECT, i * LENGTH, LENGTH) for i in range(3)]))
            sent = []
            for i in range(3):
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                sent.append(b"".join(fed.transport.written).count(b"GET "))
                fed.feed(answer("right", i * LENGTH))
            fed.channel.close()
            await asyncio.sleep(0)
            return sent

    assert asyncio.run(main()) == [1, 2, 3]


def test_with_proof_all_that_is_asked_in_one_turn_goes_out_in_one_write() -> None:
    async def main() -> list[bytes]:
        with pytest.MonkeyPatch.context() as patch:
            fed = FedChannel(patch, proven=True)
            fed.ask(requests_for([(OBJECT, i * LENGTH, LENGTH) for i in range(3)]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            fed.channel.close()
            await asyncio.sleep(0)
            return fed.transport.written

    written = asyncio.run(main())
    assert len(written) == 1
    assert written[0].count(b"GET /a.bin HTTP/1.1\r\n") == 3
    assert b"Range: bytes=40-79\r\n" in written[0]
    assert b'If-Match: "v1"\r\n' in written[0]


def test_an_error_whose_body_breaks_off_is_told_once() -> None:
    async def main() -> list[str]:
        with pytest.MonkeyPatch.context() as patch:
            fed = FedChannel(patch, proven=True)
            fed.ask(requests_for([(OBJECT, i * LENGTH, LENGTH) for i in range(2)]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            fed.feed(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
            return fed.events.events

    assert asyncio.run(main()) == ["opened", "wire", "failed", "closed"]
