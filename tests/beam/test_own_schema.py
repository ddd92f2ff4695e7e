"""A dataset of a schema of the job's own is read and derived from as those of the built-in ones are."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from tests.beam.pipelines import pipeline, take

from dataset.hauled import Hauled, plan_small
from skyhaul.beam import CompactShards, ReadShards, ReshardRows
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset
from skyhaul_schemas.errors import UsageError

JOB = """\
version: 1
name: own
dataset: {dataset}
spool: {spool}
schema:
  name: chat
  columns: {{prompt: string, good: bool, turns: "list<struct<role: string, tokens: int16>>", day: date32,
            at: "timestamp[ms, UTC]", score: float32, where: "struct<lat: float64>",
            grid: "list<list<int8>>"}}
  required: [prompt]
sources: {{lines: {{url: "{region}/lines/*"}}}}
shards: {{target_size: 4kB, row_group_size: 6kB, splits: {{train: 0.8, validation: 0.2}}}}
"""


@pytest.fixture(scope="module")
def hauled(tmp_path_factory: pytest.TempPathFactory) -> Hauled:
    folder = tmp_path_factory.mktemp("own")
    lines = folder / "region" / "lines"
    lines.mkdir(parents=True)
    for part in range(3):
        records = [
            {
                "prompt": f"{part}-{n}",
                "good": n % 2 == 0,
                "turns": [{"role": "u", "tokens": n}, None][: n % 3],
                "where": [None, {}, {"lat": 1}][n % 3],
                "grid": [[1, None], None, []][: n % 4],
                "score": n / 3,
                "day": "2020-01-01",
                "more": n,
            }
            for n in range(60)
        ]
        (lines / f"{part}.jsonl").write_text("\n".join(map(json.dumps, records)))
    made = plan_small(folder, folder / "region", job=JOB)
    made.haul()
    return made


def prompts(root: Path) -> list[str]:
    tables = [pq.read_table(path, partitioning=None) for path in (root / "data").rglob("*.parquet")]
    return sorted(row["prompt"] for table in tables for row in table.to_pylist())


def test_its_rows_are_read_as_batches_and_by_columns_that_beam_has(hauled: Hauled) -> None:
    root = str(hauled.root)
    with pipeline() as p:
        taken = take(p | ReadShards(root, batches=True))
    taken = [row for batch in taken for row in batch.to_pylist()]
    assert sorted(row["prompt"] for row in taken) == prompts(hauled.root)
    assert {len(row["turns"]) for row in taken} == {0, 1, 2}
    with pipeline() as p:
        found = take(p | ReadShards(root, columns=["prompt"]) | beam.Map(lambda row: row.prompt))
    assert sorted(found) == prompts(hauled.root)
    with pytest.raises(UsageError, match="column 'turns' is of type list"), pipeline() as p:
        p | ReadShards(root, columns=["turns"])  # type: ignore[unused-ignore]


@pytest.mark.parametrize("how", ["shuffled", "compacted"])
def test_what_is_derived_from_it_has_its_schema_and_is_proved(
    how: str, hauled: Hauled, tmp_path: Path
) -> None:
    root, into = str(hauled.root), tmp_path / "into"
    with pipeline() as p:
        if how == "shuffled":
            p | ReshardRows(root, str(into), seed=7, target_size="64kB")
        else:
            p | CompactShards(root, str(into), target_size="64kB")
    assert prompts(into) == prompts(hauled.root)
    (first, *_), (other, *_) = (sorted((at / "data").rglob("*.parquet")) for at in (into, hauled.root))
    assert pq.read_schema(first).equals(pq.read_schema(other))
    with closing(open_store(str(into), writable=False)) as store:
        assert verify_dataset(store, deep=True).findings == []
