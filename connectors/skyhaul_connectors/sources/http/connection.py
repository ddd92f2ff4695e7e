"""One HTTP/1.1 connection to one origin: its transport, its answers as they are read, how long it waits.

What is asked over it, and what an answer means, is a subclass's: `RangeConnection` asks for ranges, several
at a time where the server has proved that it can, `DocumentConnection` for one document after the other.
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.patience import TLS_MARGIN, Deadlines, LowWater, gather
from skyhaul_connectors.sources.http.response.head import AnswerHead, NotHttp
from skyhaul_connectors.sources.http.response.reader import AnswerReader
from skyhaul_connectors.sources.url import Origin

SKIP_CAP = 64 * 1024
"""Bytes of a body that nobody wants (an error's) which are read past to keep the connection; a longer one
closes it: reading on costs the link more than a new connection does. Chosen, not measured."""


def _uncounted(count: int) -> None:
    """For bytes off the connection that nobody adds up."""


class HttpConnection(asyncio.BufferedProtocol, ABC):
    """The connection; `AnswerReader` calls its `answer_*` methods.

    Everything here runs on one loop's thread, and mostly inside the transport's callbacks. What subclasses do
    there calls the owner, who may close the channel: after each such call `over` has to be looked at.

    Attributes:
        origin: Where it leads to.
        over: It was given up, ended or lost; nothing is read off it any more.
    """

    def __init__(
        self, network: Network, origin: Origin, *, wire: Callable[[int], None] = _uncounted, gathers: bool
    ) -> None:
        """Made for a loop that runs, and opened by `Network.dial`.

        Args:
            network: What the connections of one source share; all read into its one buffer.
            origin: Where it leads to.
            wire: Told how many bytes were read off the connection, before they are looked at.
            gathers: Whether bytes inside a long body may wait in the kernel for more of them (`LowWater`).
        """
        self.origin = origin
        self.over = False
        self._network = network
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._reader = AnswerReader(self)
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadlines = Deadlines(network.timeouts)
        margin = TLS_MARGIN if origin.scheme == "https" else 0
        self._low_water = LowWater(margin) if gathers else None

    # What a subclass says

    @abstractmethod
    def ready(self) -> None:
        """The connection is open."""

    @abstractmethod
    def answer_head(self, head: AnswerHead) -> bool:
        """As `AnswerSink`. Raises NotHttp for an answer that nobody asked for."""

    @abstractmethod
    def answer_body(self, data: memoryview) -> None: ...

    @abstractmethod
    def answer_end(self) -> None: ...

    @abstractmethod
    def not_http(self, error: NotHttp) -> None:
        """The stream cannot be read on from here; the connection must be aborted."""

    @abstractmethod
    def gone(self, error: Exception | None, *, between: bool) -> None:
        """The far end is gone. `between`: it ended the connection in order, with no answer under way."""

    @abstractmethod
    def due_since(self) -> float | None:
        """The loop's time from which the total limit counts for the answer that is due, or None."""

    @abstractmethod
    def late(self, passed: str) -> None:
        """A limit was passed, which `passed` names in words; the connection must be aborted."""

    # For subclasses

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self.over

    def abort(self) -> None:
        """End without telling anybody."""
        # Not `close`, which would first send what is queued: requests whose answers nobody wants any more.
        self.over = True
        self._reader.stop()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the base
        # The owner may have closed the channel while it was being dialled.
        if self.over:
            self._transport.abort()
            return
        self._socket = transport.get_extra_info("socket")
        self._tick()
        self.ready()

    def get_buffer(self, sizehint: int) -> memoryview:
        # One buffer for all connections of a loop: transports call `buffer_updated` before the loop turns to
        # another one, so that it is this connection's until that returns. No view of it may be kept.
        return self._network.view

    def buffer_updated(self, nbytes: int) -> None:
        if self.over:
            return
        now = self._loop.time()
        self._deadlines.got(nbytes, now)
        self._wire(nbytes)
        if self.over:
            return
        # Whatever else is raised here asyncio takes for a broken protocol, and the asker hears of a lost
        # connection only, which is asked for again.
        try:
            self._reader.feed(self._network.buffer, self._network.view, nbytes)
        except NotHttp as error:
            if not self.over:
                self.not_http(error)
        # Last: what was just read decides how much may still be waited for.
        water = self._low_water
        if water is not None and not self.over and water.read(now, self._reader.left, self._reader.length):
            gather(self._socket, water.mark)

    def eof_received(self) -> bool:
        # asyncio's TLS layer calls this for a connection that was cut without close_notify, too (RFC 9112,
        # section 9.8): an end proves nothing. Ranges count their bytes; index pages are looked at for their
        # end.
        if not self.over and self._reader.eof() and not self.over:
            self.gone(None, between=True)
        # The transport closes itself; an answer that was cut short is told of by `connection_lost`.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over:
            self.gone(exc, between=False)

    def _tick(self) -> None:
        """Look at the limits, a few times within the shortest one, for as long as the connection lives."""
        if self.over:
            return
        self._timer = self._loop.call_later(self._deadlines.interval, self._tick)
        now = self._loop.time()
        if self._low_water is not None and self._low_water.look(now):
            gather(self._socket, self._low_water.mark)
        # Silence is no fault while nothing is asked: kept connections idle between two questions.
        since = self.due_since()
        if since is not None:
            passed = self._deadlines.passed(now, since)
            if passed is not None:
                self.late(passed)
