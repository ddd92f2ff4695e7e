"""`options:` of an HTTP source, checked; what they hold is secret and never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skyhaul_connectors.sources.protocol import Route
from skyhaul_connectors.sources.url import HttpUrl, Origin, parse_url
from skyhaul_schemas.errors import UsageError, ValueRefused
from skyhaul_schemas.printable import printable

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""The name of a field (`token`, RFC 9110, section 5.6.2); the cap is ours."""
_OURS = frozenset(
    (
        "host",
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "accept-encoding",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
    )
)
"""Fields that decide what is asked for or how the answer is framed. A second Host or Range is ambiguous to
servers and proxies, If-Range turns a 412 into a 200 with everything, If-None-Match brings a 304, and an
Upgrade leads out of HTTP."""
OPTIONS: Mapping[str, str] = {
    "headers": "header lines of each request, by name, for the servers that the job names",
    "headers_for": "further servers (`https://host`) that get them",
    "redirect_hosts": "hosts that redirects may lead to; `*.example.org` takes every name below",
    "private_redirects": "whether those may have private addresses",
    "content_encoding": "`stored`: objects are hauled as they are stored, whatever encoding is stated",
}
"""What `options:` of an HTTP source may say, and what it means."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The options of one source. `repr()` shows neither headers nor route, which may hold secrets.

    Attributes:
        headers: Sent to the source's own origins only.
        headers_for: Further origins that get them.
        redirect_hosts: Host names that a redirect may lead to beside the asked one (`*.example.org` takes
            every name below).
        private_redirects: Whether those may have private addresses.
        stored: Objects are taken as they are stored, whatever Content-Encoding their answers state.
        route: How the servers are reached while a plan is made, which is no option of the job file.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers_for: frozenset[Origin] = frozenset()
    redirect_hosts: tuple[str, ...] = ()
    private_redirects: bool = False
    stored: bool = False
    route: Route = field(default=Route(), repr=False)

    def allows_redirect_to(self, host: str) -> bool:
        # The dot stays: `*.example.org` must not take `badexample.org`.
        return any(
            host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:]))
            for allowed in self.redirect_hosts
        )

    def headers_of(self, url: HttpUrl, own: bool) -> Mapping[str, str]:
        """The headers for a request to `url`; `own`: its origin is one that the job names."""
        # All or none: clients that drop Authorization alone on the way to another origin (fsspec's does) send
        # `X-Api-Key` and its like along.
        headers = dict(self.headers) if own or url.origin in self.headers_for else {}
        authorization = url.authorization()
        # The URL's own user info counts more than the source's header; both would be one too many (RFC 9110,
        # section 5.3).
        if authorization is not None:
            headers = {k: v for k, v in headers.items() if k.lower() != "authorization"}
            headers["Authorization"] = authorization
        return headers


def http_options(source: str, options: Mapping[str, Any]) -> HttpOptions:
    """The source's `options:`, checked.

    Raises:
        UsageError: A key or a value that cannot be meant; it names the key, never the value.
    """
    for key in options:
        if key not in OPTIONS:
            there = ", ".join(OPTIONS)
            raise ValueRefused(
                f"source {source}: no option {printable(str(key))!r}; HTTP sources have {there}",
                ("sources", source, "options", key),
                allowed=there,
                known=tuple(OPTIONS),
                of_key=True,
            )
    headers = options.get("headers") or {}
    if not isinstance(headers, Mapping):
        raise UsageError(f"source {source}: options.headers is no mapping of header names to values")
    for name, value in headers.items():
        shown = printable(str(name))
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise UsageError(f"source {source}: options.headers: {shown!r} is no header name")
        if name.lower() in _OURS:
            raise UsageError(
                f"source {source}: options.headers: {shown} is set by skyhaul itself; leave it out"
            )
        # A line end in a value would begin a field, or a request, of somebody else's.
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise UsageError(f"source {source}: options.headers: the value of {shown} is not printable ASCII")
    private = options.get("private_redirects", False)
    if not isinstance(private, bool):
        raise UsageError(f"source {source}: options.private_redirects must be true or false")
    return HttpOptions(
        headers={str(k): str(v).strip() for k, v in headers.items()},
        headers_for=frozenset(_origin(source, text) for text in _texts(source, options, "headers_for")),
        redirect_hosts=tuple(text.lower() for text in _texts(source, options, "redirect_hosts")),
        private_redirects=private,
        stored=takes_stored(source, options),
    )


def takes_stored(source: str, options: Mapping[str, Any]) -> bool:
    """Whether `content_encoding: stored` is among the options. Raises UsageError for another value."""
    if "content_encoding" not in options:
        return False
    if options["content_encoding"] != "stored":
        raise UsageError(
            f"source {source}: options.content_encoding must be `stored`: the bytes as they are stored,"
            " whatever Content-Encoding the server states"
        )
    return True


def _texts(source: str, options: Mapping[str, Any], key: str) -> list[str]:
    value = options.get(key, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"source {source}: options.{key} is no list of texts")
    return texts


def _origin(source: str, text: str) -> Origin:
    try:
        return parse_url(text).origin
    except ValueError as error:
        raise UsageError(f"source {source}: options.headers_for: {error}") from None
