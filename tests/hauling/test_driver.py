"""A haul knows its driver by two protocols alone: any driver that conducts the lots will do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hauling.rig import data_digests, job, write_job, write_region

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.conductor import Conductor, claims_of
from skyhaul.hauling.config import HaulConfig, HaulOptions
from skyhaul.hauling.contexts import CONTEXTS
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.driver import DriverResult
from skyhaul.hauling.lots.dealing import deal_lots
from skyhaul.hauling.lots.pending import Pending
from skyhaul.hauling.lots.stretches import Stretches
from skyhaul.hauling.progress import Hauling, HaulObserver, Progress
from skyhaul.hauling.run import haul
from skyhaul_schemas.errors import EXIT_INCOMPLETE, EXIT_OK, SkyhaulError
from skyhaul_schemas.job.file import LoadedJob, parse_job


class LoopDriver:
    """Conducts the lots one by one on the calling thread."""

    def build(self, config: HaulConfig, options: HaulOptions) -> LoopPipeline:
        return LoopPipeline(config)


class LoopPipeline:
    def __init__(self, config: HaulConfig) -> None:
        self._config = config

    def run(self, control: HaulControl, observer: HaulObserver) -> DriverResult:
        with CONTEXTS.lease() as lease:
            for lot in deal_lots(self._config, 1):
                context = lease.context(lot.haul, lot.plan)
                pending = Pending(context.store, Stretches(lot.stretches)).shards(context.plan)
                for receipt in Conductor(context, self._config.workers).haul(claims_of(pending)):
                    context.tally.add(receipt)
        return DriverResult("DONE")


class DeadRunner:
    """A runner elsewhere that ends before any shard is hauled."""

    def __init__(self, result: DriverResult) -> None:
        self._result = result

    def build(self, config: HaulConfig, options: HaulOptions) -> DeadRunner:
        return self

    def run(self, control: HaulControl, observer: HaulObserver) -> DriverResult:
        return self._result


class Seen:
    def __init__(self) -> None:
        self.order: list[str] = []

    def progress(self, progress: Progress) -> None:
        if isinstance(progress, Hauling) and progress.finishing:
            self.order.append("finishing")

    def event(self, message: str) -> None:
        self.order.append(message)


def prepared(folder: Path) -> tuple[LoadedJob, DatasetStore]:
    region = folder / "region"
    if not region.exists():
        write_region(region, 3, jsonl_bytes=60_000, texts=5)
    content = job(folder / "data", folder / "spool", f"{region}/lines/*.jsonl", f"{region}/texts/*.txt")
    loaded = parse_job(write_job(folder / "job.yaml", content).read_text(), "job.yaml", os.environ)
    return loaded, open_store(loaded.job.dataset, writable=True)


def test_a_driver_without_beam_hauls_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "beam").mkdir()
    loaded, store = prepared(tmp_path / "beam")
    assert haul_on_beam(loaded, store, HaulOptions()).exit_code == EXIT_OK
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "region").symlink_to(tmp_path / "beam" / "region")
    loaded, store = prepared(tmp_path / "loop")
    outcome = haul(loaded, store, HaulOptions(), LoopDriver())
    assert outcome.exit_code == EXIT_OK
    assert outcome.run.shards_committed == outcome.run.shards_planned > 0
    assert data_digests(tmp_path / "loop" / "data") == data_digests(tmp_path / "beam" / "data")


def test_a_runner_that_fails_leaves_the_rest_to_the_next_run_and_is_named_once_nothing_goes_on(
    tmp_path: Path,
) -> None:
    loaded, store = prepared(tmp_path)
    seen = Seen()
    dead = DeadRunner(DriverResult("FAILED: gone", failed=True))
    outcome = haul(loaded, store, HaulOptions(runner="FarRunner"), dead, seen)
    assert outcome.exit_code == EXIT_INCOMPLETE
    assert outcome.messages == (
        f"{outcome.run.shards_left} shards were not hauled (runner state FAILED: gone);"
        " run the same command again",
    )
    assert seen.order[-2:] == ["finishing", "runner FarRunner: FAILED: gone"]


def test_what_would_stop_the_next_run_too_is_raised(tmp_path: Path) -> None:
    loaded, store = prepared(tmp_path)
    lasting = SkyhaulError("a worker stopped: a bug")
    dead = DeadRunner(DriverResult("FAILED: x", failed=True, lasting=lasting))
    with pytest.raises(SkyhaulError) as raised:
        haul(loaded, store, HaulOptions(runner="FarRunner"), dead)
    assert raised.value is lasting


def test_neither_hauling_nor_its_driver_imports_beam_before_a_pipeline_is_built() -> None:
    code = (
        "import sys, skyhaul.hauling.run, skyhaul.hauling.conductor;"
        "assert not [name for name in sys.modules if name.startswith('skyhaul.beam')];"
        "import skyhaul.beam.driver;"
        "assert 'apache_beam' not in sys.modules;"
        "from skyhaul.beam import HaulShards;"
        "assert 'apache_beam' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
