"""`HaulShards`: a plan in, receipts out. Put it inside a pipeline of your own, or let `skyhaul run` do it.

    with beam.Pipeline(options=options) as pipeline:
        receipts = pipeline | HaulShards(config)
        receipts | SummarizeReceipts()

Elements are references (a dataset and stretches of shard numbers), never bytes.
"""

from collections.abc import Iterable
from typing import Any, Literal

import apache_beam as beam
from apache_beam.typehints import with_input_types, with_output_types

from skyhaul.beam.dofns import DealLotsFn, HaulLotFn, HaulStretchFn
from skyhaul.hauling.config import HaulConfig, Lot
from skyhaul.hauling.receipts import Receipt, Tally

Adapter = Literal["lots", "splittable"]


@with_input_types(HaulConfig)
@with_output_types(Lot)
class DealLots(beam.PTransform):
    """Turn a haul into lots.

    Sources that share a link stay in one lot, so that one process conducts each link; what has no link is
    dealt into `parallelism` lots. A reshuffle follows, so that a runner can hand lots to workers."""

    def __init__(self, parallelism: int = 1) -> None:
        super().__init__()
        self._parallelism = parallelism

    def expand(self, hauls: Any) -> Any:
        # Without the reshuffle a runner fuses dealing and hauling, and one worker takes all lots.
        return hauls | "Deal" >> beam.ParDo(DealLotsFn(self._parallelism)) | beam.Reshuffle()


def _stretches(lot: Lot) -> Iterable[tuple[int, int]]:
    """The lot's stretches. A named function is pickled by reference, so that the worker's own code runs."""
    return lot.stretches


class _Divisible(beam.PartitionFn):
    """1 for a lot that is divisible, else 0."""

    def partition_for(self, element: Any, num_partitions: int) -> int:
        return int(element.divisible)


@with_output_types(Receipt)
class HaulLots(beam.PTransform):
    """Haul each lot in the process that gets it.

    With `splittable`, lots that are divisible become elements over shard numbers, for runners that split an
    element in progress (Dataflow, Prism)."""

    def __init__(self, config: HaulConfig, adapter: Adapter = "lots") -> None:
        super().__init__()
        self._config = config
        self._adapter = adapter

    def expand(self, lots: Any) -> Any:
        if self._adapter == "lots":
            return lots | "HaulLot" >> beam.ParDo(HaulLotFn(self._config))
        # Lots of links stay whole: a split would put a second process on a link that one has to itself.
        whole, parts = lots | "Divisible" >> beam.Partition(_Divisible(), 2)
        return (
            whole | "HaulLot" >> beam.ParDo(HaulLotFn(self._config)),
            parts
            | "Stretches" >> beam.FlatMap(_stretches)
            | "HaulStretch" >> beam.ParDo(HaulStretchFn(self._config)),
        ) | beam.Flatten()


@with_output_types(Receipt)
class HaulShards(beam.PTransform):
    """The whole haul: lots, reshuffle, haul. Applied to a pipeline; gives one receipt a shard."""

    def __init__(self, config: HaulConfig, *, parallelism: int = 1, adapter: Adapter = "lots") -> None:
        super().__init__()
        self._config = config
        self._parallelism = parallelism
        self._adapter: Adapter = adapter

    def expand(self, pipeline: Any) -> Any:
        return (
            pipeline
            | "Haul" >> beam.Create([self._config])
            | DealLots(self._parallelism)
            | HaulLots(self._config, self._adapter)
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
    """Add receipts up into one `Tally`. A hint: a killed bundle takes its receipts along."""

    def expand(self, receipts: Any) -> Any:
        return receipts | beam.CombineGlobally(_TallyFn()).without_defaults()
