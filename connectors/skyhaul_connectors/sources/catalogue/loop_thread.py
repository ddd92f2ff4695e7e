"""An asyncio loop in a daemon thread, for ordinary code that waits for the network (planning)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from skyhaul_schemas.errors import CarriageError

T = TypeVar("T")


class LoopThread:
    """Starts with the first call, ends with `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._bug: BaseException | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result, or what it raises, or what a callback or another task raised meanwhile."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except CancelledError:
            if self._bug is not None:
                raise self._bug from None
            raise
        except BaseException:
            # Ctrl-C ends the waiting alone; the coroutine would go on in its thread.
            future.cancel()
            raise

    def stream(self, batches: AsyncIterator[Sequence[T]]) -> Iterator[T]:
        """The items of the batches.

        The next batch is worked on only when it is asked for, beyond what the iterator does ahead by
        itself."""
        try:
            while True:
                try:
                    batch = self.run(_next(batches))
                except StopAsyncIteration:
                    return
                yield from batch
        finally:
            # Also when a listing is given up half way: its requests would go on until the loop ends.
            close = getattr(batches, "aclose", None)
            if close is not None and self._loop is not None:
                self.run(close())

    def close(self) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        # Outside of the lock, else a call that comes meanwhile would wait as long. It starts a new loop.
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_exception_handler(self._crash)
                self._thread = threading.Thread(target=_run, args=(self._loop,), daemon=True, name=self._name)
                self._thread.start()
            return self._loop

    def _crash(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End all that runs with what nobody awaits.

        asyncio would log it, and whoever waits for an answer from there would wait for ever."""
        error = context.get("exception")
        # A task that failed beside the one that was awaited, and a connection that broke, are no bugs.
        expected = not isinstance(error, Exception) or isinstance(error, CarriageError | OSError)
        if error is None or expected or ("future" in context and not is_ours(error)):
            loop.default_exception_handler(context)
            return
        self._bug = error
        for task in asyncio.all_tasks(loop):
            task.cancel()


def is_ours(error: BaseException) -> bool:
    """Whether code of ours is among what raised it.

    A library may run tasks of its own on the loop it is called on: s3fs closes the client of a collected
    filesystem on the loop that happens to run then, which fails where the client was another loop's.
    """
    found = error.__traceback__
    while found is not None:
        if str(found.tb_frame.f_globals.get("__name__", "")).startswith("skyhaul"):
            return True
        found = found.tb_next
    return False


# run_coroutine_threadsafe takes coroutines; `anext` gives an awaitable.
async def _next(batches: AsyncIterator[T]) -> T:
    return await anext(batches)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        pending = asyncio.all_tasks(loop)
        # Tasks that are left would be told of at the end of the process ("Task was destroyed but it is
        # pending").
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
