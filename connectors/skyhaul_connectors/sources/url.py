"""HTTP URLs, taken apart strictly, kept as they are spelled, and shown without user info and query.

A server may tell `%2B` from `+`, `//` from `/` and `%2f` from `%2F`: what is asked for is what was written.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import string
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit

from skyhaul_schemas.printable import printable

PORTS = {"http": 80, "https": 443}
# Underscores are not for host names (RFC 1123, section 2.1), but DNS carries them and hosts have them.
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?")
_AS_IT_IS = string.punctuation
"""What stays beside letters and digits: all that can stand in a request line. Controls, spaces and what is
not ASCII cannot, and are percent-encoded as UTF-8."""
_REFERENCE = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(\?[^#]*)?(?:#.*)?", re.DOTALL
)
"""Scheme, authority, path and query (with its `?`) of a reference (RFC 3986, appendix B)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what a connection leads to, and what secrets belong to (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As the Host header says it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """One URL, as it is spelled.

    Attributes:
        origin: Where a connection leads to.
        path: Percent-encoded; starts with `/`.
        query: Without its `?`; may hold a signature.
        userinfo: As it stands before the `@`; None without one.
        bare: There is a `?` with nothing behind it, which is another URL than one without."""

    origin: Origin
    path: str
    query: str = field(default="", repr=False)
    userinfo: str | None = field(default=None, repr=False)
    bare: bool = False

    @property
    def target(self) -> str:
        """What stands in the request line."""
        return f"{self.path}?{self.query}" if self.has_query else self.path

    @property
    def has_query(self) -> bool:
        return bool(self.query) or self.bare

    @property
    def has_secret(self) -> bool:
        """Whether something is left out where it is stored. Any query may hold a signature."""
        return self.has_query or self.userinfo is not None

    def authorization(self) -> str | None:
        """The Authorization header of the user info (RFC 7617), or None."""
        if self.userinfo is None:
            return None
        return "Basic " + base64.b64encode(unquote(self.userinfo).encode()).decode("ascii")

    def stored(self) -> str:
        """Without user info and query."""
        return f"{self.origin}{self.path}"

    def __str__(self) -> str:
        """For messages: without user info; a query is only hinted at."""
        return printable(self.stored() + ("?…" if self.has_query else ""))

    def below(self, path: str) -> HttpUrl:
        """The object `path` (not encoded) below this URL, taken as a folder."""
        return self.spelled_below(spelling_of(path))

    def spelled_below(self, path: str) -> HttpUrl:
        """What lies at `path`, percent-encoded as it is asked for, below this URL, taken as a folder."""
        folder = self.path if self.path.endswith("/") else f"{self.path}/"
        return replace(self, path=folder + path)

    def joined(self, location: str) -> HttpUrl:
        """Where a Location header leads, whose bytes are given as latin-1. Raises ValueError."""
        if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in location):
            raise ValueError("a Location with spaces or control characters")
        return self.resolved(quote(location.encode("latin-1"), safe=_AS_IT_IS))

    def resolved(self, reference: str) -> HttpUrl:
        """Where `reference` leads from here (RFC 3986, section 5.2.2).

        Dot segments are resolved, all else is spelled as it is, and this URL's user info does not go along.

        Raises:
            OtherScheme: It leads to neither http nor https.
            ValueError: It is no URL that can be used."""
        # Not urljoin: it drops empty segments and a bare `?`.
        match = _REFERENCE.fullmatch(reference)
        assert match is not None
        scheme, authority, path, query = match.groups()
        if scheme is not None and scheme.lower() not in PORTS:
            raise OtherScheme(f"the scheme {printable(scheme.lower())!r} is not http or https")
        if scheme is not None or authority is not None:
            url = parse_url(f"{scheme or self.origin.scheme}://{authority or ''}{path}{query or ''}")
            return replace(url, path=_without_dots(url.path))
        if not path:
            path, query = self.path, query if query is not None or not self.has_query else f"?{self.query}"
        elif not path.startswith("/"):
            path = self.path[: self.path.rindex("/") + 1] + path
        url = parse_url(f"{self.origin}{path}{query or ''}")
        return replace(url, path=_without_dots(url.path))


class OtherScheme(ValueError):
    """A reference that leads to neither http nor https."""


def spelling_of(path: str) -> str:
    """How an object's path, which is not encoded, is asked for where nobody has spelled it."""
    return quote(path, safe="/~!$&'()*+,;=:@")


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4. Empty segments stay."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def parse_url(text: str) -> HttpUrl:
    """Take a URL apart.

    Raises:
        ValueError: Says what is wrong and does not repeat the URL, which may hold a secret."""
    # urlsplit strips tabs and line breaks (as browsers do): another URL than the one that was written.
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
        raise ValueError("control characters in the URL")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("a URL that cannot be taken apart") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise ValueError(f"the scheme {printable(scheme)!r} is not http or https")
    # The last `@`: user info may hold one, a host cannot.
    userinfo, at, _ = parts.netloc.rpartition("@")
    if port == 0:
        raise ValueError("port 0")
    try:
        path = quote(parts.path or "/", safe=_AS_IT_IS)
        query = quote(parts.query, safe=_AS_IT_IS)
    except UnicodeEncodeError:
        raise ValueError("the URL is not UTF-8") from None
    origin = Origin(scheme, _checked_host(parts.hostname or ""), port or PORTS[scheme])
    bare = not query and "?" in text.partition("#")[0]
    return HttpUrl(origin, path, query, userinfo if at else None, bare)


def _checked_host(host: str) -> str:
    # A zone (`fe80::1%eth0`) means something on this machine alone, and is no part of an origin.
    if ":" in host:
        return str(ipaddress.IPv6Address(host.partition("%")[0]))
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError("a host name that is none") from None
    if not _HOST.fullmatch(host) or ".." in host:
        raise ValueError("a host name that is none")
    return host.lower()
