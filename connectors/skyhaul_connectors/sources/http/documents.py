"""Whole answers to HEAD and GET, for planning: pins, index pages, lists. Connections are kept and reused;
the rules for redirects, secrets, TLS and deadlines are those of the data path."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from skyhaul_connectors.sources.catalogue.doubts import Doubts
from skyhaul_connectors.sources.http.network import Network, lost
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.redirects import follow
from skyhaul_connectors.sources.http.request import plain_request
from skyhaul_connectors.sources.http.response_head import AnswerHead, NotHttp
from skyhaul_connectors.sources.http.response_reader import AnswerReader
from skyhaul_connectors.sources.http.validation import REDIRECTS
from skyhaul_connectors.sources.url import HttpUrl, Origin
from skyhaul_schemas.errors import ConnectionLost, MalformedAnswer, StalledError

_BUFFER = 64 * 1024

Take = Callable[[memoryview], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """`url`: where the redirects led. body: bytes that came of it. whole: that is all of it."""

    url: HttpUrl
    head: AnswerHead
    body: int = 0
    whole: bool = True


def _nowhere(data: memoryview) -> None:
    """For a body that is only looked at."""


class HttpDocuments:
    """For one loop. `own`: the origins that the job names; they get the headers, and may be private.
    `guarded`: other origins may not be private, since somebody else wrote the URLs. doubts: what asking
    again has brought."""

    def __init__(
        self, network: Network, options: HttpOptions, own: frozenset[Origin], *, guarded: bool = False
    ) -> None:
        self._guarded = guarded
        self._network = network
        self.options = options
        self._own = own
        self._kept: dict[Origin, list[_Exchange]] = {}
        self.doubts = Doubts()

    async def head(self, url: HttpUrl) -> Answer:
        """Raises CarriageError where there is no answer; its status is the caller's to judge."""
        return await self._ask("HEAD", url, "", cap=0, take=None)

    async def get(self, url: HttpUrl, *, cap: int, take: Take | None, more: str = "") -> Answer:
        """The body of a 200 or 206 goes to `take`; None: only the head is wanted. Raises CarriageError,
        MalformedAnswer beyond `cap` bytes, and what `take` raises. `more`: further header lines."""
        return await self._ask("GET", url, more, cap=cap, take=take)

    async def first_byte(self, url: HttpUrl, more: str = "") -> Answer:
        """As `get`, of a 200 or 206 only until the first byte of its body has come: the connection is dropped
        then, unless that was all."""
        return await self._ask("GET", url, more, cap=sys.maxsize, take=_nowhere, enough=1)

    async def close(self) -> None:
        for kept in self._kept.values():
            for exchange in kept:
                exchange.abort()
        self._kept.clear()
        await asyncio.sleep(0)

    async def _ask(
        self, method: str, url: HttpUrl, more: str, *, cap: int, take: Take | None, enough: int | None = None
    ) -> Answer:
        place = f"{self._network.source}: {url}"
        start = url
        for hops in range(100):
            own = url.origin in self._own
            request = plain_request(method, url, self.options.headers_of(url, own), more)
            exchange = await self._connected(url.origin, None if own else start.origin)
            head = await exchange.ask(place, request, method == "HEAD", cap, take, enough)
            if exchange.reusable and head.status < 400:
                self._kept.setdefault(url.origin, []).append(exchange)
            else:
                # What refuses may be one odd machine of many, behind this very connection.
                exchange.abort()
            if head.status not in REDIRECTS:
                return Answer(url, head, exchange.taken, exchange.whole)
            url = follow(place, url, head, hops, self.options)
        raise AssertionError

    async def _connected(self, origin: Origin, start: Origin | None) -> _Exchange:
        """`start`: where a chain of redirects began; None where `origin` is one of the job's own."""
        kept = self._kept.get(origin, [])
        while kept:
            exchange = kept.pop()
            if exchange.reusable:
                return exchange
        exchange = _Exchange(self._network, origin)
        led_away = start is not None and origin.host != start.host and not self._network.is_private(start)
        public_only = not self.options.private_redirects and (
            led_away or (self._guarded and start is not None)
        )
        await self._network.dial(lambda: exchange, origin, self.options.route, public_only=public_only)
        return exchange


class _Exchange(asyncio.BufferedProtocol):
    """One connection, one question at a time."""

    def __init__(self, network: Network, origin: Origin) -> None:
        self._network = network
        self._origin = origin
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._reader = AnswerReader(self)
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[AnswerHead] | None = None
        self._head: AnswerHead | None = None
        self._take: Take | None = None
        self._left = 0
        self._enough: int | None = None
        self.taken = 0
        """Bytes of the last answer's body that came."""
        self.whole = False
        """Whether that is all of it."""
        self._bodiless = False
        self._place = ""
        self._bytes = 0
        self._over = False

    @property
    def reusable(self) -> bool:
        return (
            not self._over and self._reader.between_answers and (self._head is None or self._head.keep_alive)
        )

    async def ask(
        self,
        place: str,
        request: bytes,
        bodiless: bool,
        cap: int,
        take: Take | None,
        enough: int | None = None,
    ) -> AnswerHead:
        """`enough`: bytes of a body that is asked for, after which the rest is not waited for."""
        assert self._transport is not None
        self._done = asyncio.get_running_loop().create_future()
        self._place, self._bodiless, self._left, self._take = place, bodiless, cap, take
        self._head, self._enough, self.taken, self.whole = None, enough, 0, False
        self._transport.write(request)
        limits = self._network.timeouts
        try:
            async with asyncio.timeout(limits.total):
                return await self._watched(self._done)
        except TimeoutError:
            raise StalledError(f"{place}: not whole after {limits.total:g}s") from None
        finally:
            if not self._done.done() or self._done.cancelled() or self._done.exception() is not None:
                self.abort()
            self._done = None  # what the connection does from here on is nobody's answer

    async def _watched(self, done: asyncio.Future[AnswerHead]) -> AnswerHead:
        """The answer, unless it comes to a stop or drips."""
        limits = self._network.timeouts
        seen = self._bytes
        while True:
            finished, _ = await asyncio.wait([done], timeout=limits.idle)
            if finished:
                return done.result()
            if self._bytes - seen < max(1.0, limits.min_rate * limits.idle):
                raise StalledError(f"{self._place}: {self._bytes - seen} bytes within {limits.idle:g}s")
            seen = self._bytes

    def abort(self) -> None:
        self._over = True
        self._reader.stop()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the base

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._bytes += nbytes
        try:
            self._reader.feed(self._buffer, self._view, nbytes)
        except NotHttp as error:
            self._fail(MalformedAnswer(f"{self._place}: {error}"))

    def eof_received(self) -> bool:
        self._reader.eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionLost(f"{self._place}: {lost(exc)}"))
        self._over = True

    # AnswerSink

    def answer_head(self, head: AnswerHead) -> bool:
        if self._done is None or self._done.done():
            raise NotHttp("an answer that nobody asked for")
        self._head = head
        if head.status not in (200, 206):
            self._left = 0
        return self._bodiless

    def answer_body(self, data: memoryview) -> None:
        assert self._head is not None
        wanted = self._take is not None and self._head.status in (200, 206)
        self._left -= len(data)
        self.taken += len(data)
        if wanted and self._left < 0:
            self._fail(MalformedAnswer(f"{self._place}: longer than it may be"))
            self.abort()
        elif wanted:
            assert self._take is not None
            try:
                self._take(data)
            except Exception as error:  # noqa: BLE001  # what the taker met is the asker's to hear
                self._fail(error)
                self.abort()
                return
            more_comes = self._head.length is None or self._reader.left
            if self._enough is not None and self.taken >= self._enough and more_comes:
                self._answered()
                self.abort()
        elif self._left < -_BUFFER:
            # Nobody reads an error's long body: the head says all.
            self._answered()
            self.abort()

    def answer_end(self) -> None:
        self.whole = True
        self._answered()

    def _answered(self) -> None:
        assert self._head is not None
        if self._done is not None and not self._done.done():
            self._done.set_result(self._head)

    def _fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
