"""Calls to a store, side by side where each is a round trip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from skyhaul.dataset.storage.store import DatasetStore

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16
"""Calls to a remote store that go on side by side: records are read sixteen at a time (docs/adr/0003).
Chosen, not measured."""


def each(store: DatasetStore, items: Iterable[T], call: Callable[[T], R]) -> Iterator[R]:
    """The results of `call` for each item, in order. A local store is asked one by one, as they are taken."""
    if store.local_root is not None:
        return map(call, items)
    # All of them before the pool closes: an iterator over calls that are still to be made would hang on it.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return iter(list(pool.map(call, items)))
