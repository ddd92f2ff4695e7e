"""Objects in memory as a source: for tests of pipelines (ours and users'), with faults by script.

Needs nothing of the loop but `time`, `call_soon` and `call_at`, so it runs in virtual time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from skyhaul_connectors.sources.fault_script import Fault, FaultKind, FaultScript
from skyhaul_connectors.sources.protocol import ChannelEvents, RangeRequest, Route
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    ConnectFailed,
    ConnectionLost,
    MalformedAnswer,
    ObjectMissing,
    RangeRefused,
    ServerBusy,
    ServerError,
    SourceChanged,
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


class MemorySource:
    """`objects` maps path to content. Options shape how channels answer:

    latency: seconds before a connection opens and before each answer starts. rate: bytes per second of
    one channel, None for as fast as the loop turns. piece: most bytes of one `received`. pipelines:
    whether channels take several requests at once. faults: what goes wrong, see `fault_script`.
    refuse_connects: so many first connections fail. checksums: whether the listing states sha256.
    `served` logs every request, for tests that count what was fetched again.
    """

    def __init__(
        self,
        name: str,
        objects: Mapping[str, bytes],
        *,
        latency: float = 0.0,
        rate: float | None = None,
        piece: int = 64 * 1024,
        pipelines: bool = True,
        faults: FaultScript | None = None,
        refuse_connects: int = 0,
        checksums: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        if piece < 1:
            raise ValueError("piece must be at least 1 byte")
        self._name = name
        self._objects = dict(objects)
        self._versions = {path: _version_of(data) for path, data in self._objects.items()}
        self._latency = latency
        self._rate = rate
        self._piece = piece
        self._pipelines = pipelines
        self._faults = faults
        self._refusals_left = refuse_connects
        self._checksums = checksums
        self._timeouts = timeouts or Timeouts()
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._changes = 0
        self.served: list[Served] = []

    @property
    def name(self) -> str:
        return self._name

    def listing(self) -> Iterator[PinnedObject]:
        for path, data in list(self._objects.items()):
            yield PinnedObject(
                source=self._name,
                path=path,
                size=len(data),
                version=self._versions[path],
                checksum=f"sha256:{hashlib.sha256(data).hexdigest()}" if self._checksums else None,
            )

    def connect(self, events: ChannelEvents, route: Route) -> MemoryChannel:
        refused = self._refusals_left > 0
        if refused:
            self._refusals_left -= 1
        return MemoryChannel(self, events, refused=refused)

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        return self.pinned_bytes(obj)[offset : offset + length]

    def close(self) -> None:
        """Nothing is held open."""

    def replace(self, path: str, data: bytes) -> None:
        """Put other content under `path`, as a source does that changes under a plan."""
        self._objects[path] = data
        self._versions[path] = _version_of(data)

    def delete(self, path: str) -> None:
        """Take the object away."""
        self._objects.pop(path, None)
        self._versions.pop(path, None)

    def touch(self, path: str) -> None:
        """Give the object another version and leave its content."""
        self._changes += 1
        self._versions[path] = f'etag:"changed-{self._changes}"'

    def pinned_bytes(self, obj: PinnedObject) -> bytes:
        """The content, if it still is the pinned version. Raises ObjectMissing or SourceChanged."""
        data = self._objects.get(obj.path)
        if data is None:
            raise ObjectMissing(f"{self._name}: {obj.path!r} is gone")
        if self._versions[obj.path] != obj.version or len(data) != obj.size:
            raise SourceChanged(
                f"{self._name}: {obj.path!r} is version {self._versions[obj.path]} now,"
                f" the plan pinned {obj.version}; plan into a new dataset"
            )
        return data

    def _fault_for(self, request: RangeRequest) -> Fault | None:
        if self._faults is None:
            return None
        key = (request.object.path, request.offset)
        attempt = self._attempts[key]
        self._attempts[key] += 1
        return self._faults(request, attempt)


class MemoryChannel:
    """A channel that answers one queued request after another, in pieces, through the loop."""

    def __init__(self, source: MemorySource, events: ChannelEvents, *, refused: bool) -> None:
        self._source = source
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._queue: deque[RangeRequest] = deque()
        self._open = False
        self._answering = False
        self._closed = False
        self._later(source._latency, self._refuse if refused else self._opened)

    @property
    def pipelines(self) -> bool:
        return self._source._pipelines

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
            self._later(self._source._latency, self._answer)

    def _answer(self) -> None:
        request = self._queue.popleft()
        source = self._source
        place = f"{source.name}: {request.object.path!r} at {request.offset}"
        fault = source._fault_for(request)
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
        stop = min(fault.after, len(body) - 1) if fault is not None and cut else len(body)
        if sent >= stop:
            if cut:
                self._cut(request, kind, place)
            else:
                self._events.finished(request)
                if not self._closed:
                    self._next()
            return
        piece = body[sent : min(sent + self._source._piece, stop)]
        if fault is not None and kind is FaultKind.CORRUPT:
            piece = _with_wrong_byte(piece, min(fault.after, len(body) - 1) - sent)

        def deliver() -> None:
            served.sent += len(piece)
            self._events.wire(len(piece))
            if not self._closed:
                self._events.received(request, request.offset + sent, piece)
            if not self._closed:
                self._send(request, body, sent + len(piece), fault, served, place)

        rate = self._source._rate
        self._later(len(piece) / rate if rate else 0.0, deliver)

    def _cut(self, request: RangeRequest, kind: FaultKind | None, place: str) -> None:
        if kind is FaultKind.SHORT:
            self._failed(request, ConnectionLost(f"{place}: the body is short"))
        elif kind is FaultKind.STALL:
            idle = self._source._timeouts.idle
            self._later(idle, lambda: self._end(StalledError(f"{place}: no byte for {idle:g}s")))
        else:
            word = "reset" if kind is FaultKind.RESET else "ended"
            self._end(ConnectionLost(f"{place}: the connection was {word}"))


def _version_of(data: bytes) -> str:
    return f'etag:"{hashlib.sha256(data).hexdigest()[:32]}"'


def _with_wrong_byte(piece: memoryview, index: int) -> memoryview:
    if not 0 <= index < len(piece):
        return piece
    wrong = bytearray(piece)
    wrong[index] ^= 0xFF
    return memoryview(wrong)
