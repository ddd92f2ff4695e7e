"""Through a proxy to a server: HTTP CONNECT (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928, RFC 1929).

The socket is ours and stays ours, connected to the proxy with the link's source address and buffers; this
module does the talk until it leads to the server. Names are resolved by the proxy, whose network may be the
only one that knows them.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from python_socks import ProxyError, ProxyType
from python_socks.async_.asyncio import Proxy as SocksProxy

from skyhaul_schemas.errors import ConnectFailed, ProxyRefused

PORTS = {"http": 8080, "socks5": 1080}
"""Where a proxy's URL states none: IANA's `http-alt` and `socks`. (An HTTP proxy has no port of its own.)"""
_HEAD_CAP = 16 * 1024
"""Bytes of an answer to CONNECT up to the end of its head. Chosen, not measured."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
"""A proxy may speak HTTP/1.0, and leave the reason out."""
_NOT_LET_THROUGH = frozenset((401, 403, 405, 407))
"""The proxy's own rules and logins: another try would end alike. Others (502, 503, 504) speak of the server
behind, which may answer by and by."""
_SOCKS_REASONS = {
    1: "a general failure",
    2: "not allowed by its rules",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the connection was refused",
    6: "the time to live expired",
    7: "it takes no CONNECT",
    8: "it takes no address of this kind",
}
"""RFC 1928, section 6."""
_SOCKS_RULES = 2


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a proxy is, and who we are to it. `str()` and `repr()` are without credentials.

    Attributes:
        scheme: `http` (its CONNECT) or `socks5`.
        host: A name or an address, without brackets.
        port: As the URL has it, else that of PORTS.
        user: None: no credentials are sent.
        password: Empty where there is none.
    """

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_proxy(text: str) -> Proxy:
    """Take a proxy's URL apart.

    Raises:
        ValueError: What is wrong, without repeating the URL, which may hold a password.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("a proxy URL that cannot be taken apart") from None
    if parts.scheme not in PORTS:
        raise ValueError("a proxy URL must begin with http:// or socks5://")
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("a proxy URL is a scheme, a host and a port, such as socks5://10.0.0.1:1080")
    user = None if parts.username is None else unquote(parts.username)
    password = unquote(parts.password or "")
    # RFC 7617, section 2, forbids controls; RFC 1929 states both lengths in one byte each.
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in f"{user or ''}{password}"):
        raise ValueError("the proxy's user or password has control characters")
    if len((user or "").encode()) > 255 or len(password.encode()) > 255:
        raise ValueError("the proxy's user or password is longer than 255 bytes")
    # RFC 1929 names no encoding, and python-socks fails on any other character only amid the talk.
    if parts.scheme == "socks5" and not f"{user or ''}{password}".isascii():
        raise ValueError("a SOCKS5 proxy's user and password must be ASCII")
    return Proxy(parts.scheme, parts.hostname, port or PORTS[parts.scheme], user, password)


async def tunnel(connection: socket.socket, proxy: Proxy, host: str, port: int, *, source: str) -> None:
    """Make `connection`, which is open to the proxy, lead to host:port.

    The caller limits the time (python-socks by itself: 60 s). The connection is the caller's to close.

    Raises:
        ConnectFailed: The proxy does not answer, or does not reach the server.
        ProxyRefused: The proxy does not let us through; another try would end alike.
    """
    try:
        if proxy.scheme == "http":
            await _connect_by_http(connection, proxy, host, port, source)
        else:
            await _connect_by_socks(connection, proxy, host, port, source)
    except OSError:
        raise ConnectFailed(f"{source}: the proxy {proxy} ended the connection at once") from None


# HTTP CONNECT is done here, because python-socks takes whatever the first packet holds for the whole answer.


async def _connect_by_http(
    connection: socket.socket, proxy: Proxy, host: str, port: int, source: str
) -> None:
    loop = asyncio.get_running_loop()
    # The port is always stated, 443 too: CONNECT has no scheme that could imply it (RFC 9110, 9.3.6).
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.user is not None:
        token = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode("ascii")
        lines.append(f"Proxy-Authorization: Basic {token}")
    await loop.sock_sendall(connection, "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii"))
    head = bytearray()
    while b"\r\n\r\n" not in head:
        data = await loop.sock_recv(connection, 4096)
        head += data
        if not data or len(head) > _HEAD_CAP:
            raise ConnectFailed(f"{source}: the proxy {proxy} gave no whole answer to CONNECT")
    status = _STATUS.match(head)
    if status is None:
        raise ProxyRefused(f"{source}: {proxy} is no HTTP proxy: it does not answer CONNECT")
    code = int(status[1])
    if code in _NOT_LET_THROUGH:
        why = "it asks for other credentials" if code == 407 else f"it answers {code}"
        raise ProxyRefused(f"{source}: the proxy {proxy} does not let us through to {authority}: {why}")
    # A 2xx answer to CONNECT has no body, whatever it states (RFC 9110, section 9.3.6), and neither HTTP nor
    # TLS servers speak first: what follows its head is no word of theirs.
    if not 200 <= code < 300 or not head.endswith(b"\r\n\r\n"):
        raise ConnectFailed(f"{source}: the proxy {proxy} does not reach {authority}: it answers {code}")


class _Ready(SocksProxy):
    """Hands python-socks the connection that is open already, in the place of a proxy before the proxy."""

    # Without the base's constructor: python-socks calls `connect` of a `forward`, and nothing else.
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    async def connect(self, *_args: Any, **_more: Any) -> socket.socket:
        return self._connection


async def _connect_by_socks(
    connection: socket.socket, proxy: Proxy, host: str, port: int, source: str
) -> None:
    socks = SocksProxy(
        ProxyType.SOCKS5,
        proxy.host,
        proxy.port,
        username=proxy.user,
        password=None if proxy.user is None else proxy.password,
        rdns=True,  # the proxy resolves the name
        forward=_Ready(connection),
        loop=asyncio.get_running_loop(),
    )
    try:
        await socks.connect(host, port)
    except TimeoutError:
        raise ConnectFailed(f"{source}: the proxy {proxy} does not answer in time") from None
    except ProxyError as error:
        code = error.error_code
        # The one way to tell a connection that broke off from a refusal: both may come without a code.
        if type(error.__cause__).__name__ == "IncompleteReadError":
            raise ConnectFailed(f"{source}: the proxy {proxy} ended the connection at once") from None
        # Without a code: no SOCKS5, or the log-in failed; replies to CONNECT alone have codes.
        if code is None or code == _SOCKS_RULES or code not in _SOCKS_REASONS:
            why = _SOCKS_REASONS.get(code or 0, "it takes neither us nor our credentials, or is none")
            raise ProxyRefused(
                f"{source}: the proxy {proxy} does not let us through to {host}:{port}: {why}"
            ) from None
        raise ConnectFailed(
            f"{source}: the proxy {proxy} does not reach {host}:{port}: {_SOCKS_REASONS[code]}"
        ) from None
