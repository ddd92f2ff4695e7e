"""The same plan on a cluster, hurt in every way that a cluster can be, is the same bytes.

Flink where Java, its distribution and Beam's job server jar can be had; Prism where Go can build it.
Both are job servers apart from the client here, with one worker process a slot.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import demo
import pytest
from fetch import OFFLINE
from processes import Processes, Unavailable, processes

from flink.rig import Haul, kill_harnesses, until, worker_pool, write_corpus
from skyhaul_schemas.errors import EXIT_INCOMPLETE, EXIT_OK


class Engine:
    """A running cluster: how a client names it, and its processes."""

    def __init__(self, name: str, children: Processes, options: list[str]) -> None:
        self.name = name
        self.children = children
        self.options = options

    def with_pool(self, address: str) -> list[str]:
        kept = [o for o in self.options if not o.startswith(("--environment", "--parallelism"))]
        return [*kept, "--parallelism=1", "--environment_type=EXTERNAL", f"--environment_config={address}"]


@pytest.fixture(scope="module", params=["prism", "flink"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch, processes(folder / "logs") as children:
        if not os.environ.get("SKYHAUL_TEST_DOWNLOADS"):
            patch.setenv(OFFLINE, "1")
        try:
            options = demo.ENGINES[request.param](children, folder, 2)
        except Unavailable as reason:
            pytest.skip(f"no {request.param}: {reason}")
        yield Engine(request.param, children, options)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "notes")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> str:
    """The local runner's digest."""
    haul = Haul(tmp_path_factory.mktemp("local") / "haul", corpus)
    assert haul.run() == EXIT_OK
    return haul.digest()


def finish(haul: Haul, options: list[str]) -> None:
    """What a user does: the same command again, while it says that there is more."""
    for _ in range(3):
        if haul.run(options) == EXIT_OK:
            return
    pytest.fail("three more runs did not finish the haul")


@pytest.mark.parametrize("parallelism", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_haul_gives_the_local_bytes(
    tmp_path: Path, corpus: Path, engine: Engine, local: str, parallelism: int
) -> None:
    haul = Haul(tmp_path / "haul", corpus)
    options = [o.replace("--parallelism=2", f"--parallelism={parallelism}") for o in engine.options]
    assert haul.run(options) == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()


def test_a_killed_harness_costs_a_second_run_at_most(
    tmp_path: Path, corpus: Path, engine: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="2Mbit/s")
    client = haul.start(engine.options)
    until(lambda: haul.committed() > 2)
    assert kill_harnesses()
    # Prism fails the job with its harness; Flink restarts it.
    assert client.wait(110) in (EXIT_OK, EXIT_INCOMPLETE)
    finish(haul, engine.options)
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.slow
def test_a_client_that_is_gone_leaves_a_haul_that_the_same_command_finishes(
    tmp_path: Path, corpus: Path, engine: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="2Mbit/s")
    client = haul.start(engine.options)
    until(lambda: haul.committed() > 0)
    client.kill()
    client.wait()
    finish(haul, engine.options)  # while the first one's workers may still be at it
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.slow
def test_an_interrupted_client_cancels_the_job_and_the_same_command_finishes_it(
    tmp_path: Path, corpus: Path, engine: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="2Mbit/s")
    client = haul.start(engine.options)
    until(lambda: haul.committed() > 0)
    client.send_signal(signal.SIGINT)
    assert client.wait(60) == 130
    left = haul.committed()
    finish(haul, engine.options)
    assert haul.committed() > left
    assert haul.digest() == local


@pytest.mark.slow
def test_a_worker_pool_killed_with_its_group_costs_a_second_run(
    tmp_path: Path, corpus: Path, engine: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="2Mbit/s")
    with worker_pool(engine.children, "first-pool") as address:
        client = haul.start(engine.with_pool(address))
        until(lambda: haul.committed() > 2)
        engine.children.kill_group("first-pool")
        assert client.wait(110) in (EXIT_OK, EXIT_INCOMPLETE)
    with worker_pool(engine.children, "second-pool") as address:
        finish(haul, engine.with_pool(address))
    engine.children.kill_group("second-pool")
    assert haul.digest() == local


@pytest.mark.slow
def test_a_job_server_that_is_gone_is_incomplete_and_a_new_one_finishes_the_haul(
    tmp_path: Path, corpus: Path, engine: Engine, local: str
) -> None:
    if engine.name != "prism":
        pytest.skip("FlinkRunner's job server belongs to the client")
    haul = Haul(tmp_path / "haul", corpus, rate="2Mbit/s")
    with processes(tmp_path / "logs") as children:
        client = haul.start(demo.prism_options(children, tmp_path, 2))
        until(lambda: haul.committed() > 2)
        children.kill("prism")
        assert client.wait(110) == EXIT_INCOMPLETE
    finish(haul, engine.options)
    assert haul.digest() == local
