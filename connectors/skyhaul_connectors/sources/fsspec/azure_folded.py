"""Blobs that adlfs does not list in a folder: `a//b`, which it folds, and an `a/` that has bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

AZURE = frozenset(("az", "abfs", "abfss"))
"""The schemes that adlfs serves."""


def folded_below(filesystem: Any, folder: str) -> Iterator[str]:
    """What of `folder` is not shown, as it goes on behind it.

    Args:
        filesystem: adlfs's.
        folder: A full path, with `/` at its end.

    Yields:
        The empty string for the folder's own blob, `/` for all that an empty part leads to.

    Foreign errors are raised as they are (`errors.foreign_errors`)."""
    # The `x` keeps the folder's last slash, which adlfs's splitting would drop.
    container, prefix, _ = filesystem.split_path(f"{folder}x")
    prefix = prefix.removesuffix("x")

    async def first(start: str) -> Any:
        client = filesystem.service_client.get_container_client(container)
        # By the library below adlfs, since adlfs itself folds; the first blob is enough to know.
        async for blob in client.list_blobs(name_starts_with=start, results_per_page=1):
            return blob

    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(first(prefix), first(f"{prefix}/"))

    own, below = asyncio.run_coroutine_threadsafe(both(), filesystem.loop).result()
    if own is not None and prefix and own.name == prefix and own.size:
        yield ""
    if below is not None:
        yield "/"
