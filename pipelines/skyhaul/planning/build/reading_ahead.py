"""What cutting reads of objects (footers), had for some of them at once.

Over a satellite each read costs a round trip, and ten thousand of those one after the other are hours."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from skyhaul_schemas.plan import PinnedObject

AT_ONCE = 8
"""Objects that are read at once: eight round trips in the time of one. Chosen, not measured."""

AHEAD = 64
"""Objects whose first bytes may wait for their turn, so that one slow answer does not hold up the others.
They are in memory meanwhile. Chosen, not measured."""

Known = Callable[[], tuple[int, bytes]]
"""(offset, bytes) of what was read. Blocks until it is here; raises what reading it raised."""


@contextmanager
def reading_ahead(
    objects: Iterable[PinnedObject], first_read: Callable[[PinnedObject], Known | None]
) -> Iterator[Iterator[tuple[PinnedObject, Known | None]]]:
    """The objects in their order, each with what `first_read` reads of it."""
    waiting: deque[tuple[PinnedObject, Future[tuple[int, bytes]] | None]] = deque()

    def ordered() -> Iterator[tuple[PinnedObject, Known | None]]:
        for obj in objects:
            read = first_read(obj)
            # Objects leave in the order they came in: the plan's digest is over them in that order.
            waiting.append((obj, None if read is None else pool.submit(read)))
            if len(waiting) > AHEAD:
                yield from due(1)
        yield from due(len(waiting))

    def due(count: int) -> Iterator[tuple[PinnedObject, Known | None]]:
        for _ in range(count):
            obj, future = waiting.popleft()
            yield obj, None if future is None else future.result

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="plan-ahead") as pool:
        try:
            yield ordered()
        finally:
            # Planning failed, or was stopped: what has not begun is not read any more.
            for _, future in waiting:
                if future is not None:
                    future.cancel()
