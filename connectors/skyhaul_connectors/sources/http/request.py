"""A request for a range, on its way, and the bytes of any request.

As few bytes as do the job: on a satellite link they ride the thin side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from skyhaul_connectors.sources.http.response.validation import WantedRange, validator_of
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.sources.url import HttpUrl


@dataclass(slots=True, eq=False)
class RangeExchange:
    """One request on the wire for a range, or for half of one, and how far its answer has come.

    Attributes:
        request: What the channel's owner asked for.
        asked: What this request asks for: all of that, or a half.
        url: Where, with whatever is secret in it.
        headers: The job's own, for that server.
        hops: Redirects that led to `url`.
        learned: `url` is a remembered redirect.
        last: The range of `request` ends with it.
        unconditional: Without If-Match, since that was refused; the answer's validator decides.
        undivided: Not as two halves, since one of them was refused.
        taken: Bytes of the range that came.
        first_in_line: Since when its answer is the next one (the loop's time, seconds).
        given_up: Its outcome is told, and what still comes for it is dropped.
    """

    request: RangeRequest
    asked: WantedRange
    url: HttpUrl
    headers: Mapping[str, str]
    hops: int = 0
    learned: bool = False
    last: bool = True
    unconditional: bool = False
    undivided: bool = False
    taken: int = 0
    first_in_line: float = 0.0
    given_up: bool = False

    def halves(self) -> list[RangeExchange]:
        """The range in two requests; the first one's answer does not end it."""
        middle = self.asked.length // 2
        first = replace(self.asked, length=middle)
        second = replace(self.asked, offset=self.asked.offset + middle, length=self.asked.length - middle)
        return [replace(self, asked=first, last=False), replace(self, asked=second)]

    def again(self, url: HttpUrl, headers: Mapping[str, str], *, hops: int, learned: bool) -> RangeExchange:
        """To be asked elsewhere: all of the range where its first half has no answer yet, else the rest."""
        return replace(self.in_one(), url=url, headers=headers, hops=hops, learned=learned)

    def in_one(self) -> RangeExchange:
        """To be asked anew, and not as two halves."""
        request = self.request
        asked = self.asked
        if not self.last:
            asked = replace(asked, offset=request.offset, length=request.length)
        return replace(self, asked=asked, last=True, taken=0, first_in_line=0.0, given_up=False)


_FIXED = "User-Agent: skyhaul\r\nAccept-Encoding: identity\r\n"
_CONDITIONS = {b"etag": "If-Match", b"last-modified": "If-Unmodified-Since"}


def range_request(
    asked: WantedRange, url: HttpUrl, headers: Mapping[str, str], *, conditional: bool = True
) -> bytes:
    """GET of a range at the pinned version: If-Match for an ETag, If-Unmodified-Since for a time, unless it
    is not to be `conditional`; a version id is in the URL."""
    pinned = validator_of(asked.object)
    condition = ""
    if conditional and pinned is not None and pinned[0] in _CONDITIONS:
        name = _CONDITIONS[pinned[0]]
        condition = f"{name}: {pinned[1].decode('latin-1')}\r\n"
    last = asked.offset + asked.length - 1
    return plain_request("GET", url, headers, f"{condition}Range: bytes={asked.offset}-{last}\r\n")


def plain_request(method: str, url: HttpUrl, headers: Mapping[str, str], more: str = "") -> bytes:
    """`more`: further header lines, each with its CR LF."""
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {url.target} HTTP/1.1\r\nHost: {url.origin.authority}\r\n{_FIXED}{own}{more}\r\n"
    return head.encode("latin-1")
