"""Pipelines on the local runner, as patient or as unkind as a test wants it."""

from __future__ import annotations

from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner


class Receipt(NamedTuple):
    """What receipts have in common."""

    dataset: str
    shard: int
    outcome: str
    plan: str = ""


def pipeline(*, workers: int = 1, repeat: int = 0, mode: str = "multi_threading") -> beam.Pipeline:
    """A pipeline whose bundles are done `repeat` times more, and whose first results are thrown away."""
    options = PipelineOptions(
        [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"] if workers > 1 else []
    )
    return beam.Pipeline(runner=FnApiRunner(bundle_repeat=repeat), options=options)


class Taken(list[Any]):
    """What a PCollection held, once its pipeline is over."""


_taken: dict[int, Taken] = {}


def take(pcollection: Any) -> Taken:
    """A list that fills while the pipeline runs."""
    taken = Taken()
    _taken[id(taken)] = taken
    # Not `Map`: a bundle that is done again would be seen twice.
    listed = pcollection | f"ToList {id(taken)}" >> beam.combiners.ToList()
    listed | f"Take {id(taken)}" >> beam.Map(_put, id(taken))
    return taken


def _put(values: list[Any], key: int) -> None:
    _taken[key][:] = values
