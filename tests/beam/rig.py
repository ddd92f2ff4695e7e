"""Small hauls inside pipelines of a test's own, over HTTP or from files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tests.hauling.rig import write_job

from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.preparation import prepare_haul
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.commit import CommitRecord

ADAPTERS = ["lots", "splittable"]

KEPT: dict[str, list[Any]] = {}
"""What steps of pipelines have kept, by the box that they were told of."""


def write_texts(folder: Path, count: int, size: int = 4_000) -> Path:
    """Files of words, each a shard of `job_of` by itself."""
    folder.mkdir(parents=True)
    for number in range(count):
        line = f"{number} the quick brown fox jumps over the lazy dog\n"
        (folder / f"{number:03d}.txt").write_bytes((line * (size // len(line) + 1)).encode()[:size])
    return folder


def job_of(
    folder: Path, sources: dict[str, dict[str, Any]], links: dict[str, Any] | None = None, **more: Any
) -> Path:
    """A job file in a folder of its own; a shard is about one object."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "version": 1,
        "name": folder.name,
        "dataset": str(folder / "out"),
        "spool": str(folder / "spool"),
        "sources": {name: {"format": "text", **source} for name, source in sources.items()},
        "links": links or {},
        "shards": {"target_size": "1kB"},
        **more,
    }
    return write_job(folder / "job.yaml", content)


def planned(job: Path) -> int:
    """Plan the job; how many shards it has."""
    store = open_store(prepare_haul(job, HaulOptions()).dataset, writable=False)
    with closing(store), closing(Plan.open(store)) as plan:
        return plan.header.shards


def committed(job: Path) -> dict[int, CommitRecord]:
    """The commit records by shard."""
    with closing(open_store(str(job.parent / "out"), writable=False)) as store:
        return {record.shard: record for record in commits(store)}


@contextmanager
def pipeline(*options: str, repeat: int = 0) -> Iterator[beam.Pipeline]:
    """A pipeline on the local runner; repeat: how often a bundle is done before its output counts."""
    runner = FnApiRunner(bundle_repeat=repeat)
    with beam.Pipeline(runner=runner, options=PipelineOptions(list(options))) as made:
        yield made


def counters(result: Any) -> dict[str, int]:
    """skyhaul's counters of a pipeline that is over."""
    found = result.metrics().query()["counters"]
    return {m.key.metric.name: m.committed for m in found if m.key.metric.namespace == "skyhaul"}


def keep(element: Any, box: str) -> Any:
    """A step that keeps what it sees, where the runner's workers are threads."""
    KEPT.setdefault(box, []).append(element)
    return element


class AtServer:
    """Counts connections to a port of this machine while it is entered, as the kernel has them at the
    server's side: what a client has closed is none, whenever the server notices."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.most = 0
        self.seen: list[int] = []

    def __enter__(self) -> AtServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def now(self) -> int:
        port = f":{self._port:04X}"
        entries = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return len({entry[2] for entry in entries if entry[1].endswith(port) and entry[3] == "01"})

    def _look(self) -> None:
        while not self._over.is_set():
            self.seen.append(self.now())
            # The kernel's table is not read at one moment: one that closed and one that opened are both seen.
            self.most = max(self.most, min(self.seen[-2:]))
            time.sleep(0.002)


def threads() -> list[str]:
    """Names of our threads in this process."""
    return sorted(t.name for t in threading.enumerate() if t.name.startswith("skyhaul"))


def open_files(below: Path) -> list[str]:
    """Files below a folder that this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith(str(below)):
            found.append(target)
    return sorted(found)
