"""A worker process that fetches over a shared link, again and again, for tests that idle and kill it.

    python -m tests.links.sharing.share_worker URL WAY FOLDER NUMBER EPOCH RATE [IDLE_AT]

WAY: `store`, or the URL of a Redis server. Writes (monotonic seconds, bytes) of all that it reads off its
connections to FOLDER/NUMBER.log at once, so that a kill loses none of it.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.links.opening import open_links
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.over_link.paced import PacedSource
from skyhaul_connectors.sources.protocol import Channel, ChannelEvents, Route, Source
from skyhaul_connectors.transfer.engine_thread import EngineThread, ShardFetch
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_schemas.errors import Interrupted
from skyhaul_schemas.job.model import Job

ENTRY = struct.Struct("<dI")
SHARD = 4 * 1024 * 1024


class _Watched:
    """Events of a channel, handed on; what it reads is put down."""

    def __init__(self, events: ChannelEvents, log: int) -> None:
        self._events = events
        self._log = log
        self.opened = events.opened
        self.received = events.received
        self.finished = events.finished
        self.failed = events.failed
        self.closed = events.closed

    def wire(self, count: int) -> None:
        os.write(self._log, ENTRY.pack(time.monotonic(), count))
        self._events.wire(count)


class Watched:
    """A source whose channels are watched."""

    def __init__(self, inner: Source, log: int) -> None:
        self._inner = inner
        self._log = log
        self.name = inner.name
        self.listing = inner.listing
        self.read_now = inner.read_now
        self.close = inner.close

    def connect(self, events: ChannelEvents, route: Route) -> Channel:
        return self._inner.connect(_Watched(events, self._log), route)


def main(url: str, way: str, folder: Path, number: str, epoch: float, rate: str, idle_at: float) -> None:
    job = Job.model_validate(
        {
            "version": 1,
            "name": "sharing",
            "dataset": str(folder / "dataset"),
            "sources": {"far": {"url": {"list": url}, "via": ["dish"]}},
            "links": {"dish": {"down": rate, "shared": way}},
        }
    )
    source = open_source("far", job.sources["far"])
    objects = sorted(source.listing(), key=lambda obj: obj.path)
    store = open_store(job.dataset, writable=True)
    link = open_links(job, epoch, store)["dish"]
    log = os.open(folder / f"{number}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    lane = Lane("dish", PacedSource(Watched(source, log), link), shared=link)
    engine = EngineThread(
        {"far": SourceLanes((lane,), 16)},
        EngineSettings(folder / f"spool-{number}", 1 << 30, 600.0, "f" * 64),
    )
    print("ready", flush=True)
    time.sleep(max(0.0, epoch - time.time()))
    open_fetches: deque[ShardFetch] = deque()
    shard = 0
    while time.time() - epoch < idle_at:
        while len(open_fetches) < 3:
            obj = objects[(shard + int(number)) % len(objects)]
            pieces = [Segment(obj, at, SHARD) for at in range(0, SHARD * 2, SHARD)]
            open_fetches.append(engine.fetch(shard, "far", pieces))
            shard += 1
        fetch = open_fetches.popleft()
        with suppress(Interrupted):
            fetch.wait(1, lambda: time.time() - epoch >= idle_at)
        fetch.release(keep=False)
    for fetch in open_fetches:
        fetch.release(keep=False)
    print("idle", flush=True)
    sys.stdin.read()
    engine.close()
    link.close()


if __name__ == "__main__":
    main(
        sys.argv[1],
        sys.argv[2],
        Path(sys.argv[3]),
        sys.argv[4],
        float(sys.argv[5]),
        sys.argv[6],
        float(sys.argv[7]) if len(sys.argv) > 7 else float("inf"),
    )
