"""Whole answers to HEAD and GET, for planning: pins, index pages, lists.

Connections are kept and reused. The rules for redirects, secrets, TLS and deadlines are those of the data
path.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from skyhaul_connectors.sources.catalogue.doubts import Doubts
from skyhaul_connectors.sources.http.document_connection import DocumentConnection, Take, Wanted
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.redirects import follow
from skyhaul_connectors.sources.http.request import plain_request
from skyhaul_connectors.sources.http.response.head import AnswerHead
from skyhaul_connectors.sources.http.response.validation import REDIRECTS
from skyhaul_connectors.sources.url import HttpUrl, Origin


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes:
        url: Where the redirects led.
        head: The last answer's.
        body: Bytes of its body that came.
        whole: Whether that is all of it.
    """

    url: HttpUrl
    head: AnswerHead
    body: int = 0
    whole: bool = True


def _nowhere(data: memoryview) -> None:
    """For a body that is only looked at."""


class HttpDocuments:
    """Asks questions of one source's servers, on one loop; as many at a time as callers await.

    Attributes:
        options: The source's.
        doubts: What asking again has brought; `catalogue.blocking.tried` is called with it.
    """

    def __init__(
        self, network: Network, options: HttpOptions, own: frozenset[Origin], *, guarded: bool = False
    ) -> None:
        """Nothing is dialled before something is asked.

        Args:
            network: Of the loop.
            options: The source's.
            own: The origins that the job names; they get the headers, and may be private.
            guarded: Other origins may not be private, since somebody else wrote the URLs.
        """
        self._guarded = guarded
        self._network = network
        self.options = options
        self._own = own
        self._kept: dict[Origin, list[DocumentConnection]] = {}
        self.doubts = Doubts()

    async def head(self, url: HttpUrl) -> Answer:
        """The answer to HEAD, whatever its status. Raises CarriageError where there is none."""
        return await self._ask("HEAD", url, "", cap=0, take=None)

    async def get(self, url: HttpUrl, *, cap: int, take: Take | None, more: str = "") -> Answer:
        """The answer to GET, whatever its status.

        Args:
            url: What is asked for.
            cap: Bytes that the body of a 200 or 206 may have.
            take: Gets that body, in views that are valid during the call only; None: the head is wanted.
            more: Further header lines, each with its CR LF.

        Raises:
            CarriageError: There is no answer; MalformedAnswer beyond `cap` bytes.
            Exception: What `take` raised.
        """
        return await self._ask("GET", url, more, cap=cap, take=take)

    async def first_byte(self, url: HttpUrl, more: str = "") -> Answer:
        """As `get`, but only until the first byte of a 200's or 206's body has come.

        The connection is dropped then, unless that was all.
        """
        return await self._ask("GET", url, more, cap=sys.maxsize, take=_nowhere, enough=1)

    async def close(self) -> None:
        for kept in self._kept.values():
            for connection in kept:
                connection.abort()
        self._kept.clear()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn

    async def _ask(
        self, method: str, url: HttpUrl, more: str, *, cap: int, take: Take | None, enough: int | None = None
    ) -> Answer:
        place = f"{self._network.source}: {url}"
        start = url
        for hops in range(100):  # `follow` ends it long before
            # Anew for each hop: a redirect to another origin gets neither headers nor the start's user info.
            own = url.origin in self._own
            request = plain_request(method, url, self.options.headers_of(url, own), more)
            connection = await self._connected(url.origin, None if own else start.origin)
            wanted = Wanted(place, method == "HEAD", cap, take, enough)
            head = await connection.ask(request, wanted)
            if connection.reusable and head.status < 400:
                # By the origin that was asked, before `url` moves on.
                self._kept.setdefault(url.origin, []).append(connection)
            else:
                # What refuses may be one odd machine of many, behind this very connection.
                connection.abort()
            if head.status not in REDIRECTS:
                return Answer(url, head, wanted.taken, wanted.whole)
            url = follow(place, url, head, hops, self.options)
        raise AssertionError

    async def _connected(self, origin: Origin, start: Origin | None) -> DocumentConnection:
        """`start`: where a chain of redirects began; None where `origin` is one of the job's own."""
        kept = self._kept.get(origin, [])
        while kept:
            # The last one first: it idled least, and servers end idle ones (RFC 9112, section 9.5). One that
            # ends just as it is used is a ConnectionLost, which `tried` repeats (section 9.3.1).
            connection = kept.pop()
            if connection.reusable:
                return connection
        connection = DocumentConnection(self._network, origin)
        # As `HttpChannel._may_be_private`: a private server may lead to a private one, a public one may not.
        led_away = start is not None and origin.host != start.host and not self._network.is_private(start)
        public_only = not self.options.private_redirects and (
            led_away or (self._guarded and start is not None)
        )
        await self._network.dial(lambda: connection, origin, self.options.route, public_only=public_only)
        return connection
