"""A pipeline of somebody else's: a haul, and a step of their own that reads what was hauled.

    python foreign_pipeline.py JOB RESULT OPTION...

Writes (shard, rows as pyarrow reads them) of all shards as JSON to RESULT.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from skyhaul.beam import Haul, RequireComplete


def rows_of(receipt: Any) -> tuple[int, int]:
    files = [Path(receipt.dataset) / file for file in receipt.files]
    return receipt.shard, sum(pq.read_metadata(file).num_rows for file in files)


def write(found: list[tuple[int, int]], path: str) -> None:
    Path(path).write_text(json.dumps(sorted(found)))


if __name__ == "__main__":
    job, result, *options = sys.argv[1:]
    with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
        haul = pipeline | Haul(job)
        haul.summary | RequireComplete()
        found = haul.shards | "Rows" >> beam.Map(rows_of) | "All" >> beam.combiners.ToList()
        found | "Write" >> beam.Map(write, result)
