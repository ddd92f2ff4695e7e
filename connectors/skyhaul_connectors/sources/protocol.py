"""The Source protocol: list objects, and open channels that answer ranges at a pinned version.

A *channel* is one connection (or what stands for one) on which ranges are asked for. It is driven by
callbacks on one asyncio loop, not by awaiting each range, because on a fast link the cost of a wake-up
a range is what a Python client is limited by. Wrappers (an emulated link, a second route) implement
the same protocol around an inner source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_schemas.errors import CarriageError
from skyhaul_schemas.plan import PinnedObject


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """One request for bytes [offset, offset + length) of a pinned object.

    Attributes:
        object: As the plan pinned it.
        offset: Of the first byte.
        length: Bytes; at least 1.
        tag: The asker's; only ever compared and handed back. No two open requests of a channel share one.
        whole: The server is known to ignore ranges, so that an answer with all of the object will do, too:
            the range is taken out of it.
    """

    object: PinnedObject
    offset: int
    length: int
    tag: int
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """How a channel leaves this machine. None everywhere: the plain network.

    Attributes:
        bind: A source address or a network interface.
        proxy: The URL of an HTTP or SOCKS5 proxy, which may hold credentials.
        base_url: Where the source's objects lie for those who come this way.
    """

    bind: str | None = None
    # Not in the repr: they may hold credentials or a signature, and reprs end up in logs and messages.
    proxy: str | None = field(default=None, repr=False)
    base_url: str | None = field(default=None, repr=False)


class ChannelEvents(Protocol):
    """What a channel tells its owner, always from the loop's thread and never from inside `request()`.

    For each request: zero or more `received` in rising order without gaps, then one `finished` or one
    `failed`, unless the channel is closed first: `closed` ends every open request of the channel.
    A failed request leaves the channel usable; when it is not, `closed` follows.
    """

    def opened(self, timed: bool = True) -> None:
        """Connected (and past TLS). The first request may have been queued before.

        Args:
            timed: The time since the channel was dialled is one round trip. Not so where it took several
                (TLS, a proxy), or where only a request decides to which server: the link would then look
                longer than it is."""

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        """`data` lies at `offset` of the object; a memoryview is valid during the call only."""

    def finished(self, request: RangeRequest) -> None:
        """All bytes of the range were received, and the answer was exact."""

    def failed(self, request: RangeRequest, error: CarriageError) -> None: ...

    def wire(self, count: int) -> None:
        """`count` more bytes were read off the connection (heads and repeats included)."""

    def closed(self, error: CarriageError | None) -> None:
        """The last event. None: closed because the owner asked for it, or idle and no loss."""


class Channel(Protocol):
    """One connection. All methods are called from the loop's thread and return at once."""

    @property
    def pipelines(self) -> bool:
        """True once this server has shown that it answers queued requests in order and exactly."""

    def request(self, request: RangeRequest) -> None:
        """Queue a range. Without pipelining the owner keeps at most one open."""

    def close(self) -> None:
        """Drop the connection at once; `closed(None)` follows."""


class Source(Protocol):
    """A set of objects. `listing()` is called while planning, `connect()` on the engine's loop."""

    @property
    def name(self) -> str: ...

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        """All objects, in any order, streamed: a listing may be larger than memory.

        Args:
            left_out: Is told of each name that the listing holds and that is no object of it. A name that the
                job asks for by itself is never left out, but an error.

        Raises:
            CarriageError: The listing, or an object of it, cannot be read.
            UsageError: The job asks for something that is not there or cannot be taken."""

    def connect(self, events: ChannelEvents, route: Route) -> Channel:
        """Start to open a channel; returns at once. Must be called in a running loop."""

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        """A small range, blocking, at plan time (heads, footers). Raises CarriageError."""

    def close(self) -> None: ...


@runtime_checkable
class LocalSource(Protocol):
    """A source whose objects are files here: without a link they are read in place, with no spool."""

    def local_path(self, obj: PinnedObject) -> str:
        """The file's path, after checking that size and version still hold. Raises CarriageError."""


@runtime_checkable
class HoldsBack(Protocol):
    """A source behind a link that is paced or emulated."""

    def holds_back(self) -> bool:
        """Whether something of this source waits for its turn on the link now.

        A request for our own pace, or bytes for an emulated link: the source is then not to blame for being
        slow. Called on the loop's thread."""


@runtime_checkable
class RoutedSource(Protocol):
    """A source whose channels can leave this machine in more than one way."""

    def check_route(self, route: Route) -> None:
        """Raises UsageError where the route cannot be what is meant."""
