"""The far end of a rehearsal: a source that answers every range at once, with zeros."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.protocol import Channel, ChannelEvents, RangeRequest, Route
from skyhaul_schemas.plan import PinnedObject

HEAD_BYTES = 300
"""What the head of an answer takes on the wire (assumed, not measured; servers differ)."""

# Made once and sliced, so that a rehearsal of 256 MiB copies nothing.
_PIECE = memoryview(bytes(256 * 1024))


class SilentSource:
    """Implements Source.

    Where the time goes in a rehearsal is the link's business alone: a server that is slow itself is not
    foreseen."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        return iter(())

    def connect(self, events: ChannelEvents, route: Route) -> Channel:
        return _SilentChannel(events)

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        return bytes(length)

    def close(self) -> None:
        return None


class _SilentChannel:
    """Answers in order, one turn of the loop after it was asked."""

    def __init__(self, events: ChannelEvents) -> None:
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._due: deque[RangeRequest] = deque()
        self._closed = False
        self._loop.call_soon(self._open)

    @property
    def pipelines(self) -> bool:
        return True

    def request(self, request: RangeRequest) -> None:
        self._due.append(request)
        if len(self._due) == 1:
            self._loop.call_soon(self._answer)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._events.closed, None)

    def _open(self) -> None:
        if not self._closed:
            self._events.opened()

    def _answer(self) -> None:
        while self._due and not self._closed:
            request = self._due.popleft()
            self._events.wire(HEAD_BYTES + request.length)
            done = 0
            while done < request.length:
                piece = _PIECE[: request.length - done]
                self._events.received(request, request.offset + done, piece)
                done += len(piece)
            self._events.finished(request)
