"""The far end of an emulated link: what it hears from the inner source, it sends down the link."""

from __future__ import annotations

from typing import Any

from skyhaul_connectors.links.emulation.downlink import Flow
from skyhaul_connectors.links.emulation.traffic import Traffic
from skyhaul_connectors.sources.protocol import RangeRequest
from skyhaul_schemas.errors import CarriageError


class Opened:
    """Note: the handshake is through. timed: as the inner channel says (`ChannelEvents.opened`)."""

    __slots__ = ("timed",)

    def __init__(self, timed: bool) -> None:
        self.timed = timed


class Data:
    """The tag of payload: whose, and where in the object it begins."""

    __slots__ = ("offset", "request")

    def __init__(self, request: RangeRequest, offset: int) -> None:
        self.request = request
        self.offset = offset


class Finished:
    """Note: all of a range was sent, and the inner channel found it exact."""

    __slots__ = ("request",)

    def __init__(self, request: RangeRequest) -> None:
        self.request = request


class Failed:
    """Note: the source's own error of a request; it crosses the link as the answer does."""

    __slots__ = ("error", "request")

    def __init__(self, request: RangeRequest, error: CarriageError) -> None:
        self.request = request
        self.error = error


class Heads:
    """Note: bytes on the wire that are no payload."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count


class Closed:
    """Note: the far end closed the connection, after all that it had sent."""

    __slots__ = ("error",)

    def __init__(self, error: CarriageError | None) -> None:
        self.error = error


class FarEnd:
    """Listens to the inner channel and sends what it says down the link.

    Payload takes its share of the link when it is received, heads and repeats once the inner channel has
    said all of a turn: by then it is known which bytes of the wire were no payload.
    """

    def __init__(self, traffic: Traffic, flow: Flow) -> None:
        self._traffic = traffic
        self._flow = flow
        self._unexplained = 0
        self._settling = False
        self._cut = False

    def cut(self) -> None:
        self._cut = True

    def opened(self, timed: bool = True) -> None:
        self._send(Opened(timed))

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        if not self._cut and len(data):
            # A copy: the inner channel's buffer is valid during this call, and the bytes cross the link
            # later.
            kept = memoryview(bytes(data))
            # `wire` may come before or after `received`; only at the end of the turn do they add up.
            self._unexplained -= len(kept)
            self._traffic.downlink.send(self._flow, Data(request, offset), kept, len(kept))

    def finished(self, request: RangeRequest) -> None:
        self._send(Finished(request))

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        self._send(Failed(request, error))

    def wire(self, count: int) -> None:
        self._unexplained += count
        if not self._settling and not self._cut:
            self._settling = True
            self._traffic.loop.call_soon(self._settle)

    def closed(self, error: CarriageError | None) -> None:
        self._settle()
        self._send(Closed(error))

    def _settle(self) -> None:
        self._settling = False
        count, self._unexplained = self._unexplained, 0
        if count > 0 and not self._cut:
            self._traffic.downlink.send(self._flow, Heads(count), None, count)

    def _send(self, note: Any) -> None:
        if not self._cut:
            self._traffic.downlink.send(self._flow, note, None, 0)
