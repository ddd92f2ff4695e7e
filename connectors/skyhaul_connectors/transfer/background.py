"""Work that blocks (syncs, digests, the journal) off the loop's thread, one job after the other."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Background(Protocol):
    """Runs jobs in the order in which they come.

    `done` gets the result on the loop's thread; an exception goes to `failed` there."""

    def submit(
        self, job: Callable[[], T], done: Callable[[T], None], failed: Callable[[BaseException], None]
    ) -> None:
        """Run `job` after those submitted before it. Returns at once, but for `InlineBackground`.

        Args:
            job: May block. Must not touch what belongs to the loop's thread.
            done: Gets its result, on the loop's thread.
            failed: Gets what it raised, on the loop's thread. One of the two is called, once.
        """

    def close(self) -> None:
        """Finish what was submitted, then end."""


class InlineBackground:
    """Runs each job at once on the loop's thread, and tells a moment later: what a virtual clock needs.

    Args:
        loop: Real or virtual.
        delay: Seconds after which the result is told."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float = 0.0) -> None:
        self._loop = loop
        self._delay = delay

    def submit(
        self, job: Callable[[], T], done: Callable[[T], None], failed: Callable[[BaseException], None]
    ) -> None:
        # Told by the loop even without a delay: as from a thread, never before `submit` returns.
        try:
            result = job()
        except Exception as error:  # noqa: BLE001  # an executor hands over whatever the work raised
            self._loop.call_later(self._delay, failed, error)
        else:
            self._loop.call_later(self._delay, done, result)

    def close(self) -> None:
        """Do nothing: each job was run when it was submitted."""


class ThreadBackground:
    """One daemon thread: the interpreter's end does not wait for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(
        self, job: Callable[[], T], done: Callable[[T], None], failed: Callable[[BaseException], None]
    ) -> None:
        def run() -> None:
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001  # handed to the loop's thread, which judges it
                self._tell(failed, error)
            else:
                self._tell(done, result)

        self._jobs.put(run)

    def close(self) -> None:
        self._jobs.put(None)
        # Bounded: a job that hangs in a sync of a dead disk must not keep the process.
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _tell(self, call: Callable[[T], None], value: T) -> None:
        try:
            self._loop.call_soon_threadsafe(call, value)
        except RuntimeError:
            return  # the loop is closed: nobody is left to be told
