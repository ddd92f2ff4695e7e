"""A channel to an HTTP source: one connection, and further ones to other origins.

Objects or redirects may lead there. Redirects are followed here, and remembered, so that a range costs one
round trip and not two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.places import HttpPlaces
from skyhaul_connectors.sources.http.range_connection import RangeConnection
from skyhaul_connectors.sources.http.redirects import KnownRedirects, follow
from skyhaul_connectors.sources.http.request import RangeExchange
from skyhaul_connectors.sources.http.response.head import AnswerHead
from skyhaul_connectors.sources.http.response.validation import WantedRange, check_version
from skyhaul_connectors.sources.protocol import ChannelEvents, RangeRequest, Route
from skyhaul_connectors.sources.url import HttpUrl, Origin
from skyhaul_schemas.errors import CarriageError


class HttpChannel:
    """Implements Channel, and ConnectionOwner towards its connections. For the loop that it is made in.

    Args:
        places: Where objects lie for those who come by `route`.
        options: What servers are told.
        redirects: Those known, of all channels to the source.
        network: What opens connections.
        events: What is told of the answers.
        route: How connections leave this machine.
    """

    def __init__(
        self,
        places: HttpPlaces,
        options: HttpOptions,
        redirects: KnownRedirects,
        network: Network,
        events: ChannelEvents,
        route: Route,
    ) -> None:
        self._places = places
        self._options = options
        self._redirects = redirects
        self._network = network
        self._events = events
        self._route = route
        self._loop = asyncio.get_running_loop()
        self._connections: dict[Origin, RangeConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[RangeRequest] = []
        self._first = places.first_origin
        # Where URLs of the job or its lists lead, redirects aside: a private server may lead inwards.
        self._starts: set[Origin] = set() if self._first is None else {self._first}
        self._opened = False
        self._closed = False
        if self._first is not None:
            self._connection_to(self._first, guarded=False)
        else:
            # Nothing to dial before a request says where, and no round trip to be learned from that. By
            # call_soon, since the owner has no channel before `connect` returns.
            self._loop.call_soon(self._say_opened, False)

    @property
    def pipelines(self) -> bool:
        if self._first is not None and self._network.trust(self._first).proven:
            return True
        known = self._connections.values()
        return bool(known) and all(self._network.trust(c.origin).proven for c in known)

    def request(self, request: RangeRequest) -> None:
        if self._closed:
            return
        read_list = self._places.unread_list(request.object)
        # While some are held all are, also those whose URL is known: their order is the asker's.
        if self._held or read_list is not None:
            self._hold(request, read_list)
            return
        try:
            start = self._places.url_of(request.object)
            check_version(request.object)
        except CarriageError as error:
            self._loop.call_soon(self._refuse, request, error)
            return
        known = self._redirects.get(start, self._loop.time())
        stored = self._options.stored
        asked = WantedRange(request.object, request.offset, request.length, request.whole, stored)
        url = known or start
        self._ask(RangeExchange(request, asked, url, self._headers(url), learned=known is not None))

    def _hold(self, request: RangeRequest, read_list: Callable[[], None] | None) -> None:
        """Keep requests, in their order, until the list is read."""
        self._held.append(request)
        if len(self._held) == 1 and read_list is not None:
            self._begin(self._read_list(read_list))

    async def _read_list(self, read_list: Callable[[], None]) -> None:
        error: CarriageError | None = None
        # A list may be fetched from a server, and takes as long as that: not on the loop.
        try:
            await asyncio.to_thread(read_list)
        except CarriageError as failure:
            error = failure
        held, self._held = self._held, []  # first: `request` holds back while there are any
        for request in held:
            if self._closed:
                return
            if error is not None:
                self._events.failed(request, error)
            else:
                self.request(request)

    def close(self) -> None:
        if not self._closed:
            self._drop()
            self._loop.call_soon(self._events.closed, None)

    # ConnectionOwner

    def connected(self, connection: RangeConnection) -> None:
        # TCP alone takes one round trip; TLS and a proxy's talk take further ones.
        self._say_opened(connection.origin.scheme == "http" and self._route.proxy is None)

    def redirected(self, ask: RangeExchange, head: AnswerHead) -> None:
        # `start` and not `ask.url`: what is remembered leads from the object to the end of the chain.
        target = follow(ask.asked.place, ask.url, head, ask.hops, self._options)
        start = self._places.url_of(ask.request.object)
        if target != start:
            self._redirects.learn(start, target, self._loop.time())
        self._ask(ask.again(target, self._headers(target), hops=ask.hops + 1, learned=ask.learned))

    def retry_fresh(self, ask: RangeExchange) -> bool:
        # A remembered redirect may have expired at its end (a signed URL's minutes are over), which is the
        # fault of our memory: the object is asked for from its start, once.
        if not ask.learned:
            return False
        start = self._places.url_of(ask.request.object)
        self._redirects.forget(start)
        self._ask(ask.again(start, self._headers(start), hops=0, learned=False))
        return True

    def ask_over_another(self, connection: RangeConnection, asks: Sequence[RangeExchange]) -> None:
        if self._connections.get(connection.origin) is connection:
            del self._connections[connection.origin]
        for ask in asks:
            self._ask(ask)

    def disconnected(self, connection: RangeConnection, error: CarriageError | None, unanswered: int) -> None:
        if self._connections.get(connection.origin) is connection:
            del self._connections[connection.origin]
        idle = error is None and unanswered == 0 and not self._closed
        if idle and (connection.origin != self._first or self._is_busy()):
            return  # an idle server closed it, and it is opened anew when it is needed
        self._finish(error)

    # Inside

    def _headers(self, url: HttpUrl) -> dict[str, str]:
        return dict(self._options.headers_of(url, url.origin in self._places.own_origins))

    def _ask(self, ask: RangeExchange) -> None:
        # Only what is asked for at its start counts as one: a redirect must not vouch for the next.
        redirected = ask.hops > 0 or ask.learned
        if not redirected:
            self._starts.add(ask.url.origin)
        guarded = redirected or self._places.listed_from_afar
        self._connection_to(ask.url.origin, guarded=guarded).ask(ask)

    def _connection_to(self, origin: Origin, *, guarded: bool) -> RangeConnection:
        connection = self._connections.get(origin)
        if connection is None:
            connection = RangeConnection(self._network, origin, self, self._events)
            self._connections[origin] = connection
            self._begin(self._dial(connection, guarded))
        return connection

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # None of the owner's (a full TMPDIR, a bug): the loop's exception handler ends the haul with it.
            # Nobody may be left to wait for this channel.
            self.close()
            raise error

    async def _dial(self, connection: RangeConnection, guarded: bool) -> None:
        origin = connection.origin
        try:
            await self._network.dial(
                lambda: connection,
                origin,
                self._route,
                public_only=guarded and not self._may_be_private(origin),
            )
        except CarriageError as error:
            self._not_dialled(connection, error)

    def _not_dialled(self, connection: RangeConnection, error: CarriageError) -> None:
        """End the channel if this was its first connection, else fail the requests that wait for this one."""
        if connection.origin == self._first:
            self._finish(error)
            return
        self._connections.pop(connection.origin, None)
        for ask in connection.waiting():
            if not self._closed:
                self._events.failed(ask.request, error)

    def _may_be_private(self, origin: Origin) -> bool:
        """Where the job says so, or its own origins are private themselves."""
        # Decided by names and by what dialling the starts has found: nothing is resolved for it here.
        if self._options.private_redirects or origin in self._places.own_origins:
            return True
        # Whoever serves a list of URLs chose these starts, which then prove nothing.
        return not self._places.listed_from_afar and any(
            origin.host == start.host or self._network.is_private(start) for start in self._starts
        )

    def _refuse(self, request: RangeRequest, error: CarriageError) -> None:
        if not self._closed:
            self._events.failed(request, error)

    def _is_busy(self) -> bool:
        return any(connection.busy for connection in self._connections.values())

    def _say_opened(self, timed: bool = True) -> None:
        if not self._opened and not self._closed:
            self._opened = True
            self._events.opened(timed)

    def _drop(self) -> None:
        self._closed = True
        for connection in self._connections.values():
            connection.abort()
        self._connections.clear()
        for task in self._tasks:
            task.cancel()

    def _finish(self, error: CarriageError | None) -> None:
        if not self._closed:
            self._drop()
            self._events.closed(error)
