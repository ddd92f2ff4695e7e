"""HTTP URLs, taken apart strictly, and shown without user info and query."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urljoin, urlsplit

from skyhaul_schemas.printable import printable

PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?")
_AS_IT_IS = "/:@!$&'()*+,;=~%"
"""Characters that stay in a path beside letters, digits and `_.-~` (RFC 3986 pchar, and `%`)."""


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
    """`path` is percent-encoded and starts with `/`; `query` is without its `?`."""

    origin: Origin
    path: str
    query: str = field(default="", repr=False)
    userinfo: str | None = field(default=None, repr=False)

    @property
    def target(self) -> str:
        """What stands in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def has_secret(self) -> bool:
        """Whether something is left out where it is stored. Any query may hold a signature."""
        return bool(self.query) or self.userinfo is not None

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
        return printable(self.stored() + ("?…" if self.query else ""))

    def below(self, path: str) -> HttpUrl:
        """The object `path` (not encoded) below this URL, taken as a folder."""
        folder = self.path if self.path.endswith("/") else f"{self.path}/"
        return replace(self, path=folder + quote(path, safe="/~!$&'()*+,;=:@"))

    def joined(self, location: str) -> HttpUrl:
        """Where a Location header leads. Raises ValueError."""
        if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in location):
            raise ValueError("a Location with spaces or control characters")
        return parse_url(urljoin(f"{self.origin}{self.target}", location))


def parse_url(text: str) -> HttpUrl:
    """Raises ValueError that says what is wrong and does not repeat the URL."""
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
    userinfo, at, _ = parts.netloc.rpartition("@")
    if port == 0:
        raise ValueError("port 0")
    try:
        path = quote(parts.path or "/", safe=_AS_IT_IS)
        query = quote(parts.query, safe=_AS_IT_IS + "?")
    except UnicodeEncodeError:
        raise ValueError("the URL is not UTF-8") from None
    origin = Origin(scheme, _checked_host(parts.hostname or ""), port or PORTS[scheme])
    return HttpUrl(origin, path, query, userinfo if at else None)


def _checked_host(host: str) -> str:
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
