"""Ranges read at plan time, from ordinary code: the same channels, on a loop in a thread of its own.

Channels live as long as the reader, so that a plan that looks into many objects pays for a few connections:
as many as threads read at once. Errors that may pass are tried again with a growing pause.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ParamSpec, TypeVar

import tenacity

from skyhaul_connectors.sources.catalogue.doubts import Doubts
from skyhaul_connectors.sources.catalogue.doubts import pause as doubted_pause
from skyhaul_connectors.sources.catalogue.loop_thread import LoopThread
from skyhaul_connectors.sources.protocol import Channel, ChannelEvents, RangeRequest
from skyhaul_schemas.errors import CarriageError, ConnectionLost, RangesIgnored, TransientError
from skyhaul_schemas.plan import PinnedObject

ATTEMPTS = 5
"""Tries of what may pass. Chosen, not measured: with pauses of 0.5, 1, 2 and 4 s a plan outlives 7 s of
trouble, and somebody waits for it."""

_PAUSE_CAP = 30.0
"""Seconds: what a server asks for by Retry-After counts up to here, else an hour would be a plan that
hangs."""
_DOUBTED_AT_ONCE = 0.25
"""Of the pauses of a haul: somebody waits for the plan, and a slip in a URL should be told soon."""
_IGNORED = 3
"""Parts for which whole objects came, until whole ones will do: one such answer may come from an odd machine
of many, and whole objects cost the link dearly. Chosen, not measured."""

P = ParamSpec("P")
T = TypeVar("T")


def pause(state: tenacity.RetryCallState) -> float:
    """Seconds before the next try: what the server asked for, else doubling from half a second."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, TransientError) else None
    return float(min(asked if asked is not None else 0.5 * 2 ** (state.attempt_number - 1), _PAUSE_CAP))


def _retrying() -> tenacity.AsyncRetrying:
    """A handful of tries of what may pass."""
    return tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=pause,
        retry=tenacity.retry_if_exception_type(TransientError),
        reraise=True,
    )


async def tried(doubts: Doubts, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `ask` gives, after a handful of tries of what may pass.

    An odd answer is asked for as often as its class is doubted.

    Raises:
        CarriageError: It did not pass, or the odd answer proved true."""
    odd = 0
    while True:
        try:
            found: T = await _retrying()(ask, *args, **kwargs)
        except CarriageError as error:
            odd += 1
            await asyncio.sleep(_pause_of_doubt(doubts, error, odd))
        else:
            doubts.right(after_doubt=odd > 0)
            return found


def tried_here(doubts: Doubts, ask: Callable[[], T]) -> T:
    """The same for what blocks, and does its own tries of what may pass."""
    odd = 0
    while True:
        try:
            found = ask()
        except CarriageError as error:
            odd += 1
            time.sleep(_pause_of_doubt(doubts, error, odd))
        else:
            doubts.right(after_doubt=odd > 0)
            return found


def _pause_of_doubt(doubts: Doubts, error: CarriageError, odd: int) -> float:
    """Seconds before it is asked again after the `odd`th odd answer. Raises the error where it counts."""
    if isinstance(error, TransientError):
        # Has had its tries within. Tried again out here too, each would count five times.
        raise error
    if odd >= doubts.tries(error):
        doubts.true()
        raise error
    return _DOUBTED_AT_ONCE * doubted_pause(odd)


class BlockingReader:
    """Reads ranges for ordinary code.

    Args:
        connect: Opens a channel on the running loop, which is this reader's own."""

    def __init__(self, connect: Callable[[ChannelEvents], Channel]) -> None:
        self._connect = connect
        self._thread = LoopThread("plan-reader")
        self._free: list[_OneRange] = []
        self._doubts = Doubts()
        self._ignored = 0

    def read(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset`. Any thread. Raises CarriageError."""
        if length == 0:
            return b""
        return self._thread.run(self._tried(RangeRequest(obj, offset, length, tag=0)))

    def close(self) -> None:
        self._thread.close()

    async def _tried(self, request: RangeRequest) -> bytes:
        return await tried(self._doubts, self._read, request)

    async def _read(self, request: RangeRequest) -> bytes:
        # On the loop's thread: between these lines nobody else takes the same one.
        # The one used last first: the others may run into the server's idle timeout and go.
        taken = next((one for one in reversed(self._free) if not one.over), None)
        if taken is None:
            taken = _OneRange()
            taken.channel = self._connect(taken)
        self._free = [one for one in self._free if one is not taken and not one.over]
        try:
            return await taken.fetch(replace(request, whole=self._ignored >= _IGNORED))
        # Not CarriageError alone: a read that is cancelled (Ctrl-C) leaves its range open on the channel, and
        # the next one's bytes would come behind it.
        except BaseException as error:
            self._ignored += isinstance(error, RangesIgnored)
            if not isinstance(error, TransientError) and taken.channel is not None:
                # The odd machine of many may sit behind this very connection.
                taken.over = True
                taken.channel.close()
            raise
        finally:
            self._free.append(taken)


class _OneRange:
    """Gathers one range at a time off a channel."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.over = False
        self._tag = -1
        self._data = bytearray()
        self._done: asyncio.Future[bytes] | None = None

    async def fetch(self, request: RangeRequest) -> bytes:
        """The bytes of `request`, which gets a tag of this channel's own."""
        assert self.channel is not None
        self._tag += 1
        request = replace(request, tag=self._tag)
        self._data = bytearray()
        self._done = asyncio.get_running_loop().create_future()
        self.channel.request(request)
        return await self._done

    def opened(self, timed: bool = True) -> None:
        """Requests are queued by the channel until then."""

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        # In rising order without gaps (`ChannelEvents`), so that offsets need no look. But whose they are
        # does: what is told of a range that nobody waits for any more must not get into the next one.
        if request.tag == self._tag:
            self._data += data

    def finished(self, request: RangeRequest) -> None:
        if request.tag == self._tag and self._done is not None and not self._done.done():
            self._done.set_result(bytes(self._data))

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        if request.tag == self._tag:
            self._end(error)

    def wire(self, count: int) -> None:
        """Planning does not count what crosses the wire."""

    def closed(self, error: CarriageError | None) -> None:
        self.over = True
        self._end(error or ConnectionLost("the server ended the connection"))

    def _end(self, error: CarriageError) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
