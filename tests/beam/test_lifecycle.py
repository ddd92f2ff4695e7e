"""What a process holds for a haul is opened when it is first needed and closed with the last step that uses
it: pipelines one after the other, at once, in other processes, over a plan that grows."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from tests.beam.rig import ADAPTERS, committed, job_of, open_files, pipeline, threads, write_texts
from tests.faults.hostile_http import HostileServer

from skyhaul.beam import Haul
from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.contexts import CONTEXTS
from skyhaul.hauling.preparation import prepare_haul
from skyhaul.planning.extend_plan import extend_plan
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import load_job

SHARDS = 6


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("server") / "texts", SHARDS)


@pytest.fixture(scope="module")
def server(texts: Path) -> Iterator[HostileServer]:
    with HostileServer(texts) as running:
        yield running


def over_http(folder: Path, server: HostileServer) -> Path:
    return job_of(folder, {"texts": {"url": f"{server.url}*.txt"}})


def haul(job: Path, adapter: str, *options: str, shards: int = SHARDS) -> None:
    with pipeline(*options) as made:
        found = made | Haul(str(job), adapter=adapter)  # type: ignore[arg-type]
        assert_that(found.shards | beam.Map(lambda r: r.shard), equal_to(list(range(shards))))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_pipelines_one_after_the_other_leave_no_thread_no_file_and_no_lock(
    adapter: str, server: HostileServer, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        job = over_http(tmp_path / name, server)
        haul(job, adapter)
        assert threads() == []
        assert open_files(tmp_path) == []
        # The lock of its spool is free, and what stands is read.
        haul(job, adapter)
        assert threads() == []
        assert open_files(tmp_path) == []


def test_two_pipelines_at_once_over_one_plan_and_two_over_two(server: HostileServer, tmp_path: Path) -> None:
    first, second = over_http(tmp_path / "first", server), over_http(tmp_path / "second", server)
    failed: list[BaseException] = []

    def run(job: Path, adapter: str) -> None:
        try:
            haul(job, adapter)
        except Exception as error:  # noqa: BLE001  # told by the test's own thread
            failed.append(error)

    prepare_haul(first, HaulOptions())
    running = [
        threading.Thread(target=run, args=(job, adapter))
        for job, adapter in ((first, "lots"), (first, "splittable"), (second, "lots"))
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert failed == []
    assert threads() == []
    assert open_files(tmp_path) == []
    assert len(committed(first)) == len(committed(second)) == SHARDS


def test_a_plan_that_grew_between_is_hauled_whole_under_the_same_id(tmp_path: Path) -> None:
    folder = write_texts(tmp_path / "texts", SHARDS)
    with HostileServer(folder) as server:
        job = over_http(tmp_path / "haul", server)
        config = prepare_haul(job, HaulOptions())
        lease = CONTEXTS.lease()
        for grown in (0, 1):
            if grown:
                (folder / "more.txt").write_text("one more")
                loaded = load_job(job, os.environ)
                with closing(open_store(config.dataset, writable=True)) as store:
                    extend_plan(loaded, store)
            with pipeline() as made:
                found = made | Haul(config)
                assert_that(found.shards | beam.Map(lambda r: r.shard), equal_to(list(range(SHARDS + grown))))
            if not grown:
                # Somebody of this process has the plan as it was still open.
                lease.context(config, next(iter(committed(job).values())).plan)
        lease.close()
    assert threads() == []
    assert open_files(tmp_path) == []


def test_a_lot_of_a_plan_that_is_gone_is_refused_and_leaves_nothing_open(tmp_path: Path) -> None:
    folder = write_texts(tmp_path / "texts", 1)
    with HostileServer(folder) as server:
        config = prepare_haul(over_http(tmp_path / "haul", server), HaulOptions())
        with CONTEXTS.lease() as lease, pytest.raises(UsageError, match="start the pipeline again"):
            lease.context(replace(config, run="another"), "0" * 64)
    assert threads() == []
    assert open_files(tmp_path) == []


def test_a_context_closes_with_its_last_lease(tmp_path: Path) -> None:
    folder = write_texts(tmp_path / "texts", 1)
    with HostileServer(folder) as server:
        job = over_http(tmp_path / "haul", server)
        config = prepare_haul(job, HaulOptions())
        plan = plan_of(job)
        first, second = CONTEXTS.lease(), CONTEXTS.lease()
        context = first.context(config, plan)
        assert second.context(config, plan) is first.context(config, plan) is context
        second.close()
        second.close()
        assert CONTEXTS.find(config.run) is context
        first.close()
        assert CONTEXTS.find(config.run) is None
    assert threads() == []


def plan_of(job: Path) -> str:
    store = open_store(str(job.parent / "out"), writable=False)
    with closing(store), closing(Plan.open(store)) as plan:
        return plan.header.digest
