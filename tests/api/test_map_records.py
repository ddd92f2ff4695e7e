"""Hauls with code of a program's own between decoding and writing: the same bytes, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

import skyhaul
import skyhaul.shards.shard_rows as shard_rows
from cli.program import call
from dataset.hauled import JOB, digests, write_region
from skyhaul.beam.runners import open_runner
from skyhaul.shards.foreign_code import map_records
from skyhaul_schemas.errors import FingerprintMismatch


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_region(tmp_path_factory.mktemp("map") / "region", lines=150)


def job_in(folder: Path, region: Path, **more: object) -> Path:
    """The job of `dataset.hauled` over the region, into `folder`/out."""
    folder.mkdir(exist_ok=True)
    text = JOB.format(dataset=folder / "out", spool=folder / "spool", region=region)
    keys = {**yaml.safe_load(text), **more}
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(keys, sort_keys=False))
    return path


def place_in_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Every third row of a batch goes; the others say where in it they stood."""
    places = [f"{place} of {batch.num_rows}" for place in range(batch.num_rows)]
    index = batch.schema.get_field_index("metadata")
    told = batch.set_column(index, batch.schema.field(index), pa.array(places, pa.string()))
    return told.filter(pa.array([place % 3 != 0 for place in range(batch.num_rows)]))


THIRDS = skyhaul.MapRecords(place_in_batch, name="thirds", version=1)


def test_workers_and_steps_of_decoding_do_not_reach_the_bytes(
    region: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many batches a shard, so that borders would show.
    monkeypatch.setattr(map_records, "MOST_ROWS", 7)
    rules = {"transforms": [{"min_length": 40}]}
    one = skyhaul.haul(job_in(tmp_path / "one", region, **rules), map_records=THIRDS)
    expected = digests(tmp_path / "one" / "out")
    assert one.complete
    for workers, batches in ((4, 1024), (1, 1), (4, 1)):
        monkeypatch.setattr(shard_rows, "_STAGE_BATCHES", batches)
        monkeypatch.setattr(shard_rows, "_STAGE_BYTES", 1 << 20 if batches > 1 else 1)
        folder = tmp_path / f"{workers}-{batches}"
        done = skyhaul.haul(job_in(folder, region, **rules), workers=workers, map_records=THIRDS)
        assert done.complete
        assert done.plan == one.plan
        assert digests(folder / "out") == expected
    with skyhaul.Dataset(tmp_path / "one" / "out") as dataset:
        counts = [shard.filtered_by for shard in dataset.shards()]
        told = {
            text for batch in dataset.rows(columns=["metadata"]) for text in batch["metadata"].to_pylist()
        }
        assert {"1 of 7", "5 of 7"} <= told
        assert sum(count["thirds"] for count in counts) > 0
        assert sum(count.get("min_length 40", 0) for count in counts) > 0
        assert skyhaul.verify(dataset, deep=True).exit_code == 0


def test_its_name_and_version_are_in_the_plan_and_a_plan_without_it_says_nothing(
    region: Path, tmp_path: Path
) -> None:
    with_it = skyhaul.plan(job_in(tmp_path / "with", region), map_records=THIRDS)
    without = skyhaul.plan(job_in(tmp_path / "without", region))
    assert with_it.fingerprint == {
        **without.fingerprint,
        "map_records:thirds": "1",
        "skyhaul.map_records": "1",
    }
    assert with_it.digest != without.digest


def test_the_command_line_refuses_to_haul_and_replay_and_says_why_and_verifies(
    region: Path, tmp_path: Path
) -> None:
    job = job_in(tmp_path, region)
    assert skyhaul.haul(job, map_records=THIRDS).complete
    for command in (["run"], ["replay"], ["plan", "--extend"], ["plan", "--amend"]):
        for target in (job, tmp_path / "out"):
            refused = call(*command, target)
            assert refused.code == 2, refused
            assert "was made with a program's own code between decoding and writing" in refused.err
            assert (
                "(map_records 'thirds' version 1), which is not here; haul it by that program" in refused.err
            )
    for command in (["verify", "--deep"], ["status"], ["failures"], ["plan"]):
        assert call(*command, job).code == 0
    assert json.loads(call("plan", "--json", job).out)["fingerprint"]["map_records:thirds"] == "1"


@pytest.mark.parametrize(
    ("planned", "given", "said"),
    [
        (THIRDS, None, "with a program's own code between decoding and writing"),
        (THIRDS, skyhaul.MapRecords(place_in_batch, "thirds", 2), "and 'thirds' version 2 is given"),
        (THIRDS, skyhaul.MapRecords(place_in_batch, "halves", 1), "and 'halves' version 1 is given"),
        (None, THIRDS, "was made without map_records, and 'thirds' version 1 is given"),
    ],
)
def test_other_code_than_the_plan_was_made_with_is_refused(
    region: Path,
    tmp_path: Path,
    planned: skyhaul.MapRecords | None,
    given: skyhaul.MapRecords | None,
    said: str,
) -> None:
    job = job_in(tmp_path, region)
    skyhaul.plan(job, map_records=planned)
    calls: list[Callable[[], object]] = [
        lambda: skyhaul.haul(job, map_records=given),
        lambda: skyhaul.plan(job, extend=True, map_records=given),
        lambda: skyhaul.plan(job, amend=True, map_records=given),
    ]
    if given is not None:
        calls.append(lambda: skyhaul.plan(job, map_records=given))
    for refused in calls:
        with pytest.raises(FingerprintMismatch, match=said) as caught:
            refused()
        assert caught.value.exit_code == 2
    assert skyhaul.haul(job, map_records=planned).complete


def test_a_plan_with_it_is_extended_by_the_program(region: Path, tmp_path: Path) -> None:
    own = write_region(tmp_path / "region", lines=20)
    job = job_in(tmp_path / "job", own)
    assert skyhaul.haul(job, map_records=THIRDS).complete
    (own / "texts" / "new.txt").write_text("one more text")
    update = skyhaul.plan(job, extend=True, map_records=THIRDS)
    assert update.shards.added == 1
    done = skyhaul.haul(job, map_records=THIRDS)
    assert (done.complete, done.shards_committed) == (True, 1)
    assert skyhaul.verify(job, deep=True).exit_code == 0


def test_a_haul_inside_another_pipeline_takes_it_too(region: Path, tmp_path: Path) -> None:
    expected = job_in(tmp_path / "called", region)
    assert skyhaul.haul(expected, map_records=THIRDS).complete
    job = job_in(tmp_path / "in-pipeline", region)
    with beam.Pipeline(runner=open_runner("DirectRunner")) as pipeline:
        (pipeline | skyhaul.Haul(str(job), map_records=THIRDS)).summary | skyhaul.RequireComplete()
    assert digests(tmp_path / "in-pipeline" / "out") == digests(tmp_path / "called" / "out")
    assert skyhaul.verify(job, deep=True).exit_code == 0
    with pytest.raises(FingerprintMismatch, match="which is not here"):
        skyhaul.Haul(str(job))


def twice(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.concat_batches([batch, batch])


def with_other_ids(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.set_column(0, batch.schema.field(0), pc.utf8_upper(batch["id"]))


def with_ids_alone(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(["id"])


def with_a_bug(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch["no such column"]


@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (twice, "it added rows"),
        (with_other_ids, "it changed ids, or made up rows"),
        (with_ids_alone, "it changed the columns"),
        (with_a_bug, "KeyError"),
    ],
)
def test_code_that_breaks_its_promise_fails_its_shards_with_one_line_each(
    fn: Callable[[pa.RecordBatch], pa.RecordBatch], said: str, region: Path, tmp_path: Path
) -> None:
    job = job_in(tmp_path, region)
    done = skyhaul.haul(job, map_records=skyhaul.MapRecords(fn, "mine", 1))
    assert (done.exit_code, done.shards_committed) == (3, 0)
    failures = json.loads(call("failures", "--json", job).out)
    assert {failure["kind"] for failure in failures} == {"TransformFailed"}
    assert all(failure["reason"].startswith(f"map_records 'mine': {said}") for failure in failures)
    # Put right under the same name and version, it goes on: nothing was committed.
    assert skyhaul.haul(job, replay=True, map_records=skyhaul.MapRecords(place_in_batch, "mine", 1)).complete
