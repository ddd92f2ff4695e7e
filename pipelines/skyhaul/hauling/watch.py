"""Watches a haul and tells the observer, a few times a second.

Beam's counters cannot be read while a local pipeline runs, so this looks at the live engine instead.
Where the workers are other processes, it counts the commits in the dataset.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from types import TracebackType

from skyhaul.dataset.commits.record_files import count_records
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import Survey
from skyhaul.hauling.config import HaulConfig
from skyhaul.hauling.contexts import CONTEXTS
from skyhaul.hauling.eta import SourcePace, seconds_left
from skyhaul.hauling.progress import Hauling, HaulObserver, LinkProgress
from skyhaul.hauling.receipts import Tally
from skyhaul.hauling.worker_context import WorkerContext
from skyhaul_connectors.transfer.stats import EngineStats
from skyhaul_schemas.errors import SkyhaulError
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.units import format_duration

PERIOD = 0.25
"""Seconds between two looks. Chosen, not measured: what a person takes for live."""

LISTING_PERIOD = 3.0
"""Seconds between two listings of the commits; longer where one takes long, so that they cost
little: a twentieth of the time at the most."""


QUIET = 300.0
"""Seconds without a commit after which somebody should look at the workers; told again when they double.
Some runners wait for ever for a worker that was lost: Prism did (tests/flink). Chosen, not measured."""


class Watch:
    """While it is entered, the observer gets snapshots; a last one when it is left.

    Args:
        config: The haul.
        header: Its plan.
        before: The dataset as the haul found it.
        observer: Gets the snapshots.
        begun: When the command began, by the monotonic clock.
        remote: The workers are other processes, so that what they did is looked up in the dataset.

    Attributes:
        tally: The receipts of this process.
    """

    def __init__(
        self,
        config: HaulConfig,
        header: PlanHeader,
        before: Survey,
        observer: HaulObserver,
        begun: float,
        *,
        remote: bool = False,
    ) -> None:
        self._config = config
        self._header = header
        self._before = before
        self._observer = observer
        self._begun = begun
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="skyhaul-watch", daemon=True)
        self._context: WorkerContext | None = None
        self._remote = remote
        self._listed = 0
        self._since = self._last_commit = self._next_listing = 0.0
        self._next_warning = QUIET
        self.tally = Tally()

    def __enter__(self) -> Watch:
        self._since = self._last_commit = time.monotonic()
        self._next_listing = self._since + LISTING_PERIOD
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._look(finishing=True)

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            self._look()

    def _look(self, *, finishing: bool = False) -> None:
        # Kept once it is found: the haul's end takes it from the list, and the last look wants its counts.
        context = self._context = self._context or CONTEXTS.find(self._config.run)
        if context is not None:
            self.tally = context.tally
        tally = self.tally
        # What a repair hauls again is committed already.
        committed = 0 if self._config.mend else tally.committed
        arrived = tally.source_bytes
        links: tuple[LinkProgress, ...] = ()
        stats: EngineStats | None = None
        if context is not None and context.engine is not None:
            stats = context.engine.stats()
            arrived = max(arrived, sum(s.payload_bytes for s in stats.links.values()) + stats.resumed_bytes)
            links = tuple(
                LinkProgress(
                    name=name,
                    state=s.state,
                    rate=s.goodput,
                    capacity=s.capacity,
                    payload_bytes=s.payload_bytes,
                    wire_bytes=s.wire_bytes,
                    resent_bytes=s.resent_bytes,
                    outages=s.outages,
                )
                for name, s in sorted(stats.links.items())
            )
        total = self._header.source_bytes
        if self._remote and context is None:
            committed = self._committed_elsewhere()
            # Shards are of about equal size; reading every commit record for the exact sum would cost more.
            left = max(1, self._before.shards_left)
            arrived = (total - self._before.source_bytes_committed) * min(committed, left) // left
        done = min(total, self._before.source_bytes_committed + arrived)
        spent = time.monotonic() - self._since
        eta = seconds_left(arrived, spent, self._paces(stats)) if spent > 1 and not finishing else None
        self._observer.progress(
            Hauling(
                elapsed=time.monotonic() - self._begun,
                source_bytes=total,
                source_bytes_done=done,
                shards=self._header.shards,
                shards_committed=self._before.shards_committed + committed,
                shards_failed=tally.failed,
                shards_deferred=tally.deferred,
                records_read=tally.read,
                records_written=tally.written,
                records_rejected=tally.rejected,
                links=links,
                eta=eta,
                finishing=finishing,
            )
        )

    def _paces(self, stats: EngineStats | None) -> list[SourcePace]:
        """What each source has left for this haul, and how it does."""
        paces = []
        for name, before in self._before.by_source.items():
            left = before.source_bytes - before.source_bytes_committed - before.source_bytes_failed
            seen = stats.sources.get(name) if stats is not None else None
            if self._remote and self._context is None:
                shards = max(1, self._before.shards_left)
                paces.append(SourcePace(left - left * min(self._listed, shards) // shards, None, 0.0))
                continue
            had = self.tally.settled.get(name, 0)
            if seen is None:
                paces.append(SourcePace(left - had, None, 0.0))
            else:
                left -= max(had, seen.arrived_bytes)
                paces.append(SourcePace(left, seen.rate if seen.waits else None, seen.min_rate))
        return paces

    def _committed_elsewhere(self) -> int:
        """Shards that other processes committed since the haul began, as of the last listing."""
        now = time.monotonic()
        if now >= self._next_listing:
            # A dataset that does not answer is for those to tell who write to it.
            with suppress(SkyhaulError, OSError):
                store = open_store(self._config.dataset, writable=False)
                try:
                    present = count_records(store)
                finally:
                    store.close()
                fresh = present - self._before.records_present
                if fresh > self._listed:
                    self._listed = fresh
                    self._last_commit = now
                    self._next_warning = QUIET
            spent = time.monotonic() - now
            self._next_listing = now + spent + max(LISTING_PERIOD, 20 * spent)
            self._warn_of_silence(now - self._last_commit)
        return self._listed

    def _warn_of_silence(self, silent: float) -> None:
        if silent >= self._next_warning:
            self._next_warning = 2 * silent
            self._observer.event(
                f"no shard was committed for {format_duration(silent)}: if the runner's workers are gone or"
                " idle, end this with Ctrl-C and run the same command again; what arrived is kept"
            )
