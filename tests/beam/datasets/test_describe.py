"""`DescribeRows`: the same for every order, batch, runner and parallelism."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.beam.pipelines import pipeline, take

from dataset.hauled import Hauled, plan_small
from skyhaul.beam import DescribeRows, ReadShards
from skyhaul_schemas import layout
from skyhaul_schemas.errors import UsageError


@pytest.fixture
def hauled(tmp_path: Path) -> Hauled:
    made = plan_small(tmp_path)
    made.haul()
    return made


def words(text: str) -> int:
    return len(text.split())


def described(source: Any) -> dict[str, Any]:
    with pipeline() as p:
        taken = take(p | source)
    assert len(taken) == 1
    return dict(taken[0])


def described_as_rows(place: str, **how: int) -> dict[str, Any]:
    with pipeline(**how) as p:
        taken = take(p | ReadShards(place, provenance=True) | DescribeRows())
    assert len(taken) == 1
    return dict(taken[0])


def test_rows_batches_and_repeated_bundles_give_one_description(hauled: Hauled) -> None:
    place = str(hauled.root)
    whole = described(DescribeRows(place, keep=False))
    assert described_as_rows(place) == whole
    assert described_as_rows(place, repeat=1) == whole
    assert described_as_rows(place, workers=3) == whole
    assert not (hauled.root / layout.DESCRIPTION).exists()


def test_what_is_told_is_what_the_files_hold(hauled: Hauled) -> None:
    told = described(DescribeRows(str(hauled.root), tokenizer=f"{__name__}:words"))
    table = pq.read_table(hauled.root / "data")
    texts = table.column("text").to_pylist()
    column = told["all"]["columns"]["text"]
    assert told["all"]["rows"] == table.num_rows
    assert column["characters"]["sum"] == sum(map(len, texts))
    assert column["characters"]["max"] == max(map(len, texts))
    for name, value in column["characters"]["quantiles"].items():
        exact = float(np.quantile([len(text) for text in texts], float(name), method="inverted_cdf"))
        assert exact * 0.996 <= value <= exact
    assert told["all"]["columns"]["source_id"]["nulls"] == table.column("source_id").null_count > 0
    assert told["all"]["tokens"]["sum"] == sum(map(words, texts))
    by_split = {
        name: sum(pq.read_metadata(path).num_rows for path in (hauled.root / "data").rglob(f"{name}-*"))
        for name in ("train", "validation")
    }
    assert {name: part["rows"] for name, part in told["splits"].items()} == by_split


def test_the_description_of_a_dataset_is_kept_in_it(hauled: Hauled) -> None:
    (hauled.root / layout.CARD).write_text("# small\n\nrows\n\nPlan `x`. `skyhaul verify` proves it.\n")
    told = described(DescribeRows(str(hauled.root)))
    assert json.loads((hauled.root / layout.DESCRIPTION).read_bytes()) == told
    assert told["plan"] == hauled.plan.header.digest
    card = (hauled.root / layout.CARD).read_text()
    assert "| text | 0 | characters |" in card
    assert card.endswith("Plan `x`. `skyhaul verify` proves it.\n")
    described(DescribeRows(str(hauled.root)))
    assert (hauled.root / layout.CARD).read_text() == card


def test_no_rows_are_described_too() -> None:
    with pipeline() as p:
        taken = take(p | beam.Create([]) | DescribeRows())
    assert taken[0]["all"] == {"rows": 0, "columns": {}}


def test_a_column_of_nulls_and_numbers_is_one_of_numbers() -> None:
    made = [{"n": None if number % 2 else number, "x": float("nan")} for number in range(3000)]
    with pipeline() as p:
        taken = take(p | beam.Create(made) | DescribeRows())
    told = taken[0]["all"]["columns"]
    assert told["n"]["nulls"] == 1500
    assert told["n"]["numbers"]["max"] == 2998
    assert told["x"]["numbers"]["not_finite"] == 3000


@pytest.mark.parametrize("tokenizer", ["nothing", "no.such:thing", "json:nothing", "json:__name__"])
def test_a_tokenizer_that_is_none_is_refused_at_once(tokenizer: str) -> None:
    with pytest.raises(UsageError, match="tokenizer"):
        DescribeRows(tokenizer=tokenizer)


def test_what_is_described_has_to_be_said(hauled: Hauled) -> None:
    with pytest.raises(UsageError, match="needs a dataset"), pipeline() as p:
        p | DescribeRows()
    with pytest.raises(UsageError, match="takes no dataset"), pipeline() as p:
        p | beam.Create([{"a": 1}]) | DescribeRows(str(hauled.root))
