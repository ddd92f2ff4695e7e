"""Plans for tests: of objects in memory or of mere listings, into a real dataset folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.make_plan import plan_sources
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.protocol import Channel, ChannelEvents, Route
from skyhaul_schemas import layout
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.plan import PinnedObject, PlanHeader


class Listing:
    """A source that can only be listed: objects as given, in the order given. It holds no bytes."""

    def __init__(
        self, name: str, objects: Sequence[PinnedObject] | Callable[[], Iterator[PinnedObject]]
    ) -> None:
        self.name = name
        self._objects = objects

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        return self._objects() if callable(self._objects) else iter(self._objects)

    def connect(self, events: ChannelEvents, route: Route) -> Channel:
        raise AssertionError("planning opens no channel")

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        return b"{" * length

    def close(self) -> None:
        """Nothing is open."""


class InPlace(Listing):
    """A listing of files on this machine."""

    def local_path(self, obj: PinnedObject) -> str:
        raise AssertionError("planning opens no object")


def pinned(source: str, path: str, size: int, version: str = 'etag:"1"', **more: Any) -> PinnedObject:
    return PinnedObject(source, path, size, version, **more)


def job_for(
    folder: Path,
    sources: Sequence[str] = ("s",),
    *,
    format: str | None = "jsonl",
    top: str = "",
    shards: str = "",
    source: str = "",
) -> LoadedJob:
    """A job file over `sources`; top, shards and source are more lines of it, each `key: value`."""
    lines = [
        "version: 1",
        "name: test",
        f"dataset: {folder}/dataset",
        f"spool: {folder}/spool",
        *top.splitlines(),
    ]
    lines.append("sources:")
    for name in sources:
        lines += [f"  {name}:", f"    url: {folder}/{name}/*"]
        lines += [f"    format: {format}"] if format else []
        lines += [f"    {line}" for line in source.splitlines()]
    if shards:
        lines += ["shards:", *(f"  {line}" for line in shards.splitlines())]
    return parse_job("\n".join(lines) + "\n", "job.yaml", {})


def plan_into(
    folder: Path,
    loaded: LoadedJob,
    sources: Mapping[str, Any],
    patterns: Mapping[str, list[str]] | None = None,
    **more: Any,
) -> tuple[PlanHeader, DatasetStore]:
    """Plan into the dataset `folder`/dataset."""
    store = open_store(str(folder / "dataset"), writable=True)
    try:
        header = plan_sources(loaded, patterns or {name: ["*"] for name in sources}, sources, store, **more)
    finally:
        store.close()
    return header, store


def plan_bytes(store: DatasetStore) -> tuple[bytes, bytes]:
    return store.read_bytes(layout.OBJECTS), store.read_bytes(layout.SHARDS)


def chunks_of(store: DatasetStore) -> list[tuple[int, int, str, str, int, int]]:
    """(shard, index, source, path, offset, length) of the whole plan."""
    plan = Plan.open(store)
    try:
        return [
            (c.shard, c.index, c.object.source, c.object.path, c.offset, c.length)
            for shard in plan.shards()
            for c in shard.chunks
        ]
    finally:
        plan.close()
