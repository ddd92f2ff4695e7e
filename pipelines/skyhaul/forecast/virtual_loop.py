"""An asyncio loop whose time is virtual, so that a haul of hours is rehearsed in a moment.

The loop never sleeps: when nothing is ready it moves its clock on to the next timer. Nothing in it may
touch the network, a thread or an executor.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class _LeapingSelector(selectors.BaseSelector):
    """Where a loop would wait for its next timer, time leaps there."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # No timer and nothing ready: a real loop would wait for the network, and there is none.
        if timeout is None:
            raise RuntimeError(f"nothing will ever happen again after {self.now:.3f} s of virtual time")
        if timeout > 0:
            self.now += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and moves only from one timer to the next."""

    def __init__(self) -> None:
        self._leaping = _LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """The result of `main`, run on a virtual loop.

    What a callback raised is raised here: a loop would only log it."""
    escaped: list[BaseException] = []

    def remember(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        escaped.append(error if error is not None else RuntimeError(str(context["message"])))

    loop = VirtualLoop()
    loop.set_exception_handler(remember)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main)
    if escaped:
        raise escaped[0]
    return result
