"""The DoFns: lots in, everything live rebuilt in the worker. Thin adapters of the conductor.

Annotations are evaluated here (no `from __future__ import annotations`): Beam reads them as type hints.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.utils.windowed_value import WindowedValue

from skyhaul.beam.piece import Heard, Piece, Pieces, Settled
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.hauling.conductor import Claim, Conductor, claims_of
from skyhaul.hauling.config import HaulConfig, Lot, restored
from skyhaul.hauling.contexts import CONTEXTS
from skyhaul.hauling.lots.dealing import deal_lots
from skyhaul.hauling.lots.pending import Pending
from skyhaul.hauling.lots.standing import number_of, shards_and_receipts
from skyhaul.hauling.lots.stretches import Stretches
from skyhaul.hauling.receipts import COMMITTED, COUNTED, DEFERRED, Receipt
from skyhaul.hauling.sealer import Sealer
from skyhaul.hauling.worker_context import WorkerContext
from skyhaul_schemas.plan import Shard
from skyhaul_schemas.units import format_size

_LOG = logging.getLogger("skyhaul.haul")


class DealLotsFn(beam.DoFn):
    # Dealt in the pipeline: in a `Create` the lots would be part of the job's graph, which runners limit.
    def __init__(self, parallelism: int) -> None:
        self._parallelism = parallelism

    def process(self, config: HaulConfig) -> Iterator[Lot]:
        yield from deal_lots(restored(HaulConfig, config), self._parallelism)


class _Hauling(beam.DoFn):
    """What both adapters share: one worker context a process and haul, and how receipts are counted.

    Metrics are counted on the bundle's own thread: Beam loses counters that are incremented elsewhere
    (docs/adr/0008).

    Args:
        only_fresh: Receipts of what this attempt hauls are enough: others are not looked up.
    """

    def __init__(self, only_fresh: bool = False) -> None:
        self._only_fresh = only_fresh

    def setup(self) -> None:
        # Contexts are opened by the first bundle and kept for the others: a harness runs many, side by side,
        # and the links of a process have one conductor.
        self._lease = CONTEXTS.lease()

    def teardown(self) -> None:
        self._lease.close()

    def _context(self, lot: Lot) -> WorkerContext:
        return self._lease.context(lot.haul, lot.plan)

    def _items(self, context: WorkerContext, lot: Lot, stretches: Stretches) -> Iterator[Shard | Receipt]:
        """For shards of the lot, rising: what is to be hauled, and receipts of the rest."""
        pending = Pending(context.store, stretches, again=lot.again, mend=lot.haul.mend)
        if self._only_fresh:
            return pending.shards(context.plan)
        return shards_and_receipts(context, lot.haul, pending)

    def _conduct(self, context: WorkerContext, claims: Iterable[Claim]) -> Iterator[Receipt]:
        # A generator up to Beam: what follows in the pipeline runs between two receipts, on this thread.
        config = context.config
        conductor = Conductor(context, config.workers, on_event=_LOG.warning, every=not self._only_fresh)
        with Sealer(context.plan, context.store) as sealer:
            for receipt in conductor.haul(*claims):
                context.tally.add(receipt)
                _count(receipt)
                if context.remote:
                    _log(receipt)
                if receipt.outcome == COMMITTED and receipt.fresh:
                    sealer.committed(receipt.shard)
                yield receipt


@dataclass(frozen=True, slots=True)
class _Given:
    """A lot, and where in event time what comes of it belongs."""

    lot: Lot
    timestamp: Any
    window: Any


class HaulLotFn(_Hauling):
    """All lots of a bundle, side by side in one process.

    So it has the connections of all of them, and keeps all their links busy. Which process gets a lot is
    settled with the bundle: no runner with this adapter moves one later."""

    def start_bundle(self) -> None:
        self._given: list[_Given] = []

    def process(
        self,
        lot: Lot,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> None:
        self._given.append(_Given(restored(Lot, lot), timestamp, window))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        left, self._given = self._given, []
        while left:
            now, left = _side_by_side(left)
            yield from self._haul(now)

    def _haul(self, given: list[_Given]) -> Iterator[WindowedValue]:
        context = self._context(given[0].lot)
        source_of = CommitValidator(context.plan).source_of
        claims: list[Claim] = []
        places: dict[int, _Given] = {}
        with ExitStack() as held:
            for one in given:
                spans: dict[str, list[Sequence[int]]] = {}
                for span in one.lot.stretches:
                    spans.setdefault(source_of(span[0]), []).append(span)
                held.enter_context(context.connections.held(spans, one.lot.connections))
                for own in spans.values():
                    items = self._items(context, one.lot, Stretches(own))
                    claims.append(claims_of(_noted(items, one, places)))
            for receipt in self._conduct(context, claims):
                one = places.pop(receipt.shard)
                yield WindowedValue(receipt, one.timestamp, (one.window,))


def _side_by_side(given: list[_Given]) -> tuple[list[_Given], list[_Given]]:
    """Those that are hauled with the first (of its haul, and no two with a shard in common), and the rest."""
    haul = given[0].lot
    now: list[_Given] = []
    rest: list[_Given] = []
    covered = Stretches()
    for one in given:
        same = (one.lot.haul.run, one.lot.plan) == (haul.haul.run, haul.plan)
        if same and not len(covered.common(Stretches(one.lot.stretches))):
            now.append(one)
            covered = Stretches(sorted((*covered.spans, *one.lot.stretches)))
        else:
            rest.append(one)
    return now, rest


def _noted(
    items: Iterator[Shard | Receipt], given: _Given, places: dict[int, _Given]
) -> Iterator[Shard | Receipt]:
    for item in items:
        places[number_of(item)] = given
        yield item


class HaulStretchFn(_Hauling):
    """A bounded splittable DoFn: shards are claimed one at a time, and never handed back by defer."""

    def process(
        self,
        lot: Lot,
        tracker: Any = beam.DoFn.RestrictionParam(Pieces()),  # noqa: B008  # Beam's protocol
    ) -> Iterator[Receipt]:
        lot = restored(Lot, lot)
        context = self._context(lot)
        piece: Piece = tracker.current_restriction()
        stretches = Stretches(lot.stretches)
        items = self._items(context, lot, stretches.part(piece.start, piece.stop))

        # Asked by the conductor as the link needs work, so that claims run ahead of what is hauled.
        def claim() -> Shard | Receipt | None:
            item = next(items, None)
            # Claiming the end says that what lies between is settled.
            place = piece.stop if item is None else stretches.index(number_of(item))
            return item if tracker.try_claim(place) else None

        source = CommitValidator(context.plan).source_of(lot.stretches[0][0])
        with context.connections.held([source], piece.connections) as grant:
            tracker.try_claim(Heard(grant.change))
            # It may have been split before anybody heard of that.
            grant.change(tracker.current_restriction().connections)
            for settled, receipt in enumerate(self._conduct(context, [claim]), 1):
                yield receipt
                tracker.try_claim(Settled(settled))
        # A haul that is stopped may claim no more: all of the piece is done with, now.
        tracker.try_claim(piece.stop)


def _log(receipt: Receipt) -> None:
    """A line a shard in the worker's log, where no driver shows what its process does.

    Failures have theirs already."""
    what = f"shard {receipt.shard} of {receipt.source} {receipt.outcome} over {', '.join(receipt.links)}"
    if receipt.outcome == DEFERRED:
        _LOG.info("%s: %s: %s", what, receipt.kind, receipt.reason)
    elif receipt.outcome == COMMITTED and receipt.fresh:
        carried = f"{format_size(receipt.wire)} on the wire, {format_size(receipt.resent)} re-sent"
        _LOG.info("%s: %d records, %s", what, receipt.written, carried)


def _count(receipt: Receipt) -> None:
    if not receipt.fresh:
        return
    Metrics.counter("skyhaul", f"shards_{receipt.outcome}").inc()
    if receipt.kind:
        Metrics.counter("skyhaul", f"{receipt.outcome}_{receipt.kind}").inc()
    for name in COUNTED:
        value = getattr(receipt, name)
        if value:
            Metrics.counter("skyhaul", name).inc(value)
