"""The same plan on a cluster, hurt in every way that a cluster can be, is the same bytes.

Flink where Java, its distribution and the job server can be had; Prism where Go can build it. Both are
job servers apart from the client here, with one worker process a slot.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import demo
import fetch
import pytest
from processes import Processes, Unavailable, processes
from standalone import JOB_MANAGER, Standalone

from flink.rig import Haul, harnesses, is_gone, kill_harnesses, until, worker_pool, write_corpus
from skyhaul_schemas.errors import EXIT_INCOMPLETE, EXIT_OK

pytestmark = pytest.mark.timeout(400)

CLIENT_ENDS = 240.0
"""Seconds that a client may take, Flink's restarts and a busy machine included."""


class Engine:
    """A running engine: its job server as a client names it, and its processes."""

    def __init__(self, name: str, children: Processes, endpoint: str, cluster: Standalone | None) -> None:
        self.name = name
        self.children = children
        self.endpoint = endpoint
        self.cluster = cluster
        self.options = self.at(2)

    def at(self, parallelism: int) -> list[str]:
        master = [f"--flink_master={self.cluster.master}"] if self.cluster else []
        return [*demo.portable_options(self.endpoint, parallelism), *master]

    def with_pool(self, address: str) -> list[str]:
        kept = [o for o in self.at(1) if not o.startswith("--environment")]
        return [*kept, "--environment_type=EXTERNAL", f"--environment_config={address}"]


@pytest.fixture(scope="module")
def prism(offline: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("prism")
    with processes(folder / "logs") as children:
        try:
            yield Engine("prism", children, demo.start_prism(children), None)
        except Unavailable as reason:
            pytest.skip(f"no Prism: {reason}")


@pytest.fixture(scope="module")
def job_server(cluster: Standalone) -> str:
    return cluster.start_job_server()


@pytest.fixture
def flink(whole: Standalone, job_server: str) -> Engine:
    return Engine("flink", whole.children, job_server, whole)


@pytest.fixture(params=["prism", pytest.param("flink", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]  # pytest's


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
    assert haul.run(engine.at(parallelism)) == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.slow
def test_a_haul_on_four_slots_gives_the_local_bytes(
    tmp_path: Path, corpus: Path, flink: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus)
    assert flink.cluster
    for number in (3, 4):
        flink.cluster.start_task_manager(number)
    until(lambda: flink.cluster is not None and flink.cluster.task_managers() == 4, 90)
    assert haul.run(flink.at(4)) == EXIT_OK
    for number in (3, 4):
        flink.children.kill_group(f"taskmanager-{number}")
    assert haul.digest() == local


@pytest.mark.slow
def test_flink_runner_starts_the_job_server_itself_and_gives_the_local_bytes(
    tmp_path: Path, corpus: Path, flink: Engine, local: str
) -> None:
    assert flink.cluster
    haul = Haul(tmp_path / "haul", corpus)
    options = [
        *("--runner", "FlinkRunner", "--", "--flink_version=1.19", "--parallelism=2"),
        f"--flink_master={flink.cluster.master}",
        f"--flink_job_server_jar={fetch.job_server_jar()}",
        *demo.worker_options(),
    ]
    assert haul.run(options) == EXIT_OK
    assert haul.digest() == local


@pytest.mark.slow
def test_a_killed_harness_costs_a_second_run_at_most(
    tmp_path: Path, corpus: Path, engine: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="1Mbit/s")
    client = haul.start(engine.options)
    until(lambda: haul.committed() > 2, 120)
    assert kill_harnesses()
    # Prism fails the job with its harness; Flink restarts it.
    assert client.wait(CLIENT_ENDS) in ((EXIT_OK,) if engine.name == "flink" else (EXIT_INCOMPLETE,))
    finish(haul, engine.options)
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.slow
def test_a_killed_task_manager_is_replaced_and_the_job_goes_on(
    tmp_path: Path, corpus: Path, flink: Engine, local: str
) -> None:
    assert flink.cluster
    haul = Haul(tmp_path / "haul", corpus, rate="1Mbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 2, 120)
    workers = harnesses()
    flink.children.kill("taskmanager-1")
    flink.cluster.start_task_manager(1)
    assert client.wait(CLIENT_ENDS) == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()
    until(lambda: all(is_gone(pid) for pid in workers), 60)  # the lost TaskManager's own too


@pytest.mark.slow
def test_a_cancelled_job_is_incomplete_and_the_same_command_finishes_it(
    tmp_path: Path, corpus: Path, flink: Engine, local: str
) -> None:
    assert flink.cluster
    haul = Haul(tmp_path / "haul", corpus, rate="1Mbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 0, 120)
    for job, state in flink.cluster.jobs().items():
        if state == "RUNNING":
            flink.cluster.cancel(job)
    assert client.wait(CLIENT_ENDS) == EXIT_INCOMPLETE
    left = haul.committed()
    finish(haul, flink.options)
    assert haul.committed() > left
    assert haul.digest() == local


@pytest.mark.slow
def test_after_a_restart_of_the_job_manager_the_same_command_finishes(
    tmp_path: Path, corpus: Path, flink: Engine, local: str
) -> None:
    assert flink.cluster
    haul = Haul(tmp_path / "haul", corpus, rate="500kbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 0, 120)
    flink.children.kill(JOB_MANAGER)
    flink.cluster.mend()
    assert client.wait(CLIENT_ENDS) == EXIT_INCOMPLETE
    finish(haul, flink.options)
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.slow
def test_a_client_that_is_gone_leaves_a_haul_that_the_same_command_finishes(
    tmp_path: Path, corpus: Path, flink: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="1Mbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 0, 120)
    client.kill()
    client.wait()
    finish(haul, flink.options)  # while the first one's workers may still be at it
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.slow
def test_an_interrupted_client_cancels_the_job_and_the_same_command_finishes_it(
    tmp_path: Path, corpus: Path, flink: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="200kbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 0, 120)
    client.send_signal(signal.SIGINT)
    assert client.wait(60) == 130
    assert flink.cluster
    cluster = flink.cluster
    until(lambda: set(cluster.jobs().values()) <= {"CANCELED", "FINISHED", "FAILED"}, 10)
    left = haul.committed()
    assert left < 20
    finish(haul, flink.options)
    assert haul.committed() > left
    assert haul.digest() == local


@pytest.mark.slow
def test_a_worker_pool_killed_with_its_group_costs_a_second_run(
    tmp_path: Path, corpus: Path, flink: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="1Mbit/s")
    with worker_pool(flink.children, "first-pool") as address:
        client = haul.start(flink.with_pool(address))
        until(lambda: haul.committed() > 2, 120)
        flink.children.kill_group("first-pool")
        assert client.wait(CLIENT_ENDS) == EXIT_INCOMPLETE
    with worker_pool(flink.children, "second-pool") as address:
        finish(haul, flink.with_pool(address))
    flink.children.kill_group("second-pool")
    assert haul.digest() == local


@pytest.mark.slow
def test_a_job_server_that_is_gone_is_incomplete_and_a_new_one_finishes_the_haul(
    tmp_path: Path, corpus: Path, engine: Engine, local: str
) -> None:
    haul = Haul(tmp_path / "haul", corpus, rate="1Mbit/s")
    name = f"lost-{engine.name}"
    if engine.cluster:
        endpoint = engine.cluster.start_job_server(name)
    else:
        endpoint = demo.start_prism(engine.children, name)
    client = haul.start(demo.portable_options(endpoint, 2))
    until(lambda: haul.committed() > 2, 120)
    engine.children.kill(name)
    assert client.wait(CLIENT_ENDS) == EXIT_INCOMPLETE
    finish(haul, engine.options)
    assert haul.digest() == local


@pytest.mark.slow
@pytest.mark.parametrize("rate", [None, "2Mbit/s"])
def test_the_splittable_adapter_on_a_runner_that_splits_gives_the_local_bytes(
    tmp_path: Path, corpus: Path, offline: None, local: str, rate: str | None
) -> None:
    try:
        program = fetch.go_tool("prism")
    except Unavailable as reason:
        pytest.skip(f"no Prism: {reason}")
    haul = Haul(tmp_path / "haul", corpus, rate=rate)
    # PrismRunner, unlike a job server apart, is known to split: see adapter_for.
    options = ["--runner", "PrismRunner", "--", f"--prism_location={program}", *demo.worker_options()]
    assert haul.run(options) == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()
