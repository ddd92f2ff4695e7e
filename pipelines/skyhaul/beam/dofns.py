"""The DoFns: configuration in, everything live rebuilt in the worker. Thin adapters of the conductor.

Annotations are evaluated here (no `from __future__ import annotations`): Beam reads them as type hints.
"""

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.metrics import Metrics

from skyhaul.hauling.conductor import Claim, Conductor, claims_of
from skyhaul.hauling.config import HaulConfig, Lot
from skyhaul.hauling.lots import deal_lots
from skyhaul.hauling.pending import Pending
from skyhaul.hauling.receipts import COUNTED, Receipt
from skyhaul.hauling.sealer import Sealer
from skyhaul.hauling.worker_context import CONTEXTS, WorkerContext
from skyhaul_schemas.plan import Shard
from skyhaul_schemas.units import format_size

_LOG = logging.getLogger("skyhaul.haul")


class DealLotsFn(beam.DoFn):
    # Dealt in the pipeline: in a `Create` the lots would be part of the job's graph, which runners limit.
    def __init__(self, parallelism: int) -> None:
        self._parallelism = parallelism

    def process(self, config: HaulConfig) -> Iterator[Lot]:
        yield from deal_lots(config, self._parallelism)


class _Hauling(beam.DoFn):
    """What both adapters share: one worker context a process, and how receipts are counted.

    Metrics are counted on the bundle's own thread: Beam loses counters that are incremented elsewhere
    (docs/adr/0008)."""

    def __init__(self, config: HaulConfig) -> None:
        self._config = config

    def _context(self, share: int = 1) -> WorkerContext:
        # Opened by the first bundle and kept for the others: a harness runs many, side by side, and the links
        # of a process have one conductor.
        return CONTEXTS.open(self._config, share)

    def _conduct(self, context: WorkerContext, *claims: Claim) -> Iterator[Receipt]:
        # A generator up to Beam: what follows in the pipeline runs between two receipts, on this thread.
        conductor = Conductor(context, self._config.workers, on_event=_LOG.warning)
        with Sealer(context.plan, context.store) as sealer:
            for receipt in conductor.haul(*claims):
                context.tally.add(receipt)
                _count(receipt)
                if self._config.remote:
                    _log(receipt)
                if receipt.outcome == "committed":
                    sealer.committed(receipt.shard)
                yield receipt


class HaulLotFn(_Hauling):
    """One lot in one process."""

    def process(self, lot: Lot) -> Iterator[Receipt]:
        context = self._context(lot.share)
        claims = []
        for first, stop in lot.stretches:
            pending = Pending(context.store, first, stop, context.config.only, mend=context.config.mend)
            claims.append(claims_of(pending.shards(context.plan)))
        yield from self._conduct(context, *claims)


class _StretchRestriction(beam.transforms.core.RestrictionProvider):
    """A stretch of shard numbers as an offset range; one shard is the unit of a split."""

    def initial_restriction(self, stretch: tuple[int, int]) -> OffsetRange:
        return OffsetRange(*stretch)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, stretch: tuple[int, int], restriction: OffsetRange) -> int:
        return int(restriction.size())


class HaulStretchFn(_Hauling):
    """A bounded splittable DoFn: shards are claimed one at a time, and never handed back by defer."""

    def process(
        self,
        stretch: tuple[int, int],
        tracker: Any = beam.DoFn.RestrictionParam(_StretchRestriction()),  # noqa: B008  # Beam's protocol
    ) -> Iterator[Receipt]:
        context = self._context()
        restriction = tracker.current_restriction()
        pending = Pending(
            context.store, restriction.start, restriction.stop, context.config.only, mend=context.config.mend
        )
        shards = pending.shards(context.plan)

        # Asked by the conductor as the link needs work, so that claims run ahead of what is hauled.
        def claim() -> Shard | None:
            shard = next(shards, None)
            # Claiming the end says that what lies between is settled.
            number = restriction.stop if shard is None else shard.number
            return shard if tracker.try_claim(number) else None

        yield from self._conduct(context, claim)


def _log(receipt: Receipt) -> None:
    """A line a shard in the worker's log, where no driver shows what its process does.

    Failures have theirs already."""
    what = f"shard {receipt.shard} of {receipt.source} {receipt.outcome} over {', '.join(receipt.links)}"
    if receipt.outcome == "deferred":
        _LOG.info("%s: %s: %s", what, receipt.kind, receipt.reason)
    elif receipt.outcome == "committed" and receipt.fresh:
        carried = f"{format_size(receipt.wire)} on the wire, {format_size(receipt.resent)} re-sent"
        _LOG.info("%s: %d records, %s", what, receipt.written, carried)


def _count(receipt: Receipt) -> None:
    Metrics.counter("skyhaul", f"shards_{receipt.outcome}").inc()
    if receipt.kind:
        Metrics.counter("skyhaul", f"{receipt.outcome}_{receipt.kind}").inc()
    for name in COUNTED:
        value = getattr(receipt, name)
        if value:
            Metrics.counter("skyhaul", name).inc(value)
