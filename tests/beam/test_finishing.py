"""`FinishHaul` leaves a dataset as `skyhaul run` does, once and however often it is done."""

from __future__ import annotations

import json
import os
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from tests.hauling.rig import data_digests, job, write_job, write_region

from skyhaul.beam import FinishHaul, HaulShards
from skyhaul.beam.driver import haul_on_beam
from skyhaul.beam.submission import submit_haul
from skyhaul.dataset.runs import runs
from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulConfig, HaulOptions
from skyhaul.hauling.preparation import prepare_haul
from skyhaul_schemas import layout
from skyhaul_schemas.errors import EXIT_INCOMPLETE, EXIT_OK, HaulIncomplete, UsageError
from skyhaul_schemas.job.file import LoadedJob, load_job

SEED = 14


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("region")
    write_region(root, SEED, jsonl_bytes=300_000, texts=10)
    return root


def loaded(folder: Path, region: Path, spool: str | None = None) -> LoadedJob:
    content = job(
        folder / "out",
        Path(spool or folder / "spool"),
        f"{region}/lines/*.jsonl",
        f"{region}/texts/*.txt",
        target_size="100kB",
    )
    folder.mkdir(exist_ok=True)
    return load_job(write_job(folder / "job.yaml", content), os.environ)


def kept(dataset: Path) -> dict[str, str]:
    """What the last step writes, but for what tells one run from another."""
    (path,) = (dataset / "_skyhaul" / "runs").iterdir()
    record = json.loads(path.read_text())
    for name in ("id", "runner", "started", "finished", "seconds", "digest"):
        record.pop(name)
    return {
        "README.md": (dataset / "README.md").read_text(),
        "croissant.json": (dataset / "croissant.json").read_text(),
        "run": json.dumps(record, sort_keys=True),
    }


def pipeline_of(config: HaulConfig, runner: FnApiRunner, **how: bool) -> None:
    with beam.Pipeline(runner=runner) as pipeline:
        finished = pipeline | HaulShards(config) | FinishHaul(config, **how)
        assert_that(finished | beam.Map(lambda f: f.exit_code), equal_to([EXIT_OK]))


@pytest.mark.parametrize("repeat", [0, 1, 2])
def test_the_dataset_is_as_run_leaves_it_however_often_a_bundle_is_done(
    repeat: int, region: Path, tmp_path: Path
) -> None:
    local = loaded(tmp_path / "local", region)
    with_store = open_store(local.job.dataset, writable=True)
    assert haul_on_beam(local, with_store, HaulOptions()).exit_code == EXIT_OK
    config = prepare_haul(loaded(tmp_path / "beam", region), HaulOptions())
    pipeline_of(config, FnApiRunner(bundle_repeat=repeat), require_complete=True)
    assert kept(tmp_path / "beam" / "out") == kept(tmp_path / "local" / "out")
    assert data_digests(tmp_path / "beam" / "out") == data_digests(tmp_path / "local" / "out")


def test_full_groups_are_sealed(region: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skyhaul.hauling.finish import conclusion

    sealed: list[str] = []
    monkeypatch.setattr(conclusion, "seal_full_groups", lambda plan, store, stopped: sealed.append(store.url))
    config = prepare_haul(loaded(tmp_path, region), HaulOptions())
    pipeline_of(config, FnApiRunner())
    assert sealed == [config.dataset]


def test_nothing_is_recorded_before_all_of_the_input_has_come(region: Path, tmp_path: Path) -> None:
    config = prepare_haul(loaded(tmp_path, region), HaulOptions())
    card = tmp_path / "out" / layout.CARD

    def not_yet(number: int) -> int:
        assert not os.path.exists(str(card))
        return number

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        # Anything may come first, not receipts alone.
        finished = pipeline | beam.Create(list(range(50))) | beam.Map(not_yet) | FinishHaul(config)
        assert_that(finished | beam.Map(lambda f: (f.exit_code, f.committed)), equal_to([(75, 0)]))
    assert card.exists()


def test_a_haul_with_nothing_left_is_recorded_too(region: Path, tmp_path: Path) -> None:
    config = prepare_haul(loaded(tmp_path, region), HaulOptions())
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        finished = pipeline | beam.Create([]) | FinishHaul(config, runner="SomeRunner")
        assert_that(finished | beam.Map(lambda f: f.run), equal_to([config.run]))
    store = open_store(config.dataset, writable=False)
    (record,) = runs(store)
    assert (record.id, record.runner, record.outcome) == (config.run, "SomeRunner", "incomplete")


def test_a_haul_that_is_not_whole_fails_a_pipeline_that_asked_for_it_and_is_recorded(
    region: Path, tmp_path: Path
) -> None:
    config = prepare_haul(loaded(tmp_path, region), HaulOptions(max_duration=0.0))
    with pytest.raises(HaulIncomplete, match=r"0 of \d+ shards are committed; ") as caught:
        pipeline_of(config, FnApiRunner(), require_complete=True)
    assert caught.value.exit_code == EXIT_INCOMPLETE
    (record,) = runs(open_store(config.dataset, writable=False))
    assert record.outcome == "incomplete"
    assert (tmp_path / "out" / layout.CARD).exists()


def test_what_was_there_before_is_not_counted_as_the_hauls(region: Path, tmp_path: Path) -> None:
    job = loaded(tmp_path, region)
    first = prepare_haul(job, HaulOptions())
    pipeline_of(first, FnApiRunner())
    second = prepare_haul(job, HaulOptions())
    pipeline_of(second, FnApiRunner())
    by_id = {record.id: record for record in runs(open_store(first.dataset, writable=False))}
    assert by_id[first.run].shards_committed == by_id[first.run].shards_planned
    assert by_id[second.run].shards_committed == 0


def test_a_stream_is_refused_since_its_end_never_comes(region: Path, tmp_path: Path) -> None:
    config = prepare_haul(loaded(tmp_path, region), HaulOptions())
    pipeline = beam.Pipeline(runner=FnApiRunner())
    with pytest.raises(ValueError, match="bounded"):
        pipeline | test_stream.TestStream() | FinishHaul(config)


def test_a_submitted_haul_needs_a_spool_of_an_absolute_path(region: Path, tmp_path: Path) -> None:
    relative = loaded(tmp_path, region, spool="here")
    with pytest.raises(UsageError, match="spool: found here, allowed: an absolute path"):
        submit_haul(relative, HaulOptions())
    assert not (tmp_path / "out").exists()
    submit_haul(relative, HaulOptions(spool=str(tmp_path / "there")))
    assert (tmp_path / "out" / layout.CARD).exists()
