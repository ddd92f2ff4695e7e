"""A request for a range, on its way, and the bytes of any request.

As few bytes as do the job: on a satellite link they ride the thin side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from skyhaul_connectors.sources.http.response.validation import Asked, validator_of
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.sources.url import HttpUrl


@dataclass(slots=True, eq=False)
class Ask:
    """hops: redirects that led to `url`. learned: `url` is a remembered redirect. last: the range of
    `request` ends with it. unconditional: without If-Match, since that was refused; the answer's validator
    decides. undivided: not as two halves, since one of them was refused. taken: bytes that came. given_up:
    its outcome is told, and what still comes for it is dropped."""

    request: RangeRequest
    asked: Asked
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

    def halves(self) -> list[Ask]:
        """The range in two requests; the first one's answer does not end it."""
        middle = self.asked.length // 2
        first = replace(self.asked, length=middle)
        second = replace(self.asked, offset=self.asked.offset + middle, length=self.asked.length - middle)
        return [replace(self, asked=first, last=False), replace(self, asked=second)]

    def again(self, url: HttpUrl, headers: Mapping[str, str], *, hops: int, learned: bool) -> Ask:
        """To be asked elsewhere: all of the range where its first half has no answer yet, else the rest."""
        return replace(self.in_one(), url=url, headers=headers, hops=hops, learned=learned)

    def in_one(self) -> Ask:
        """To be asked anew, and not as two halves."""
        request = self.request
        asked = self.asked
        if not self.last:
            asked = replace(asked, offset=request.offset, length=request.length)
        return replace(self, asked=asked, last=True, taken=0, first_in_line=0.0, given_up=False)


_FIXED = "User-Agent: skyhaul\r\nAccept-Encoding: identity\r\n"
_CONDITIONS = {b"etag": "If-Match", b"last-modified": "If-Unmodified-Since"}


def range_request(
    asked: Asked, url: HttpUrl, headers: Mapping[str, str], *, conditional: bool = True
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
