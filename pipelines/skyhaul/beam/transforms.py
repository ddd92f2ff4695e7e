"""Hauls as steps of a pipeline: `Haul` a job, or the parts that it is made of.

    with beam.Pipeline(options=options) as pipeline:
        haul = pipeline | Haul("job.yaml")
        haul.summary | RequireComplete()

Elements are references (a dataset and stretches of shard numbers), never bytes. What comes of a haul is a
function of its plan: a receipt a shard, whether this attempt has hauled it or an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.typehints import with_input_types, with_output_types

from skyhaul.beam.dofns import DealLotsFn, HaulLotFn, HaulStretchFn
from skyhaul.beam.rows import have_workers_know
from skyhaul.beam.runners import adapter_for, parallelism_of
from skyhaul.beam.summary import SummarizeHauls
from skyhaul.hauling.config import HaulConfig, HaulOptions, Lot
from skyhaul.hauling.preparation import prepare_haul
from skyhaul.hauling.receipts import COMMITTED, DEFERRED, FAILED, Receipt, Tally
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul_schemas.job.file import LoadedJob

Adapter = Literal["lots", "splittable"]


@with_input_types(HaulConfig)
@with_output_types(Lot)
class DealLots(beam.PTransform):
    """Turn hauls into lots.

    Sources that share a link stay in one lot, so that one process conducts each link; any other source is
    dealt into `parallelism` lots (by default what the pipeline's options ask for). A reshuffle follows, so
    that a runner can hand lots to workers."""

    def __init__(self, parallelism: int | None = None) -> None:
        super().__init__()
        self._parallelism = parallelism

    def expand(self, hauls: Any) -> Any:
        have_workers_know(hauls.pipeline)
        parallelism = self._parallelism or parallelism_of(hauls.pipeline)
        # Without the reshuffle a runner fuses dealing and hauling, and one worker takes all lots.
        return hauls | "Deal" >> beam.ParDo(DealLotsFn(parallelism)) | "Lots" >> beam.Reshuffle()


def _is_whole(lot: Lot) -> bool:
    """A named function is pickled by reference, so that the worker's own code runs."""
    return not lot.divisible


def _is_divisible(lot: Lot) -> bool:
    return lot.divisible


@with_input_types(Lot)
@with_output_types(Receipt)
class ConductLots(beam.PTransform):
    """`HaulLots` without the reshuffle: what follows runs in the hauling process, which waits for it.

    Args:
        adapter: As for `HaulLots`.
        only_fresh: Receipts of what is hauled now are enough, and a bundle that is repeated may lack some:
            for a driver that asks the dataset.
    """

    def __init__(self, adapter: Adapter | None = None, *, only_fresh: bool = False) -> None:
        super().__init__()
        self._adapter = adapter
        self._only_fresh = only_fresh

    def expand(self, lots: Any) -> Any:
        adapter = self._adapter or adapter_for(type(lots.pipeline.runner).__name__)
        haul_lot = beam.ParDo(HaulLotFn(self._only_fresh)).with_output_types(Receipt)
        if adapter == "lots":
            return lots | "HaulLot" >> haul_lot
        # Lots of links stay whole: a split would put a second process on a link that one has to itself.
        whole = lots | "Whole" >> beam.Filter(_is_whole)
        divisible = lots | "Divisible" >> beam.Filter(_is_divisible)
        return (
            whole | "HaulLot" >> haul_lot,
            divisible
            | "HaulStretch" >> beam.ParDo(HaulStretchFn(self._only_fresh)).with_output_types(Receipt),
        ) | "Both" >> beam.Flatten()


@with_input_types(Lot)
@with_output_types(Receipt)
class HaulLots(beam.PTransform):
    """Haul each lot in the process that gets it: one receipt a shard of the lot.

    A reshuffle follows, so that what comes next costs the links nothing, and runs on other workers too.

    Args:
        adapter: `splittable` takes lots that are divisible over shard by shard, for runners that split an
            element in progress (Dataflow, Prism); by default where the pipeline's runner is one of them.
    """

    def __init__(self, adapter: Adapter | None = None) -> None:
        super().__init__()
        self._adapter = adapter

    def expand(self, lots: Any) -> Any:
        return lots | "Conduct" >> ConductLots(self._adapter) | "Receipts" >> beam.Reshuffle()


@with_output_types(Receipt)
class HaulShards(beam.PTransform):
    """A haul of a plan that is there: lots, reshuffle, haul. Applied to a pipeline; one receipt a shard."""

    def __init__(
        self, config: HaulConfig, *, parallelism: int | None = None, adapter: Adapter | None = None
    ) -> None:
        super().__init__()
        self._config = config
        self._parallelism = parallelism
        self._adapter: Adapter | None = adapter

    def expand(self, pipeline: Any) -> Any:
        return (
            pipeline
            | "Haul" >> beam.Create([self._config])
            | "Deal" >> DealLots(self._parallelism)
            | "Lots" >> HaulLots(self._adapter)
        )


class HaulResult(NamedTuple):
    """What `Haul` gives. The first three are `Receipt` rows; each shard is in one of them."""

    shards: Any
    """Those that are committed, by this haul (`fresh`) or before."""
    failed: Any
    """Those that failed for good."""
    deferred: Any
    """Those that were put off: run the same pipeline again."""
    summary: Any
    """One `HaulSummary` a haul, once it is over."""


def _has(receipt: Receipt, outcome: str) -> bool:
    return receipt.outcome == outcome


class Haul(beam.PTransform):
    """Haul a job; plan it first, where it has no plan. Gives a `HaulResult`.

    Args:
        job: A job file's path, a loaded job, or the configuration of a haul whose plan is there.
        workers: Shards that are encoded side by side in a process.
        max_duration: Seconds from now after which the rest is put off.
        wait: Sleep through closed contacts instead of putting shards off.
        map_records: Code of your own between decoding and writing, where the plan is made with it.
        parallelism: Lots for each source that has no link of its own; by default what the pipeline's options
            ask for (`--max_num_workers`, `--parallelism`).
        adapter: As for `HaulLots`.

    Raises:
        UsageError: A bad job, or a plan of another one.
        SkyhaulError: What planning raises.
    """

    def __init__(
        self,
        job: str | LoadedJob | HaulConfig,
        *,
        workers: int = 1,
        max_duration: float | None = None,
        wait: bool = False,
        map_records: MapRecords | None = None,
        parallelism: int | None = None,
        adapter: Adapter | None = None,
    ) -> None:
        super().__init__()
        options = HaulOptions(workers=workers, max_duration=max_duration, wait=wait, map_records=map_records)
        self._config = job if isinstance(job, HaulConfig) else prepare_haul(job, options)
        self._parallelism = parallelism
        self._adapter: Adapter | None = adapter

    def expand(self, pipeline: Any) -> HaulResult:
        hauls = pipeline | "Haul" >> beam.Create([self._config])
        return haul_all(hauls, self._parallelism, self._adapter)


def haul_all(hauls: Any, parallelism: int | None, adapter: Adapter | None) -> HaulResult:
    """Of a PCollection of hauls: what comes of all of them."""
    lots = hauls | "Deal" >> DealLots(parallelism)
    receipts = lots | "Lots" >> HaulLots(adapter)
    return HaulResult(
        shards=receipts | "Committed" >> beam.Filter(_has, COMMITTED).with_output_types(Receipt),
        failed=receipts | "Failed" >> beam.Filter(_has, FAILED).with_output_types(Receipt),
        deferred=receipts | "Deferred" >> beam.Filter(_has, DEFERRED).with_output_types(Receipt),
        summary=(lots, receipts) | "Summary" >> SummarizeHauls(),
    )


class _TallyFn(beam.CombineFn):
    def create_accumulator(self) -> Tally:
        return Tally()

    def add_input(self, tally: Tally, receipt: Receipt) -> Tally:
        tally.add(receipt)
        return tally

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        whole = Tally()
        for tally in tallies:
            whole.merge(tally)
        return whole

    def extract_output(self, tally: Tally) -> Tally:
        return tally


@with_input_types(Receipt)
@with_output_types(Tally)
class SummarizeReceipts(beam.PTransform):
    """Add receipts up into one `Tally` of what was hauled now; `Haul` has a summary of all that stands."""

    def expand(self, receipts: Any) -> Any:
        return receipts | "Tally" >> beam.CombineGlobally(_TallyFn()).without_defaults()
