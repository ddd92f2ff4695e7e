"""A haul and what follows it in one pipeline: rows, a description, and a dataset made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from tests.beam.pipelines import pipeline, take
from tests.beam.rig import job_of, write_texts

from skyhaul.beam import DescribeRows, Haul, ReadShards, RequireComplete, WriteShards
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset


def even(row: Any) -> bool:
    return int(row.object.removesuffix(".txt")) % 2 == 0


@pytest.mark.parametrize(("workers", "repeat"), [(1, 0), (3, 0), (1, 1)])
def test_the_rows_of_a_haul_become_a_dataset_in_the_same_pipeline(
    tmp_path: Path, workers: int, repeat: int
) -> None:
    write_texts(tmp_path / "region", 12)
    job = job_of(tmp_path / "job", {"texts": {"url": f"{tmp_path}/region/*.txt"}})
    with pipeline(workers=workers, repeat=repeat) as p:
        haul = p | Haul(str(job))
        haul.summary | RequireComplete()
        rows = haul.shards | ReadShards(provenance=True)
        described = take(rows | DescribeRows())
        (
            rows
            | beam.Filter(even)
            | WriteShards(str(tmp_path / "even"), derived_from=haul, made_by="even 1", target_size="10kB")
        )
    assert described[0]["all"]["rows"] == 12
    report = verify_dataset(open_store(str(tmp_path / "even"), writable=False), deep=True)
    assert report.exit_code() == 0, report.findings
    assert report.rows == 6
