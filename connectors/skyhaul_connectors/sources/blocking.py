"""Ranges read at plan time, from ordinary code: the same channels, on a loop in a thread of its own.

The thread and the channel live as long as the reader, so that a plan that looks into many objects pays
for one connection. Errors that may pass are tried again with a growing pause.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

import tenacity

from skyhaul_connectors.sources.protocol import Channel, ChannelEvents, RangeRequest
from skyhaul_schemas.errors import CarriageError, ConnectionLost, TransientError
from skyhaul_schemas.plan import PinnedObject

ATTEMPTS = 5
_PAUSE_CAP = 30.0
"""Seconds."""


class BlockingReader:
    """`connect` opens a channel on the running loop."""

    def __init__(self, connect: Callable[[ChannelEvents], Channel]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._open: _OneRange | None = None

    def read(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset`. Raises CarriageError."""
        if length == 0:
            return b""
        retry = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=pause,
            retry=tenacity.retry_if_exception_type(TransientError),
            reraise=True,
        )
        with self._lock:
            return retry(self._read, RangeRequest(obj, offset, length, tag=0))

    def close(self) -> None:
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None and self._thread is not None:
                loop.call_soon_threadsafe(loop.stop)
                self._thread.join(5)

    def _read(self, request: RangeRequest) -> bytes:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run, args=(self._loop,), daemon=True, name="plan-reader")
            self._thread.start()
        done: Future[bytes] = Future()
        self._loop.call_soon_threadsafe(self._start, request, done)
        return done.result()

    def _start(self, request: RangeRequest, done: Future[bytes]) -> None:
        if self._open is None or self._open.over:
            self._open = _OneRange()
            self._open.channel = self._connect(self._open)
        self._open.begin(request, done)


class _OneRange:
    """Gathers one range at a time off a channel."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.over = False
        self._data = bytearray()
        self._done: Future[bytes] | None = None

    def begin(self, request: RangeRequest, done: Future[bytes]) -> None:
        assert self.channel is not None
        self._data = bytearray()
        self._done = done
        self.channel.request(request)

    def opened(self) -> None:
        pass

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        self._data += data

    def finished(self, request: RangeRequest) -> None:
        if self._done is not None:
            self._done.set_result(bytes(self._data))
            self._done = None

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        if self._done is not None:
            self._done.set_exception(error)
            self._done = None

    def wire(self, count: int) -> None:
        pass

    def closed(self, error: CarriageError | None) -> None:
        self.over = True
        if self._done is not None:
            self._done.set_exception(error or ConnectionLost("the server ended the connection"))
            self._done = None


def pause(state: tenacity.RetryCallState) -> float:
    """Seconds before the next try: what the server asked for, else doubling from half a second."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, TransientError) else None
    return min(asked if asked is not None else 0.5 * 2 ** (state.attempt_number - 1), _PAUSE_CAP)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()
