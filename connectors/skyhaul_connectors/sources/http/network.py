"""Connections to HTTP servers: names, addresses, TCP, TLS. Foreign exceptions end here.

The TLS context verifies certificates and names; OpenSSL takes SSL_CERT_FILE and SSL_CERT_DIR from the
environment. There is no way to switch that off.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable

from skyhaul_connectors.sources.http.pipelining import PipelineTrust
from skyhaul_connectors.sources.http.proxy import Proxy, parse_proxy, tunnel
from skyhaul_connectors.sources.protocol import Route
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import Origin
from skyhaul_schemas.errors import (
    ConnectFailed,
    NameNotResolved,
    RedirectRefused,
    TlsFailed,
    UsageError,
)

_NAME_LIFE = 60.0
"""Seconds that an address is remembered: many channels open at once, and each would ask."""
_BUFFER = 256 * 1024
"""Bytes of one read at most: as many as asyncio's own transports take (`max_size` in selector_events)."""

_CARRIERS = [ipaddress.IPv6Network(text) for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")]
"""IPv4 addresses as such, translated (RFC 2765) and by NAT64 (RFC 6052), in the last 32 bits."""
_NEVER_PUBLIC = [ipaddress.IPv6Network(text) for text in ("::/96", "64:ff9b:1::/48")]
"""IPv4-compatible addresses, which nobody routes any more (RFC 4291), and NAT64 of a network's own
(RFC 8215). Python takes both for global."""

Address = tuple[socket.AddressFamily, str]


class Network:
    """What the connections of one source share, on one loop."""

    def __init__(
        self,
        source: str,
        timeouts: Timeouts,
        receive_buffer: int | None = None,
        trust: dict[Origin, PipelineTrust] | None = None,
        is_public: Callable[[str], bool] | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            source: Its name, for messages.
            timeouts: What connections wait for.
            receive_buffer: SO_RCVBUF in bytes, None for the system's own.
            trust: What is known of origins, where further networks of the source share it.
            is_public: Whether an address is a public one; None: `is_public_address`.
        """
        self.source = source
        self.timeouts = timeouts
        self.receive_buffer = receive_buffer
        # One for all connections of the loop (`HttpConnection.get_buffer`): 256 would else take 64 MiB.
        self.buffer = bytearray(_BUFFER)
        self.view = memoryview(self.buffer)
        self._is_public = is_public or is_public_address
        self._trust = {} if trust is None else trust
        self._names: dict[tuple[str, int], tuple[float, list[Address]]] = {}
        self._tls: ssl.SSLContext | None = None

    def trust(self, origin: Origin) -> PipelineTrust:
        known = self._trust.get(origin)
        if known is None:
            known = self._trust[origin] = PipelineTrust()
        return known

    async def dial(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        origin: Origin,
        route: Route,
        *,
        public_only: bool,
    ) -> None:
        """Open a connection and hand it to `factory`'s protocol.

        Args:
            factory: Gives the protocol; called once TCP and the proxy's talk are done.
            origin: Where to.
            route: How the connection leaves this machine.
            public_only: Refuse private, loopback and link-local addresses. The address that was checked is
                the one that is dialled: a name may lead elsewhere when it is resolved again (DNS rebinding).

        Raises:
            CarriageError: There is no connection, or it is refused.
            UsageError: The route's proxy is none.
        """
        # One limit for all of it, names, TCP, proxy and TLS: a server must not gain time by each step.
        try:
            async with asyncio.timeout(self.timeouts.connect):
                await self._dial(factory, origin, route, public_only)
        except TimeoutError:
            raise ConnectFailed(
                f"{self.source}: no connection to {origin} within {self.timeouts.connect:g}s"
            ) from None

    async def _dial(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        origin: Origin,
        route: Route,
        public_only: bool,
    ) -> None:
        proxy = self._proxy(route)
        # A proxy resolves names itself, unless it matters which address is meant: then it is told the one
        # that was checked, and a name that only the proxy knows cannot be led to.
        addresses = await self._resolve(origin) if proxy is None or public_only else []
        # All of them, for any may be the one that answers.
        if public_only and not all(self._is_public(address) for _, address in addresses):
            raise RedirectRefused(
                f"{self.source}: led to {origin}, whose address is not public;"
                " to allow that set options.private_redirects: true"
            )
        loop = asyncio.get_running_loop()
        if proxy is None:
            connection = await self._connect(origin, addresses, route)
        else:
            via = Origin("http", proxy.host, proxy.port)
            connection = await self._connect(via, await self._resolve(via), route)
        try:
            if proxy is not None:
                host = addresses[0][1] if addresses else origin.host
                await tunnel(connection, proxy, host, origin.port, source=self.source)
            if origin.scheme == "https":
                # `server_hostname` is what the certificate is held against; the address may be any.
                await loop.create_connection(
                    factory,
                    sock=connection,
                    ssl=self._tls_context(),
                    server_hostname=origin.host,
                    ssl_handshake_timeout=self.timeouts.connect,
                )
            else:
                await loop.create_connection(factory, sock=connection)
        # These two are SSLErrors as well, and must come first: a busy server that hangs up amid a hand-shake
        # may be asked again, a certificate that is wrong stays wrong.
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
            connection.close()
            raise ConnectFailed(f"{self.source}: {origin} ended the connection at once") from error
        except (ssl.SSLError, ssl.CertificateError) as error:
            connection.close()
            reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or "failed"
            raise TlsFailed(f"{self.source}: TLS to {origin}: {reason}") from None
        # Such as EHOSTUNREACH in the midst of a handshake. TimeoutError is one, too, and `dial` has words.
        except OSError as error:
            connection.close()
            if isinstance(error, TimeoutError) and error.errno is None:
                raise
            raise ConnectFailed(f"{self.source}: no connection to {origin}: {_reason(error)}") from None
        except BaseException:
            connection.close()
            raise

    def _proxy(self, route: Route) -> Proxy | None:
        if route.proxy is None:
            return None
        try:
            return parse_proxy(route.proxy)
        except ValueError as error:
            raise UsageError(f"{self.source}: the link's proxy: {error}") from None

    async def _resolve(self, origin: Origin) -> list[Address]:
        loop = asyncio.get_running_loop()
        key = (origin.host, origin.port)
        known = self._names.get(key)
        if known is not None and loop.time() < known[0]:
            return known[1]
        # Without SOCK_STREAM each address comes three times, for datagrams and raw sockets too. UnicodeError:
        # a label that IDNA does not take, of more than 63 bytes, say.
        try:
            found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameNotResolved(f"{self.source}: the name {origin.host} is not resolved: {error}") from None
        addresses = [(socket.AddressFamily(family), str(address[0])) for family, _, _, _, address in found]
        self._names[key] = (loop.time() + _NAME_LIFE, addresses)
        return addresses

    def is_private(self, origin: Origin) -> bool:
        """Whether the origin, as it was last dialled, has an address that is not public.

        False before it was dialled, after none of its addresses answered, and where a proxy resolves it.
        """
        known = self._names.get((origin.host, origin.port))
        return known is not None and not all(self._is_public(address) for _, address in known[1])

    async def _connect(self, origin: Origin, addresses: list[Address], route: Route) -> socket.socket:
        """The first address that answers, each with an even share of the time that is left."""
        # Not side by side (RFC 8305), where each of a haul's hundreds of connections would open several. The
        # price: an address that never answers costs its share of the time for each connection.
        loop = asyncio.get_running_loop()
        end = loop.time() + self.timeouts.connect
        failure: OSError | None = None
        # An IPv4 source address cannot reach an IPv6 server, and the other way round.
        usable = [a for a in addresses if _can_bind(route.bind, a[0])]
        for index, (family, address) in enumerate(usable):
            try:
                connection = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                failure = error
                continue
            try:
                connection.setblocking(False)
                self._prepare(connection, family, route)
                async with asyncio.timeout((end - loop.time()) / (len(usable) - index)):
                    await loop.sock_connect(connection, (address, origin.port))
            except TimeoutError as error:
                connection.close()
                failure = error
            except OSError as error:
                connection.close()
                failure = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        reason = "no address of the right family" if failure is None else _reason(failure)
        # A name may lead elsewhere by the next try.
        self._names.pop((origin.host, origin.port), None)
        raise ConnectFailed(f"{self.source}: no connection to {origin}: {reason}")

    def _prepare(self, connection: socket.socket, family: socket.AddressFamily, route: Route) -> None:
        # asyncio sets it for its transports; the talk with a proxy comes before there is one.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Before the connection opens: the window scale is agreed upon in its SYN (tcp(7), RFC 7323).
        if self.receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        if route.bind is None:
            return
        if _as_address(route.bind) is not None:
            connection.bind((route.bind, 0))
        else:
            # socket(7): a NUL-terminated name; older kernels want CAP_NET_RAW for it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, route.bind.encode() + b"\0")

    def _tls_context(self) -> ssl.SSLContext:
        # Once for all connections, and only where one is needed: it loads the system's certificates.
        if self._tls is None:
            try:
                context = ssl.create_default_context()
            except OSError as error:
                raise TlsFailed(
                    f"{self.source}: the certificates of SSL_CERT_FILE cannot be read: {_reason(error)}"
                ) from None
            context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996 deprecates those before
            # HTTP/2 would put all ranges into one TCP connection, whose window halves at each loss: many
            # connections are what fills a lossy link (docs/transfer.md).
            context.set_alpn_protocols(["http/1.1"])
            self._tls = context
        return self._tls


def is_public_address(text: str) -> bool:
    """Neither private, loopback, link-local, shared nor reserved (IANA special-purpose registries)."""
    # Without the zone of a link-local address (`fe80::1%eth0`). `::ffff:127.0.0.1` is dialled as IPv4.
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NEVER_PUBLIC):
            return False
        address = _carried(address) or address
    return address.is_global and not address.is_multicast


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, on the way or at its end."""
    if any(address in network for network in _CARRIERS):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def _as_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _can_bind(bind: str | None, family: socket.AddressFamily) -> bool:
    # The name of an interface goes with both families.
    address = _as_address(bind) if bind is not None else None
    if address is None:
        return True
    return family == (socket.AF_INET if address.version == 4 else socket.AF_INET6)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{os.strerror(error.errno)}; raise the limit (ulimit -n) or lower max_connections"
    return os.strerror(error.errno) if error.errno else type(error).__name__


def lost(error: BaseException | None) -> str:
    """Why a connection ended, in a few words."""
    if error is None:
        return "the server ended the connection"
    if isinstance(error, ConnectionResetError):
        return "the connection was reset"
    return _reason(error) if isinstance(error, OSError) else type(error).__name__
