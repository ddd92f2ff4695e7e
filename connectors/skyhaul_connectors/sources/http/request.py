"""A request for a range, on its way, and the bytes of any request.

As few bytes as do the job: on a satellite link they ride the thin side. So there is no Accept and no
Connection, whose absence means what is wanted (RFC 9110, section 12.5.1; RFC 9112, section 9.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from skyhaul_connectors.sources.http.response.validation import WantedRange, validator_of
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_connectors.sources.url import HttpUrl


# By identity: two requests for one range are not the same one, and `in` must not take them for it.
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
        # Halves and not a range asked for twice: a trial may cost a head, but no byte of payload.
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
        # A second half whose first one is in stays a half: the bytes of the first one were handed on.
        if not self.last:
            asked = replace(asked, offset=request.offset, length=request.length)
        return replace(self, asked=asked, last=True, taken=0, first_in_line=0.0, given_up=False)


_FIXED = "User-Agent: skyhaul\r\nAccept-Encoding: identity\r\n"
"""Without Accept-Encoding any coding would do (RFC 9110, section 12.5.3), and servers compress on the fly."""
_CONDITIONS = {b"etag": "If-Match", b"last-modified": "If-Unmodified-Since"}
"""Not If-Range: where it does not hold, the whole new object comes as a 200 (RFC 9110, section 13.1.5), and
would cross the link for nothing. These bring a 412."""


def range_request(
    asked: WantedRange, url: HttpUrl, headers: Mapping[str, str], *, conditional: bool = True
) -> bytes:
    """GET of a range at the pinned version.

    If-Match for an ETag, If-Unmodified-Since for a time, unless it is not to be `conditional`; a version id
    is in the URL.
    """
    # Only spares a body that is not wanted: servers may not know these fields, so that the answer's own
    # validator decides (`response.validation`).
    pinned = validator_of(asked.object)
    condition = ""
    if conditional and pinned is not None and pinned[0] in _CONDITIONS:
        name = _CONDITIONS[pinned[0]]
        # Byte for byte as the server wrote it: an ETag may hold bytes beyond ASCII (RFC 9110, section 8.8.3).
        condition = f"{name}: {pinned[1].decode('latin-1')}\r\n"
    last = asked.offset + asked.length - 1
    return plain_request("GET", url, headers, f"{condition}Range: bytes={asked.offset}-{last}\r\n")


def plain_request(method: str, url: HttpUrl, headers: Mapping[str, str], more: str = "") -> bytes:
    """A request without a body. `more`: further header lines, each with its CR LF."""
    # Nothing is escaped here. What goes in was checked where it came from: URLs by `parse_url`, the job's
    # headers by `http_options`. A pin is as the plan has it; `parse_head` lets no line end into one.
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {url.target} HTTP/1.1\r\nHost: {url.origin.authority}\r\n{_FIXED}{own}{more}\r\n"
    return head.encode("latin-1")
