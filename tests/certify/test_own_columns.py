"""A dataset of a schema of the job's own, from every format, through transforms, to others' software."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlcroissant
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from certify.test_certify import certify, result
from dataset.hauled import Hauled, digests, plan_small
from formats.records.test_own_schemas import cells, lines, table
from skyhaul.certify import Certificate
from skyhaul.certify.engine_process import missing
from skyhaul.certify.engines import ENGINES
from skyhaul.dataset.card import write_card
from skyhaul.dataset.survey import survey
from skyhaul.verification.verify import verify_dataset
from skyhaul_schemas.records import planned_schema, shard_schema

pytestmark = pytest.mark.timeout(300)  # as in test_certify

JOB = """\
version: 1
name: own
dataset: {dataset}
spool: {spool}
schema:
  name: preference
  columns: {{prompt: string, score: float32, small: uint8, good: bool, day: date32, tags: list<string>,
            turns: "list<struct<role: string, at: timestamp[us]>>", taken: "timestamp[ms, UTC]",
            pixels: binary}}
  required: [prompt]
sources:
  lines: {{url: "{region}/lines/*"}}
  cells: {{url: "{region}/cells/*"}}
  table: {{url: "{region}/table/*"}}
  texts: {{url: "{region}/texts/*", fields: {{prompt: body}}}}
transforms:
  - keep: (score is None or score < 90) and prompt != 'nothing'
    name: sure
  - {{max_length: 1000, column: prompt}}
  - {{normalise: NFC, column: prompt}}
  - deduplicate: prompt
shards: {{target_size: 8kB, row_group_size: 6kB, splits: {{train: 0.8, validation: 0.2}}}}
"""


def _record(number: int) -> dict[str, Any]:
    return {
        "prompt": f"question {number}",
        "score": number / 2,
        "small": number % 256,
        "good": number % 2 == 0,
        "day": "2020-01-02",
        "tags": ["a", None, "ä"][: number % 4] if number % 5 else None,
        "turns": [{"role": "user", "at": "2020-01-01T00:00:00Z"}, None][: number % 3],
        "taken": "2020-01-01T00:00:00.5Z",
        "more": number,
    }


@pytest.fixture(scope="module")
def hauled(tmp_path_factory: pytest.TempPathFactory) -> Hauled:
    folder = tmp_path_factory.mktemp("own")
    region = folder / "region"
    records = [_record(number) for number in range(200)]
    made = {
        "lines/a.jsonl": lines(*records, {"prompt": 7}),
        "cells/a.csv": cells(*({**one, "prompt": f"cell {one['prompt']}"} for one in records)),
        "table/a.parquet": table(*({**one, "prompt": f"row {one['prompt']}"} for one in records)),
        "texts/a.txt": b"a text",
    }
    for name, content in made.items():
        (region / name).parent.mkdir(parents=True, exist_ok=True)
        (region / name).write_bytes(content)
    found = plan_small(folder, region, job=JOB)
    found.haul()
    write_card(found.store, found.plan, survey(found.plan, found.store), found.loaded.job)
    return found


def test_its_records_are_accounted_for_and_every_page_reads(hauled: Hauled) -> None:
    report = verify_dataset(hauled.store, deep=True)
    assert report.findings == []
    seen = survey(hauled.plan, hauled.store)
    assert seen.records.read == 200 * 3 + 2
    assert seen.records.rejected == 1
    assert dict(seen.filtered_by) == {"sure": 20 * 3}
    assert seen.records.written == 180 * 3 + 1


def test_its_files_have_the_schema_that_the_plan_states(hauled: Hauled) -> None:
    schema = shard_schema(planned_schema(hauled.plan.header.job["schema"]))
    paths = sorted((hauled.root / "data").rglob("*.parquet"))
    assert len(paths) > 4
    assert all(pq.read_schema(path).equals(schema) for path in paths)
    read = pa.concat_tables(pq.read_table(path, partitioning=None) for path in paths)
    by_prompt = {row["prompt"]: row for row in read.to_pylist()}
    for kind in ("question", "cell question", "row question"):
        row = by_prompt[f"{kind} 7"]
        assert row["tags"] == ["a", None, "ä"]
        assert [turn and turn["role"] for turn in row["turns"]] == ["user"]
        assert (row["score"], row["small"], row["good"], row["pixels"]) == (3.5, 7, False, None)
    assert by_prompt["question 7"]["metadata"] == '{"more":7}'


def test_equal_plans_give_equal_bytes(hauled: Hauled, tmp_path: Path) -> None:
    again = plan_small(tmp_path, hauled.region, job=JOB)
    again.haul(list(reversed(again.shards())))
    assert digests(again.root) == digests(hauled.root)
    assert again.plan.header.fingerprint["skyhaul.own_schema"] == "1"


@pytest.fixture(scope="module")
def certificate(hauled: Hauled) -> Certificate:
    return certify(hauled.root, *(name for name, engine in ENGINES.items() if missing(engine) is None))


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_reads_it_as_the_plan_states_it(name: str, certificate: Certificate) -> None:
    reason = missing(ENGINES[name])
    if reason is not None:
        pytest.skip(reason)
    assert result(certificate, name)[0] == "held", result(certificate, name)


def test_its_rows_are_encoded_to_the_same_bytes_again(certificate: Certificate) -> None:
    assert result(certificate, "same rows, same bytes")[0] == "held"
    assert certificate.certified


def test_croissant_describes_lists_and_structs_and_leaves_bytes_out(hauled: Hauled) -> None:
    described = mlcroissant.Dataset(str(hauled.root / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    row = next(iter(described.records("train")))
    assert {"train/tags", "train/turns", "train/good"} <= row.keys()
    assert "train/pixels" not in row
    text = json.loads((hauled.root / "croissant.json").read_text())
    kinds = {field["name"]: field for field in text["recordSet"][0]["field"]}
    assert kinds["train/small"]["dataType"] == "cr:UInt8"
    assert kinds["train/tags"] | {"isArray": True, "dataType": "sc:Text"} == kinds["train/tags"]
