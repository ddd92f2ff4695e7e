"""Readings of a wide table lie one byte apart, also behind the end of the chunk that their record is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.hauled import Hauled, plan_small
from skyhaul.verification import verify_dataset

JOB = """\
version: 1
name: wide
dataset: {dataset}
spool: {spool}
seed: 3
schema: reading
sources:
  buoys:
    url: {region}/buoys/*.csv
    format: csv
    fields: {{station: id}}
    decode:
      quoted_newlines: false
      melt: {{a: alpha, b: beta, c: gamma, d: delta}}
shards: {{target_size: %s, chunk_size: %s, splits: {{train: 0.5, test: 0.5}}}}
"""


@pytest.mark.parametrize("chunk_size", range(95, 106))
def test_a_record_at_a_chunks_end_has_its_readings_behind_it(tmp_path: Path, chunk_size: int) -> None:
    region = tmp_path / "region"
    (region / "buoys").mkdir(parents=True)
    (region / "buoys" / "x.csv").write_text(
        "id,a,b,c,d\n" + "".join(f"{n % 10},1,2,3,4\n" for n in range(200))
    )
    hauled: Hauled = plan_small(tmp_path, region, job=JOB % ("600", chunk_size))
    assert hauled.plan.header.chunks > 10
    records = hauled.haul()
    assert sum(record.records.written for record in records) == 800
    report = verify_dataset(hauled.store, deep=True)
    assert [str(finding) for finding in report.findings] == []
    assert report.exit_code() == 0
    hauled.store.close()
    hauled.plan.close()
