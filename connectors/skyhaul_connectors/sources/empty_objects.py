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

from skyhaul_connectors.sources.fsspec_errors import foreign_errors
from skyhaul_schemas.plan import PinnedObject

AT_ONCE = 8
_AHEAD = 64
"""Objects that may wait for their answers."""

Again = Callable[[PinnedObject], PinnedObject | None]
"""The object as it is found to be; None where it is none. Raises CarriageError or UsageError."""


def asked_again(objects: Iterable[PinnedObject], again: Again, at_once: int) -> Iterator[PinnedObject]:
    """`objects`, those without bytes after `again`, which is called by `at_once` threads, or for 0 by this
    one."""
    waiting: deque[Future[PinnedObject | None]] = deque()
    pool: ThreadPoolExecutor | None = None
    try:
        for obj in objects:
            if obj.size:
                yield obj
                continue
            if not at_once:
                found = again(obj)
                if found is not None:
                    yield found
                continue
            if pool is None:
                pool = ThreadPoolExecutor(at_once, thread_name_prefix="ask-again")
            waiting.append(pool.submit(again, obj))
            if len(waiting) >= _AHEAD:
                yield from _answered(waiting.popleft())
        while waiting:
            yield from _answered(waiting.popleft())
    finally:
        for future in waiting:
            future.cancel()
        if pool is not None:
            pool.shutdown()


def _answered(future: Future[PinnedObject | None]) -> Iterator[PinnedObject]:
    found = future.result()
    if found is not None:
        yield found


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
