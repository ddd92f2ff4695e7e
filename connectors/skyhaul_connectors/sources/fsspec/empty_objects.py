"""Objects that state a size of 0: that is a claim like others, and it is asked for once more.

Proxies, stores and file systems state it for what they do not know. A claim of any other size is held against
the bytes when they are hauled; nothing is hauled of an empty object, so nothing would be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from fsspec.spec import AbstractBufferedFile

from skyhaul_connectors.sources.fsspec.errors import foreign_errors
from skyhaul_schemas.plan import PinnedObject

AT_ONCE = 8
"""Threads that ask. Chosen, not measured: empty objects are few as a rule, and each costs a round trip."""

_AHEAD = 64
"""Objects that may wait for their answers: eight for each thread. Chosen, not measured."""

Again = Callable[[PinnedObject], PinnedObject | None]
"""The object as it is found to be; None where it is none. Raises CarriageError or UsageError."""


def asked_again(
    objects: Iterable[PinnedObject], again: Again, at_once: Callable[[], int]
) -> Iterator[PinnedObject]:
    """`objects`, those without bytes after they were asked for again.

    Args:
        objects: A listing's.
        again: Asks for one.
        at_once: How many threads may call `again`, or 0 where this one has to. Called when it is needed, for
            the answer may take a connection."""
    waiting: deque[Future[PinnedObject | None]] = deque()
    pool: ThreadPoolExecutor | None = None
    threads: int | None = None
    try:
        for obj in objects:
            if obj.size:
                yield obj
                continue
            threads = at_once() if threads is None else threads
            if not threads:
                yield from _found(again(obj))
                continue
            pool = pool or ThreadPoolExecutor(threads, thread_name_prefix="ask-again")
            waiting.append(pool.submit(again, obj))
            if len(waiting) >= _AHEAD:
                yield from _found(waiting.popleft().result())
        while waiting:
            yield from _found(waiting.popleft().result())
    finally:
        for future in waiting:
            future.cancel()
        if pool is not None:
            pool.shutdown()


def _found(obj: PinnedObject | None) -> Iterator[PinnedObject]:
    if obj is not None:
        yield obj


def first_byte(filesystem: Any, path: str) -> bool:
    """Whether a read of an object that states no bytes gives one. Raises foreign errors."""
    try:
        with filesystem.open(path, "rb", cache_type="none") as file:
            if isinstance(file, AbstractBufferedFile):
                # Its `read` stops at the stated size, and asks for nothing.
                return bool(file._fetch_range(0, 1))
            return bool(file.read(1))
    except (FileNotFoundError, PermissionError):
        raise
    except foreign_errors() + (ValueError,):  # noqa: RUF005  # mypy knows this form
        # Stores refuse a range of an empty object, each in its way (Azure's client by a ValueError): what is
        # stated is then asked for anew.
        return bool(filesystem.info(path).get("size"))
