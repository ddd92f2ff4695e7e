"""The bytes of a request. As few as do the job: on a satellite link they ride the thin side."""

from __future__ import annotations

from collections.abc import Mapping

from skyhaul_connectors.sources.http.validation import Asked, validator_of
from skyhaul_connectors.sources.url import HttpUrl

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
