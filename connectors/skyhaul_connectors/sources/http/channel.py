"""A channel to an HTTP source: one connection, and further ones where objects or redirects lead to other
origins. Redirects are followed here, and remembered, so that a range costs one round trip and not two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.range_connection import RangeConnection
from skyhaul_connectors.sources.http.redirects import KnownRedirects, follow
from skyhaul_connectors.sources.http.request import RangeExchange
from skyhaul_connectors.sources.http.response.head import AnswerHead
from skyhaul_connectors.sources.http.response.validation import WantedRange
from skyhaul_connectors.sources.protocol import ChannelEvents, RangeRequest, Route
from skyhaul_connectors.sources.url import HttpUrl, Origin
from skyhaul_schemas.errors import CarriageError
from skyhaul_schemas.plan import PinnedObject


class HttpPlaces(Protocol):
    """Where objects lie, and what their servers are told."""

    options: HttpOptions
    redirects: KnownRedirects

    def first_origin(self, route: Route) -> Origin | None:
        """The one origin of all objects, or None where there are several."""

    def url_of(self, obj: PinnedObject, route: Route) -> HttpUrl:
        """Raises CarriageError where the object's URL is not known."""

    def unread_list(self, obj: PinnedObject, route: Route) -> Callable[[], None] | None:
        """What must be called, in a thread, before `url_of`; None where it may be called at once."""

    def is_own(self, origin: Origin, route: Route) -> bool:
        """Whether the job itself names the origin, so that headers and private addresses are its wish."""

    @property
    def listed_from_afar(self) -> bool:
        """Whether object URLs come from a list that somebody else serves."""


class HttpChannel:
    def __init__(self, places: HttpPlaces, network: Network, events: ChannelEvents, route: Route) -> None:
        self._places = places
        self._network = network
        self._events = events
        self._route = route
        self._loop = asyncio.get_running_loop()
        self._connections: dict[Origin, RangeConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[RangeRequest] = []
        self._first = places.first_origin(route)
        self._starts: set[Origin] = set() if self._first is None else {self._first}
        self._opened = False
        self._closed = False
        if self._first is not None:
            self._connection_to(self._first, guarded=False)
        else:
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
        read_list = self._places.unread_list(request.object, self._route)
        if self._held or read_list is not None:
            self._hold(request, read_list)
            return
        try:
            start = self._places.url_of(request.object, self._route)
        except CarriageError as error:
            self._loop.call_soon(self._refuse, request, error)
            return
        known = self._places.redirects.get(start, self._loop.time())
        stored = self._places.options.stored
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
        try:
            await asyncio.to_thread(read_list)
        except CarriageError as failure:
            error = failure
        held, self._held = self._held, []
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
        self._say_opened(connection.origin.scheme == "http" and self._route.proxy is None)

    def redirected(self, ask: RangeExchange, head: AnswerHead) -> None:
        target = follow(ask.asked.place, ask.url, head, ask.hops, self._places.options)
        start = self._places.url_of(ask.request.object, self._route)
        if target != start:
            self._places.redirects.learn(start, target, self._loop.time())
        self._ask(ask.again(target, self._headers(target), hops=ask.hops + 1, learned=ask.learned))

    def retry_fresh(self, ask: RangeExchange) -> bool:
        if not ask.learned:
            return False
        start = self._places.url_of(ask.request.object, self._route)
        self._places.redirects.forget(start)
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
            return  # it went idle, and is opened anew when it is needed
        self._finish(error)

    # Inside

    def _headers(self, url: HttpUrl) -> dict[str, str]:
        own = self._places.is_own(url.origin, self._route)
        return dict(self._places.options.headers_of(url, own))

    def _ask(self, ask: RangeExchange) -> None:
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
        """Without its first connection a channel is nothing; another origin concerns its own requests."""
        if connection.origin == self._first:
            self._finish(error)
            return
        self._connections.pop(connection.origin, None)
        for ask in connection.waiting():
            if not self._closed:
                self._events.failed(ask.request, error)

    def _may_be_private(self, origin: Origin) -> bool:
        """Where the job says so, or its own origins are private themselves."""
        if self._places.options.private_redirects or self._places.is_own(origin, self._route):
            return True
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
