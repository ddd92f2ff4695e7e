"""A pipeline of skyhaul's shape, with nothing of skyhaul in it: Create, Reshuffle, one file an element.

What a runner does to it on a bad day is what it will do to a haul. A file is named by its element
and the attempt, so that doubles are seen.
"""

from __future__ import annotations

import argparse
import os
import time
import uuid
from pathlib import Path

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.options.pipeline_options import PipelineOptions


class WriteOne(beam.DoFn):
    """Writes `{element}.{attempt}` into `out`; its text tells which process did."""

    def __init__(self, out: str, seconds: float) -> None:
        self.out = out
        self.seconds = seconds

    def process(self, element: int):  # type: ignore[no-untyped-def]
        started = Path(self.out, f"{element:04d}.{uuid.uuid4().hex}.started")
        started.write_text(f"{os.getpid()} {os.getppid()}")
        time.sleep(self.seconds)
        beam.metrics.Metrics.counter("toy", "written").inc()
        started.rename(started.with_suffix(".done"))
        yield element


class Shards(beam.transforms.core.RestrictionProvider):
    def initial_restriction(self, element):  # type: ignore[no-untyped-def]
        return OffsetRange(*element)

    def create_tracker(self, restriction):  # type: ignore[no-untyped-def]
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element, restriction):  # type: ignore[no-untyped-def]
        return restriction.size()


class WriteSplittable(WriteOne):
    def process(self, element, tracker=beam.DoFn.RestrictionParam(Shards())):  # type: ignore[no-untyped-def,override]  # noqa: B008
        number = tracker.current_restriction().start
        while tracker.try_claim(number):
            yield from super().process(number)
            number += 1


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--elements", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--splittable", action="store_true")
    ours, rest = parser.parse_known_args()
    Path(ours.out).mkdir(parents=True, exist_ok=True)
    result = None
    pipeline = beam.Pipeline(options=PipelineOptions(rest))
    if ours.splittable:
        written = (
            pipeline | beam.Create([(0, ours.elements)]) | beam.ParDo(WriteSplittable(ours.out, ours.seconds))
        )
    else:
        written = (
            pipeline
            | beam.Create(range(ours.elements))
            | beam.Reshuffle()
            | beam.ParDo(WriteOne(ours.out, ours.seconds))
        )
    _ = written | beam.combiners.Count.Globally() | beam.Map(print)
    result = pipeline.run()
    state = result.wait_until_finish()
    counted = result.metrics().query().get("counters", [])
    print("state", state, {c.key.metric.name: c.committed for c in counted}, flush=True)
    return 0 if str(state) == "DONE" else 1


if __name__ == "__main__":
    from toy import main as by_reference  # so that what is pickled names this module, not __main__

    raise SystemExit(by_reference())
