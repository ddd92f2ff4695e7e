"""The channel of a `MemorySource`: answers in pieces through the loop, and shows the faults of its script."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from skyhaul_connectors.sources.memory.faults import Fault, FaultKind
from skyhaul_connectors.sources.protocol import ChannelEvents, RangeRequest
from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    ConnectFailed,
    ConnectionLost,
    MalformedAnswer,
    RangeRefused,
    ServerBusy,
    ServerError,
    StalledError,
)
from skyhaul_schemas.plan import PinnedObject


@dataclass(slots=True)
class Served:
    """One request as the source saw it: `sent` bytes of [offset, offset + length) went out."""

    path: str
    offset: int
    length: int
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Manner:
    """How channels answer; see `MemorySource`.

    Attributes:
        latency: Seconds before a connection opens and before each answer starts.
        rate: Bytes per second of one channel; None: as fast as the loop turns.
        piece: Most bytes of one `received`.
        pipelines: Whether channels take several requests at once.
        idle: Seconds until a stall closes the channel."""

    latency: float
    rate: float | None
    piece: int
    pipelines: bool
    idle: float


class MemoryObjects(Protocol):
    """What a channel asks of its source."""

    served: list[Served]

    @property
    def name(self) -> str: ...

    def pinned_bytes(self, obj: PinnedObject) -> bytes:
        """Raises CarriageError where the object is no longer what was pinned."""

    def fault_for(self, request: RangeRequest) -> Fault | None: ...

    def touch(self, path: str) -> None: ...

    def delete(self, path: str) -> None: ...


class MemoryChannel:
    """A channel that answers one queued request after another, in pieces, through the loop."""

    def __init__(
        self, source: MemoryObjects, manner: Manner, events: ChannelEvents, *, refused: bool
    ) -> None:
        self._source = source
        self._manner = manner
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._queue: deque[RangeRequest] = deque()
        self._open = False
        # True also while an answer is delivered: the next one begins when it is done.
        self._answering = False
        self._closed = False
        self._later(self._manner.latency, self._refuse if refused else self._opened)

    @property
    def pipelines(self) -> bool:
        return self._manner.pipelines

    def request(self, request: RangeRequest) -> None:
        if self._closed:
            return
        self._queue.append(request)
        if self._open and not self._answering:
            self._next()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._events.closed, None)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        # Timers are left to fire, not cancelled; once the channel is closed none may speak.
        def unless_closed() -> None:
            if not self._closed:
                call()

        if seconds > 0:
            self._loop.call_at(self._loop.time() + seconds, unless_closed)
        else:
            self._loop.call_soon(unless_closed)

    def _opened(self) -> None:
        self._open = True
        self._events.opened()
        if not self._closed and not self._answering:
            self._next()

    def _refuse(self) -> None:
        self._end(ConnectFailed(f"{self._source.name}: connection refused"))

    def _end(self, error: CarriageError | None) -> None:
        self._closed = True
        self._events.closed(error)

    def _next(self) -> None:
        self._answering = bool(self._queue)
        if self._answering:
            self._later(self._manner.latency, self._answer)

    def _answer(self) -> None:
        request = self._queue.popleft()
        source = self._source
        place = f"{source.name}: {request.object.path!r} at {request.offset}"
        fault = source.fault_for(request)
        served = Served(request.object.path, request.offset, request.length)
        source.served.append(served)
        refusal = self._refusal(fault, request, place)
        data = b""
        if refusal is None:
            try:
                data = source.pinned_bytes(request.object)
            except CarriageError as error:
                refusal = error
            else:
                if request.offset + request.length > len(data):
                    refusal = RangeRefused(f"{place}: the range ends beyond the object's {len(data)} bytes")
        if refusal is not None:
            self._failed(request, refusal)
            return
        body = data[request.offset : request.offset + request.length]
        self._send(request, memoryview(body), 0, fault, served, place)

    def _refusal(self, fault: Fault | None, request: RangeRequest, place: str) -> CarriageError | None:
        """What a fault answers in place of a body; CHANGE and DELETE act on the source."""
        match fault.kind if fault else None:
            # The object changes and the answer goes on: `pinned_bytes` then finds the change, as a store
            # would.
            case FaultKind.CHANGE:
                self._source.touch(request.object.path)
            case FaultKind.DELETE:
                self._source.delete(request.object.path)
            case FaultKind.BUSY:
                assert fault is not None
                return ServerBusy(f"{place}: 503", retry_after=fault.seconds)
            case FaultKind.ERROR:
                return ServerError(f"{place}: 500")
            case FaultKind.DENY:
                return AccessRefused(f"{place}: 403")
            case FaultKind.REFUSE:
                return RangeRefused(f"{place}: 200 for a range")
            case FaultKind.MALFORMED:
                return MalformedAnswer(f"{place}: not HTTP")
        return None

    def _failed(self, request: RangeRequest, error: CarriageError) -> None:
        self._events.failed(request, error)
        if self._closed:
            return
        if isinstance(error, MalformedAnswer | RangeRefused):
            self._end(None)  # the blame is the failed request's; others queued behind it have none
        else:
            self._next()

    def _send(
        self,
        request: RangeRequest,
        body: memoryview,
        sent: int,
        fault: Fault | None,
        served: Served,
        place: str,
    ) -> None:
        kind = fault.kind if fault else None
        cut = kind in (FaultKind.DROP, FaultKind.RESET, FaultKind.STALL, FaultKind.SHORT)
        # At least the last byte is missing: a fault that was asked for must be one.
        stop = min(fault.after, len(body) - 1) if fault is not None and cut else len(body)
        if sent >= stop:
            if cut:
                self._cut(request, kind, place)
            else:
                self._events.finished(request)
                if not self._closed:
                    self._next()
            return
        piece = body[sent : min(sent + self._manner.piece, stop)]
        if fault is not None and kind is FaultKind.CORRUPT:
            piece = _with_wrong_byte(piece, min(fault.after, len(body) - 1) - sent)

        def deliver() -> None:
            # When it is delivered and not when it is planned: a channel that was closed sent nothing more.
            served.sent += len(piece)
            self._events.wire(len(piece))
            if not self._closed:
                self._events.received(request, request.offset + sent, piece)
            if not self._closed:
                self._send(request, body, sent + len(piece), fault, served, place)

        rate = self._manner.rate
        self._later(len(piece) / rate if rate else 0.0, deliver)

    def _cut(self, request: RangeRequest, kind: FaultKind | None, place: str) -> None:
        if kind is FaultKind.SHORT:
            self._failed(request, ConnectionLost(f"{place}: the body is short"))
        elif kind is FaultKind.STALL:
            idle = self._manner.idle
            self._later(idle, lambda: self._end(StalledError(f"{place}: no byte for {idle:g}s")))
        else:
            word = "reset" if kind is FaultKind.RESET else "ended"
            self._end(ConnectionLost(f"{place}: the connection was {word}"))


def _with_wrong_byte(piece: memoryview, index: int) -> memoryview:
    if not 0 <= index < len(piece):
        return piece
    wrong = bytearray(piece)
    wrong[index] ^= 0xFF
    return memoryview(wrong)
