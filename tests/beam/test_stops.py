"""A haul that is stopped: every shard that is left is put off, by either adapter, and no runner is told of an
error."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from tests.beam.rig import ADAPTERS, committed, job_of, pipeline, planned, write_texts
from tests.faults.hostile_http import HostileServer

from skyhaul.beam import Haul, runners
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulConfig, HaulOptions
from skyhaul.hauling.contexts import CONTEXTS
from skyhaul.hauling.preparation import prepare_haul
from skyhaul.hauling.run import HaulOutcome
from skyhaul_connectors.transfer.spool.disk import PosixDisk
from skyhaul_schemas.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_SIGTERM, BudgetSpent
from skyhaul_schemas.job.file import load_job

SHARDS, SIZE = 12, 40_000
THIN = {"emulate": True, "down": "1Mbit/s", "rtt": "20ms"}
"""A shard takes a third of a second."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileServer]:
    texts = write_texts(tmp_path_factory.mktemp("server") / "texts", SHARDS, SIZE)
    with HostileServer(texts) as running:
        yield running


def job(folder: Path, server: HostileServer, *, shared: bool = True, **link: Any) -> Path:
    """Its link is shared among workers, so that its lot is divisible."""
    if shared:
        link["shared"] = "store"
    source = {"url": f"{server.url}*.txt", "via": ["thin"]}
    more = {"ledger": str(folder / "ledger.sqlite"), "patience": "20s"}
    return job_of(folder / "haul", {"texts": source}, {"thin": {**THIN, **link}}, **more)


def check(job: Path, config: HaulConfig, adapter: str, kinds: set[str]) -> int:
    """How many were committed; that the others are put off, each once, for one of these kinds."""
    with pipeline() as made:
        haul = made | Haul(config, adapter=adapter)  # type: ignore[arg-type]
        seen = (haul.shards, haul.deferred) | "All" >> beam.Flatten()
        assert_that(
            seen | "Numbers" >> beam.Map(lambda r: r.shard), equal_to(list(range(SHARDS))), "each once"
        )
        found = haul.deferred | "Kinds" >> beam.Map(lambda r: r.kind) | beam.Distinct()
        assert_that(found, equal_to(sorted(kinds)), "kinds")
        failed = haul.failed | "Failed" >> beam.combiners.Count.Globally()
        assert_that(failed, equal_to([0]), "none failed")
    return len(committed(job))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_deadline_that_has_passed(adapter: str, server: HostileServer, tmp_path: Path) -> None:
    path = job(tmp_path, server)
    config = prepare_haul(path, HaulOptions(max_duration=-1.0))
    assert check(path, config, adapter, {"BudgetSpent"}) == 0


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_deadline_midway(adapter: str, server: HostileServer, tmp_path: Path) -> None:
    path = job(tmp_path, server)
    config = prepare_haul(path, HaulOptions())
    with once_committed(path, lambda: spend_budget(config.run)):
        assert 0 < check(path, config, adapter, {"BudgetSpent"}) < SHARDS


def spend_budget(run: str) -> None:
    """As the timer does; on a busy machine no time of the clock is midway."""
    context = CONTEXTS.find(run)
    assert context is not None
    context.control.stop(BudgetSpent("the time budget is over"))


@contextmanager
def once_committed(path: Path, act: Callable[[], None]) -> Iterator[None]:
    """Act as soon as there is a commit."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not committed(path):
            assert time.monotonic() < deadline, "nothing was committed"
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


@contextmanager
def full_after(count: int) -> Iterator[None]:
    """The spool's disk is full after so many writes."""
    before = PosixDisk.write_at
    left = [count]

    def write_at(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return before(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PosixDisk, "write_at", write_at)
        yield


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_disk_that_is_full(adapter: str, server: HostileServer, tmp_path: Path) -> None:
    path = job(tmp_path, server)
    config = prepare_haul(path, HaulOptions())
    with full_after(20):
        assert check(path, config, adapter, {"DiskFull"}) < SHARDS


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_cap_that_is_reached(adapter: str, server: HostileServer, tmp_path: Path) -> None:
    path = job(tmp_path, server, shared=False, cap="320kB/month")
    assert 0 < check(path, prepare_haul(path, HaulOptions()), adapter, {"CapSpent"}) < SHARDS


def run(path: Path, **options: Any) -> HaulOutcome:
    loaded = load_job(path, {})
    with closing(open_store(loaded.job.dataset, writable=True)) as store:
        return haul_on_beam(loaded, store, HaulOptions(**options))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_program_ends_with_75_and_goes_on_later(
    adapter: str, server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "adapter_for", lambda runner: adapter)
    path = job(tmp_path, server)
    outcome = run(path, max_duration=2.5)
    assert outcome.exit_code == EXIT_INCOMPLETE
    assert any("BudgetSpent" in line for line in outcome.messages)
    with full_after(10):
        assert run(path).exit_code == EXIT_INCOMPLETE
    assert run(path).exit_code == EXIT_OK


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_sigterm_ends_the_program_with_143(
    adapter: str, server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "adapter_for", lambda runner: adapter)
    path = job(tmp_path, server)
    planned(path)
    with once_committed(path, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        outcome = run(path)
    assert outcome.exit_code == EXIT_SIGTERM
    assert 0 < len(committed(path)) < SHARDS
