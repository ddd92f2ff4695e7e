"""Everything live that one process needs for a haul: built once, owned here, never pickled."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.allocator import use_one_heap
from skyhaul.hauling.config import HaulConfig
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.links.accounting import LinkKeeper
from skyhaul.hauling.links.opening import ledger_path, metered_links, open_links
from skyhaul.hauling.lots import linked_sources
from skyhaul.hauling.receipts import Tally
from skyhaul.planning.fingerprint import check_fingerprint
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.routes import planning_route, route_over
from skyhaul.planning.store.plan import Plan
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
"""Worker processes of one haul that may share a machine's spool folder."""


class Site:
    """A process's part in a haul. `engine` is None where every source is read in place."""

    def __init__(self, config: HaulConfig, control: HaulControl | None = None, *, share: int = 1) -> None:
        use_one_heap()
        self.config = config
        self.control = control or HaulControl()
        self.job: Job = parse_job(config.job_text, config.job_origin, os.environ).job
        self.store = DatasetStore.open(config.dataset, writable=True)
        self.plan = Plan.open(self.store)
        self.recipe = Recipe.of(self.job, self.plan.header)
        check_fingerprint(self.plan.header, self.recipe)
        self.sources: dict[str, Source] = {
            name: open_source(name, spec, route=planning_route(self.job, name))
            for name, spec in self.job.sources.items()
        }
        self.links = open_links(self.job, config.epoch, self.store)
        self._spool_folder = Path(self.job.spool)
        self.files: FileBudget | None = None
        self.engine = self._engine(share)
        self._keeper = self._keep_links()
        self.tally = Tally()
        self._budget: threading.Timer | None = None
        if config.deadline is not None:
            self._budget = threading.Timer(max(0.0, config.deadline - time.time()), self._spend)
            self._budget.daemon = True
            self._budget.start()
        if self.engine is not None:
            self.control.on_stop(self.engine.stop)

    def in_place(self, source: str) -> LocalSource | None:
        """The source, if its objects are files here with no link between; else None."""
        opened = self.sources[source]
        return opened if isinstance(opened, LocalSource) and not self.job.sources[source].via else None

    def close(self) -> None:
        if self._budget is not None:
            self._budget.cancel()
        if self.engine is not None:
            self.engine.close()
        if self._keeper is not None:
            self._keeper.close()
        for link in self.links.values():
            link.close()
        for source in self.sources.values():
            source.close()
        self.plan.close()
        self.store.close()

    def _spend(self) -> None:
        self.control.stop(BudgetSpent("the time budget (--max-duration) is over; run the same command again"))

    def _engine(self, share: int) -> EngineThread | None:
        lanes = {name: self._lanes(name, share) for name in self.sources if self.in_place(name) is None}
        if not lanes:
            return None
        self.files = file_budget(self.config.workers)
        most = max(1, self.files.connections // len(lanes))
        lanes = {
            name: replace(lane, max_connections=min(lane.max_connections, most))
            for name, lane in lanes.items()
        }
        # Workers of one machine that haul side by side (or one that a runner has given up, but that still
        # goes) need a spool each. The lowest that is free: so what a lost worker left is taken up again.
        places = WORKERS_A_MACHINE if self.config.remote else 1
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
                raise from_the_start(error) if self.config.remote else error from None
        raise AssertionError("every place was tried")

    def _keep_links(self) -> LinkKeeper | None:
        if self.engine is None or not self.links:
            return None
        left = dict(self.config.left)
        groups = []
        for names in linked_sources(self.job):
            links = frozenset(via for name in names for via in self.job.sources[name].via)
            groups.append((links, sum(left.get(name, 0) for name in names)))
        try:
            return LinkKeeper(
                self.links,
                self.engine,
                ledger=ledger_path(self.job, os.environ) if metered_links(self.job) else None,
                folder=self._spool_folder,
                run=self.config.run,
                groups=groups,
                due=self.config.due,
                stop=self.control.stop,
            )
        except BaseException:
            self.engine.close()
            raise

    def _lanes(self, name: str, share: int) -> SourceLanes:
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
        # What the source has to bring is brought by all workers together.
        return SourceLanes(tuple(lanes), max(1, spec.max_connections // share), spec.min_rate / 8 / share)


def _by_tls(spec: SourceSpec) -> bool:
    """Whether connections cost a TLS handshake's round trip, too."""
    urls = [spec.url.root or spec.url.list] if isinstance(spec.url, ListedUrls) else spec.url
    return any(url.startswith("https:") for url in urls)


class _Sites:
    """The live sites of this process by haul, so that a local driver can watch and stop its workers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._controls: dict[str, HaulControl] = {}
        self._sites: dict[str, Site] = {}

    def announce(self, run: str, control: HaulControl) -> None:
        """The driver's control of haul `run`: a site opened here later obeys it."""
        with self._lock:
            self._controls[run] = control

    def open(self, config: HaulConfig, share: int = 1) -> Site:
        """The one site of this process for the haul, built at the first call."""
        with self._lock:
            site = self._sites.get(config.run)
            if site is None:
                site = self._sites[config.run] = Site(config, self._controls.get(config.run), share=share)
            return site

    def find(self, run: str) -> Site | None:
        return self._sites.get(run)

    def close(self, run: str) -> None:
        with self._lock:
            self._controls.pop(run, None)
            site = self._sites.pop(run, None)
        if site is not None:
            site.close()


SITES = _Sites()
