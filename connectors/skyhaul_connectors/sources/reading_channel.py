"""A channel over a function that reads bytes: for files, and for filesystems that have no event loop.

Inline it reads on the loop's thread, a piece a turn (local files, which answer from the page cache). With
`threaded` it reads on one daemon thread of its own, so that a read that never returns holds up neither
the loop nor the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable

from skyhaul_connectors.sources.protocol import ChannelEvents, RangeRequest
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import CarriageError, StalledError
from skyhaul_schemas.plan import PinnedObject

ReadRange = Callable[[PinnedObject, int, int], bytes]
"""(object, offset, length) -> exactly `length` bytes of the pinned version. Raises CarriageError."""

_Done = bytes | Exception


class ReadingChannel:
    """Answers queued requests one after the other.

    Args:
        read: Reads one piece. What it raises beside CarriageError is none of the owner's (a refused option, a
            bug): it is raised on the loop, whose exception handler ends the haul with it.
        events: The channel's owner.
        threaded: Whether to read on a thread of the channel's own.
        timeouts: Its `idle` ends a channel whose read does not return; inline nothing could.
        piece: Most bytes of one read.
        release: Called on the channel's own thread once it is closed; None: nothing is held."""

    def __init__(
        self,
        read: ReadRange,
        events: ChannelEvents,
        *,
        threaded: bool,
        timeouts: Timeouts,
        piece: int = 256 * 1024,
        release: Callable[[], None] | None = None,
    ) -> None:
        self._read = read
        self._events = events
        self._timeouts = timeouts
        self._piece = piece
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._queue: deque[RangeRequest] = deque()
        self._busy = False
        self._closed = False
        self._deadline: asyncio.TimerHandle | None = None
        self._work: queue.SimpleQueue[tuple[RangeRequest, int, int] | None] | None = None
        if threaded:
            self._work = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(self._work,), daemon=True, name="reader").start()
        # Busy until `opened` was told: requests that come before must not be answered before.
        self._busy = True
        self._loop.call_soon(self._opened)

    @property
    def pipelines(self) -> bool:
        # Answers come in the order of asking, and exact or not at all.
        return True

    def request(self, request: RangeRequest) -> None:
        if not self._closed:
            self._queue.append(request)
            if not self._busy:
                self._busy = True
                self._loop.call_soon(self._next)

    def close(self) -> None:
        if not self._closed:
            self._end(None, later=True)

    def _opened(self) -> None:
        if not self._closed:
            self._events.opened()
            self._next()

    def _next(self) -> None:
        if self._closed:
            return
        self._busy = bool(self._queue)
        if self._busy:
            request = self._queue.popleft()
            self._ask(request, request.offset)

    def _ask(self, request: RangeRequest, offset: int) -> None:
        """Read the piece at `offset`; `_took` gets it in a later turn."""
        length = min(self._piece, request.offset + request.length - offset)
        if self._work is None:
            # One piece a turn: the loop also serves other sources, and nothing may be told from inside
            # `request`.
            self._loop.call_soon(self._read_inline, request, offset, length)
        else:
            # For each piece, not for the range: any byte is a sign of life.
            self._deadline = self._loop.call_later(self._timeouts.idle, self._stalled, request)
            self._work.put((request, offset, length))

    def _read_inline(self, request: RangeRequest, offset: int, length: int) -> None:
        if not self._closed:
            self._took(request, offset, self._try(request, offset, length))

    def _try(self, request: RangeRequest, offset: int, length: int) -> _Done:
        try:
            return self._read(request.object, offset, length)
        except Exception as error:  # noqa: BLE001  # handed to the loop's thread, where `_took` judges it
            return error

    def _serve(self, work: queue.SimpleQueue[tuple[RangeRequest, int, int] | None]) -> None:
        """The daemon thread."""
        while (item := work.get()) is not None:
            request, offset, length = item
            done = self._try(request, offset, length)
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
                self._loop.call_soon_threadsafe(self._took, request, offset, done)
        # On this thread, since what it closes (a connection of paramiko's, say) is used by no other.
        if self._release is not None:
            self._release()

    def _took(self, request: RangeRequest, offset: int, done: _Done) -> None:
        if self._closed:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        if isinstance(done, CarriageError):
            self._events.failed(request, done)
            self._next()
            return
        if isinstance(done, Exception):
            self._end(None, later=True)
            raise done
        # Each call may close this channel: after each of them nothing more may be told.
        self._events.wire(len(done))
        if not self._closed:
            self._events.received(request, offset, done)
        if self._closed:
            return
        offset += len(done)
        if offset < request.offset + request.length:
            self._ask(request, offset)
        else:
            self._events.finished(request)
            self._next()

    def _stalled(self, request: RangeRequest) -> None:
        if not self._closed:
            self._end(
                StalledError(
                    f"{request.object.source}: {request.object.path!r} at {request.offset}:"
                    f" no byte for {self._timeouts.idle:g}s"
                ),
                later=False,
            )

    def _end(self, error: CarriageError | None, *, later: bool) -> None:
        self._closed = True
        if self._deadline is not None:
            self._deadline.cancel()
        # A thread whose read never returns does not see this, and ends with the process: it is a daemon.
        if self._work is not None:
            self._work.put(None)
        if later:
            self._loop.call_soon(self._events.closed, error)
        else:
            self._events.closed(error)
