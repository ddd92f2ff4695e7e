"""Everything live that one process needs for a haul: built once, owned here, never pickled."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulConfig
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.links.accounting import LinkAccounting
from skyhaul.hauling.links.connections import Connections
from skyhaul.hauling.links.linked import linked
from skyhaul.hauling.links.opening import ledger_path, metered_links, open_links
from skyhaul.hauling.receipts import Tally
from skyhaul.planning.fingerprint import check_fingerprint
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.routes import planning_route, route_over
from skyhaul.planning.store.plan import Plan
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul_connectors.sources.local.open_files import FileBudget, file_budget
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.over_link.emulated import EmulatedSource
from skyhaul_connectors.sources.over_link.metered import MeteredSource
from skyhaul_connectors.sources.over_link.paced import PacedSource
from skyhaul_connectors.sources.protocol import LocalSource, Source
from skyhaul_connectors.transfer.engine_thread import EngineThread
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_connectors.transfer.spool.spool import folder_name
from skyhaul_schemas.errors import BudgetSpent, SpoolInUse, StorageReadOnly
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.job.model import Job, ListedUrls, SourceSpec
from skyhaul_schemas.storage_errors import from_the_start

PLAIN = "net"
"""The link name of a source that names no `via`."""

WORKERS_A_MACHINE = 64
"""Worker processes of one haul that may share a machine's spool folder. Chosen, not
measured."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's `mallopt(3)`."""

_KEPT = 128 * 1024 * 1024
"""Bytes that the heap may keep at its top. Chosen, not measured on its own."""
_MAPPED = 32 * 1024 * 1024
"""Bytes from which on a buffer gets pages of its own: the most that glibc takes on 64 bits (mallopt(3))."""
_PADDED = 16 * 1024 * 1024
"""Bytes that the heap grows by at the least. Chosen, not measured on its own."""


def use_one_heap() -> None:
    """Let Arrow allocate from the system's heap, and let glibc keep what is freed for the next row group.

    Buffers of megabytes come and go all the time, and to give their pages back to the kernel and fault them
    in anew costs CPU. Elsewhere than on Linux only the first."""
    pa.set_memory_pool(pa.system_memory_pool())
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _MAPPED)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
    mallopt(_M_TOP_PAD, _PADDED)


class WorkerContext:
    """A process's part in a haul.

    Args:
        config: The haul.
        control: Stops it; None where no driver runs in this process: then others may haul on this machine,
            and it takes a spool folder that is free.

    Attributes:
        engine: None where every source is read directly.
        files: How many files and connections may be open; None without an engine.
        connections: Which of them the work in this process may use.
        remote: No driver runs in this process.
        tally: The receipts of this process.
    """

    def __init__(self, config: HaulConfig, control: HaulControl | None = None) -> None:
        use_one_heap()
        self.config = config
        self.remote = control is None
        self.control = control or HaulControl()
        self.job: Job = parse_job(config.job_text, config.job_origin, os.environ).job
        if config.spool is not None:
            self.job = self.job.model_copy(update={"spool": config.spool})
        self.tally = Tally()
        with ExitStack() as opened:
            self._open(opened)
            self._opened = opened.pop_all()

    def _open(self, opened: ExitStack) -> None:
        config = self.config
        self.store = open_store(config.dataset, writable=True)
        opened.callback(self.store.close)
        self.plan = Plan.open(self.store)
        opened.callback(self.plan.close)
        self.recipe = Recipe.of(self.job, self.plan.header, _own_code(config))
        check_fingerprint(self.plan.header, self.recipe)
        self.sources: dict[str, Source] = {}
        for name, spec in self.job.sources.items():
            self.sources[name] = open_source(name, spec, route=planning_route(self.job, name))
            opened.callback(self.sources[name].close)
        self.links = open_links(self.job, config.epoch, self.store)
        for link in self.links.values():
            opened.callback(link.close)
        self._spool_folder = Path(self.job.spool)
        self.files: FileBudget | None = None
        self._lanes_of: dict[str, SourceLanes] = {}
        self.engine = self._engine()
        self._accounting: LinkAccounting | None = None
        opened.callback(self._end_transfer)
        self.connections = Connections(
            {name: self.job.sources[name].max_connections for name in self._lanes_of}, self._allow
        )
        self._accounting = self._account_for_links()
        if config.deadline is not None:
            self._stop_at(config.deadline, opened)
        if self.engine is not None:
            self.control.on_stop(self.engine.stop)

    def direct_local_read(self, source: str) -> LocalSource | None:
        """The source, if its objects are files of this machine with no link between; else None."""
        opened = self.sources[source]
        return opened if isinstance(opened, LocalSource) and not self.job.sources[source].via else None

    def close(self) -> None:
        self._opened.close()

    def _end_transfer(self) -> None:
        if self.engine is not None:
            self.engine.close()
        if self._accounting is not None:
            # It books what the engine counted last.
            self._accounting.close()

    def _stop_at(self, deadline: float, opened: ExitStack) -> None:
        spent = BudgetSpent("the time budget (--max-duration) is over; run the same command again")
        left = deadline - time.time()
        if left <= 0:
            self.control.stop(spent)
            return
        budget = threading.Timer(left, self.control.stop, (spent,))
        budget.daemon = True
        budget.start()
        opened.callback(budget.cancel)

    def _allow(self, source: str, connections: int) -> None:
        """Of what the source allows to all processes, so many connections are for this one.

        What it has to bring is brought by all of them together."""
        if self.engine is not None:
            lanes = self._lanes_of[source]
            part = connections / self.job.sources[source].max_connections
            self.engine.allow(source, min(lanes.max_connections, connections), lanes.min_rate * part)

    def _engine(self) -> EngineThread | None:
        lanes = {name: self._lanes(name) for name in self.sources if self.direct_local_read(name) is None}
        if not lanes:
            return None
        self.files = file_budget(self.config.workers)
        most = max(1, self.files.connections // len(lanes))
        lanes = {
            name: replace(lane, max_connections=min(lane.max_connections, most))
            for name, lane in lanes.items()
        }
        self._lanes_of = lanes
        # Workers of one machine that haul side by side (or one that a runner has given up, but that still
        # goes) need a spool each. The lowest that is free: so what a lost worker left is taken up again.
        places = WORKERS_A_MACHINE if self.remote else 1
        for place in range(places):
            settings = EngineSettings(
                spool=Path(self.job.spool) / (f"worker-{place}" if place else ""),
                spool_limit=self.job.spool_limit,
                patience=self.job.patience,
                plan=self.plan.header.first_digest,
                wait_for_contact=self.config.wait,
                seed=self.job.seed,
            )
            self._spool_folder = settings.spool / folder_name(settings.plan)
            try:
                return EngineThread(lanes, settings)
            except SpoolInUse:
                if place == places - 1:
                    raise
            except StorageReadOnly as error:
                # The driver has looked at its own machine's spool before; a worker's is looked at here.
                raise from_the_start(error) if self.remote else error from None
        raise AssertionError("every place was tried")

    def _account_for_links(self) -> LinkAccounting | None:
        if self.engine is None or not self.links:
            return None
        left = {part.source: part.bytes for part in self.config.left}
        groups = []
        for names in linked(self.job, list(self.job.sources)):
            links = frozenset(via for name in names for via in self.job.sources[name].via)
            groups.append((links, sum(left.get(name, 0) for name in names)))
        return LinkAccounting(
            self.links,
            self.engine,
            ledger=ledger_path(self.job, os.environ) if metered_links(self.job) else None,
            folder=self._spool_folder,
            run=self.config.run,
            groups=groups,
            due=self.config.due,
            stop=self.control.stop,
        )

    def _lanes(self, name: str) -> SourceLanes:
        spec = self.job.sources[name]
        source = self.sources[name]
        lanes: list[Lane] = []
        for via in spec.via:
            shared = self.links[via]
            wrapped: Source = source
            if shared.emulate:
                wrapped = EmulatedSource(source, shared, secure=_by_tls(spec))
            wrapped = PacedSource(wrapped, shared)
            if shared.rules is not None and shared.rules.allowance is not None:
                wrapped = MeteredSource(wrapped, shared, shared.rules)
            route = route_over(self.job, via, name, source)
            lanes.append(Lane(link=via, source=wrapped, route=route, shared=shared))
        if not lanes:
            lanes.append(Lane(link=PLAIN, source=source))
        return SourceLanes(tuple(lanes), spec.max_connections, spec.min_rate / 8)


def _own_code(config: HaulConfig) -> MapRecords | None:
    return None if config.map_records is None else MapRecords.of_reference(config.map_records)


def _by_tls(spec: SourceSpec) -> bool:
    """Whether connections cost a TLS handshake's round trip, too."""
    urls = [spec.url.root or spec.url.list] if isinstance(spec.url, ListedUrls) else spec.url
    return any(url.startswith("https:") for url in urls)
