"""What `Haul` gives, and what a pipeline that asks for all of it gets."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import RowCoder, registry
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from tests.beam.rig import ADAPTERS, committed, job_of, pipeline, planned, write_texts

from skyhaul.beam import Haul, HaulSummary, Receipt, RequireComplete
from skyhaul.beam.rows import ROWS
from skyhaul.beam.runners import parallelism_of
from skyhaul.beam.summary import _demand
from skyhaul.hauling.config import BytesLeft, HaulConfig, Lot, restored
from skyhaul.hauling.lots.stretches import Stretches
from skyhaul_schemas.errors import EXIT_FAILED, EXIT_INCOMPLETE, HaulFailed, HaulIncomplete, PlanMismatch

SHARDS = 4


@pytest.fixture
def job(tmp_path: Path) -> Path:
    texts = write_texts(tmp_path / "texts", SHARDS)
    return job_of(tmp_path / "haul", {"texts": {"url": str(texts / "*.txt")}})


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_job_without_a_plan_is_planned_and_its_files_are_in_the_receipts(adapter: str, job: Path) -> None:
    with pipeline() as made:
        haul = made | Haul(job, adapter=adapter)  # type: ignore[arg-type]
        seen = haul.shards | beam.Map(lambda r: (r.plan, r.source, r.files, r.bytes, r.written, r.fresh))
        whole = haul.summary | RequireComplete() | beam.Map(lambda s: (s.shards, s.files, s.source_bytes))
        assert_that(whole, equal_to([(SHARDS, SHARDS, SHARDS * 4_000)]), "whole")
        nothing = (haul.failed, haul.deferred) | beam.Flatten() | beam.combiners.Count.Globally()
        assert_that(nothing, equal_to([0]), "nothing")
        box = seen | "Sorted" >> beam.combiners.ToList()
        assert_that(box, lambda found: check_files(job, found[0]), "files")


def check_files(job: Path, seen: list[tuple[str, str, tuple[str, ...], int, int, bool]]) -> None:
    records = committed(job).values()
    due = []
    for r in records:
        files = tuple(file.path for file in r.files)
        due.append((r.plan, r.source, files, sum(file.bytes for file in r.files), r.records.written, True))
    assert sorted(seen) == sorted(due)


def test_a_job_that_differs_from_its_plan_is_refused_at_construction(job: Path) -> None:
    planned(job)
    job.write_text(job.read_text().replace("1kB", "2kB"))
    with pytest.raises(PlanMismatch):
        Haul(str(job))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_pipeline_that_asks_for_all_fails_where_a_shard_failed(adapter: str, job: Path) -> None:
    planned(job)
    (job.parent.parent / "texts" / "001.txt").write_text("changed")
    with pytest.raises(Exception, match=r"3 of 4 shards are committed \(1 failed\)"), pipeline() as made:
        made | Haul(job, adapter=adapter) | RequireAll()  # type: ignore[arg-type]
    assert len(committed(job)) == SHARDS - 1


class RequireAll(beam.PTransform):
    def expand(self, haul: Any) -> Any:
        return haul.summary | RequireComplete()


def test_what_was_put_off_or_lost_asks_for_another_run() -> None:
    whole = HaulSummary("out", "run", shards=9, committed=9)
    assert _demand(whole) is whole
    for left, kind, code in (
        ({"failed": 2}, HaulFailed, EXIT_FAILED),
        ({"failed": 1, "deferred": 1}, HaulIncomplete, EXIT_INCOMPLETE),
        ({}, HaulIncomplete, EXIT_INCOMPLETE),
    ):
        with pytest.raises(kind) as raised:
            _demand(replace(whole, committed=7, **left))
        assert raised.value.exit_code == code
        assert "7 of 9" in str(raised.value)
        assert ("2 without a receipt" in str(raised.value)) is (not left)


VALUES = [
    HaulConfig("run", "s3://out", "version: 1", "job.yaml", only=(1, 5), due=7.5, left=(BytesLeft("a", 9),)),
    HaulConfig("run", "s3://out", "version: 1", "job.yaml", deadline=3.5, wait=True),
    Lot(HaulConfig("run", "out", "", "", left=(BytesLeft("a", 1),)), "0" * 64, ((0, 3), (7, 9)), 5, 2, True),
    Receipt("out", "run", "0" * 64, 7, "a", "committed", files=("a", "b"), links=("x",), set_aside=("y",)),
    HaulSummary("out", "run", shards=4, committed=3, failed=1),
]


@pytest.mark.parametrize("row", ROWS)
def test_what_crosses_has_a_schema_a_fixed_name_and_a_coder_that_other_languages_know(row: type) -> None:
    coder = registry.get_coder(row)
    assert isinstance(coder, RowCoder)
    assert coder.is_deterministic()
    assert coder.schema.id == str(uuid.uuid5(uuid.NAMESPACE_URL, f"skyhaul:{row.__name__}"))
    urns = {field.type.WhichOneof("type_info") for field in coder.schema.fields}
    assert urns <= {"atomic_type", "array_type", "row_type"}, "a field of another type would be a pickle"
    assert coder.to_runner_api(None).spec.urn == "beam:coder:row:v1"  # type: ignore[arg-type]


@pytest.mark.parametrize("value", VALUES)
def test_what_crosses_is_the_same_behind_it(value: Any) -> None:
    coder = registry.get_coder(type(value))
    assert coder.decode(coder.encode(value)) == value
    assert coder.encode(value) == coder.encode(coder.decode(coder.encode(value)))


def test_a_row_of_a_class_of_beams_own_is_restored() -> None:
    class Row:
        def __init__(self, value: Any) -> None:
            self.value = value

        def __getattr__(self, name: str) -> Any:
            found = getattr(self.value, name)
            if isinstance(found, tuple) and found and not isinstance(found[0], (int, str)):
                return [list(part) if isinstance(part, tuple) else Row(part) for part in found]
            return Row(found) if isinstance(found, HaulConfig) else found

    for value in VALUES:
        assert restored(type(value), Row(value)) == value
        assert restored(type(value), value) is value


@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        ([], 1),
        (["--max_num_workers=12"], 12),
        (["--num_workers=20", "--max_num_workers=50"], 50),
        (["--parallelism=3"], 3),
        (["--direct_num_workers=4"], 4),
        (["--direct_num_workers=0"], os.cpu_count()),
    ],
)
def test_parallelism_follows_the_workers_that_the_options_ask_for(arguments: list[str], workers: int) -> None:
    assert parallelism_of(beam.Pipeline(options=PipelineOptions(arguments))) == workers


def test_shard_numbers_as_ranges() -> None:
    numbers = [0, 1, 2, 7, 999, 1_000, 1_001, 3_500]
    stretches = Stretches.of(numbers)
    assert stretches.spans == ((0, 3), (7, 8), (999, 1_002), (3_500, 3_501))
    assert list(stretches) == numbers
    assert [stretches.index(number) for number in numbers] == list(range(len(numbers)))
    assert list(stretches.part(2, 5)) == [2, 7, 999]
    assert list(stretches.groups()) == [(0, [0, 1, 2, 7, 999]), (1, [1_000, 1_001]), (3, [3_500])]
    common = stretches.common(Stretches([(1, 8), (1_001, 9_000)]))
    assert list(common) == [1, 2, 7, 1_001, 3_500]
    assert len(Stretches().common(stretches)) == 0
