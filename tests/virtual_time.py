"""An asyncio loop whose time is virtual: hours of timers run in milliseconds, the same way each time.

`run_virtual(main())` runs a coroutine on it. The loop never sleeps: when nothing is ready it moves its
clock to the next timer. Work given to an executor runs inline, so that no thread races the clock. When
nothing is ready and no timer is set, nothing could ever happen again: `VirtualDeadlock` says so
instead of hanging (after `patience` real seconds, in which another thread may still call in).
"""

from __future__ import annotations

import asyncio
import gc
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualDeadlock(RuntimeError):
    """The loop waits for something that no timer and no socket will bring."""


class VirtualTimeout(RuntimeError):
    """Virtual time passed the limit that the test had set."""


class _LeapingSelector(selectors.BaseSelector):
    """Looks at real file descriptors without waiting; where it would wait it moves the loop's clock."""

    def __init__(self, patience: float) -> None:
        self._real = selectors.DefaultSelector()
        self._patience = patience
        self.now = 0.0
        self.limit: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            ready = self._real.select(self._patience)
            if not ready:
                raise VirtualDeadlock(f"nothing is ready and no timer is set at {self.now:.6f} s")
            return ready
        self.now += timeout
        if self.limit is not None and self.now > self.limit:
            raise VirtualTimeout(f"virtual time passed {self.limit} s")
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` starts at `start` and moves only by leaps to the next timer."""

    def __init__(self, start: float = 0.0, *, limit: float | None = None, patience: float = 1.0) -> None:
        self._leaping = _LeapingSelector(patience)
        self._leaping.now = start
        self._leaping.limit = limit
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # asyncio's stub returns the same future under another spelling
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # an executor hands over whatever the work raised
            future.set_exception(error)
        return future


def run_virtual(main: Coroutine[Any, Any, T], *, start: float = 0.0, limit: float | None = 1e7) -> T:
    """The result of `main`, run from virtual second `start`; VirtualTimeout once `limit` is passed.

    Exceptions that a callback let escape fail the run: a loop would only log them.
    """
    loop = VirtualTimeLoop(start, limit=limit)
    escaped: list[BaseException] = []

    def remember(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        escaped.append(error if error is not None else RuntimeError(str(context["message"])))

    loop.set_exception_handler(remember)
    # What other tests left behind must not be collected in here: finalizers such as s3fs's start tasks on
    # whatever loop is running.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            result = runner.run(main)
    finally:
        if collecting:
            gc.enable()
        if not loop.is_closed():
            loop.close()
    if escaped:
        raise escaped[0]
    return result
