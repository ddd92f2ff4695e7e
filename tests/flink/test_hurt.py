"""A cluster hurt in every way that a cluster can be loses no shard, doubles none, and changes no byte."""

from __future__ import annotations

import signal
import time

import pytest
from standalone import JOB_MANAGER

from flink.engine import CLIENT_ENDS, Engine, finish
from flink.rig import NewHaul, harnesses, is_gone, kill_harnesses, until, worker_pool
from skyhaul_schemas.errors import EXIT_INCOMPLETE, EXIT_OK

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]

slow = pytest.mark.slow
on_s3_and_disk = pytest.mark.parametrize("where", ["s3", pytest.param("disk", marks=slow)])


@on_s3_and_disk
def test_a_killed_task_manager_is_replaced_and_the_job_goes_on(
    new_haul: NewHaul, flink: Engine, local: str, where: str
) -> None:
    haul = new_haul(where, rate="1Mbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 2, 120)
    workers = harnesses()
    flink.children.kill("taskmanager-1")
    flink.cluster.start_task_manager(1)
    assert client.wait(CLIENT_ENDS) == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()
    until(lambda: all(is_gone(pid) for pid in workers), 60)  # the lost TaskManager's own too


@on_s3_and_disk
def test_a_worker_pool_killed_with_its_group_costs_a_second_run(
    new_haul: NewHaul, flink: Engine, local: str, where: str
) -> None:
    haul = new_haul(where, rate="1Mbit/s")
    with worker_pool(flink.children, "first-pool") as address:
        client = haul.start(flink.with_pool(address))
        until(lambda: haul.committed() > 2, 120)
        flink.children.kill_group("first-pool")
        assert client.wait(CLIENT_ENDS) == EXIT_INCOMPLETE
    with worker_pool(flink.children, "second-pool") as address:
        finish(haul, flink.with_pool(address))
    flink.children.kill_group("second-pool")
    assert haul.digest() == local
    assert haul.is_sound()


@on_s3_and_disk
def test_a_cancelled_job_is_incomplete_and_the_same_command_finishes_it(
    new_haul: NewHaul, flink: Engine, local: str, where: str
) -> None:
    haul = new_haul(where, rate="500kbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 0, 120)
    (job,) = flink.running_jobs()
    flink.cluster.cancel(job)
    assert client.wait(CLIENT_ENDS) == EXIT_INCOMPLETE
    left = haul.committed()
    assert left < 20
    finish(haul, flink.options)
    assert haul.digest() == local
    assert haul.is_sound()


@slow
@pytest.mark.parametrize("where", ["s3", "disk"])
def test_a_killed_harness_is_replaced_and_the_job_goes_on(
    new_haul: NewHaul, flink: Engine, local: str, where: str
) -> None:
    haul = new_haul(where, rate="1Mbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 2, 120)
    assert kill_harnesses()
    assert client.wait(CLIENT_ENDS) == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()


@slow
def test_a_haul_whose_harness_was_killed_on_prism_is_interrupted_and_another_prism_finishes_it(
    new_haul: NewHaul, prism: Engine, local: str
) -> None:
    """Prism 2.77 does not end such a job, nor start the worker again."""
    haul = new_haul(rate="1Mbit/s")
    client = haul.start(prism.at(2, prism.another_job_server("first-prism")))
    until(lambda: haul.committed() > 2, 120)
    assert kill_harnesses()
    time.sleep(3)
    client.send_signal(signal.SIGINT)
    # 75 where Prism has failed the job before the signal came.
    assert client.wait(60) in (128 + signal.SIGINT, EXIT_INCOMPLETE)
    prism.children.kill_group("first-prism")
    assert haul.committed() < 20
    finish(haul, prism.at(2, prism.another_job_server("second-prism")))
    prism.children.kill_group("second-prism")
    assert haul.digest() == local
    assert haul.is_sound()


@slow
@pytest.mark.parametrize("where", ["s3", "disk"])
def test_after_a_restart_of_the_job_manager_the_same_command_finishes(
    new_haul: NewHaul, flink: Engine, local: str, where: str
) -> None:
    haul = new_haul(where, rate="300kbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 0, 120)
    flink.children.kill(JOB_MANAGER)
    flink.cluster.mend()
    assert client.wait(CLIENT_ENDS) == EXIT_INCOMPLETE
    finish(haul, flink.options)
    assert haul.digest() == local
    assert haul.is_sound()


@slow
@pytest.mark.parametrize("where", ["s3", "disk"])
def test_a_client_that_is_gone_leaves_a_haul_that_the_same_command_finishes(
    new_haul: NewHaul, flink: Engine, local: str, where: str
) -> None:
    haul = new_haul(where, rate="1Mbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 0, 120)
    client.kill()
    client.wait()
    finish(haul, flink.options)  # while the first one's workers may still be at it
    assert haul.digest() == local
    assert haul.is_sound()


@slow
def test_an_interrupted_client_cancels_the_job_and_the_same_command_finishes_it(
    new_haul: NewHaul, flink: Engine, local: str
) -> None:
    haul = new_haul("s3", rate="200kbit/s")
    client = haul.start(flink.options)
    until(lambda: haul.committed() > 0, 120)
    client.send_signal(signal.SIGINT)
    assert client.wait(60) == 128 + signal.SIGINT
    until(lambda: not flink.running_jobs(), 10)
    left = haul.committed()
    assert left < 20
    finish(haul, flink.options)
    assert haul.digest() == local


@slow
@pytest.mark.parametrize("name", ["flink", "prism"])
def test_a_job_server_that_is_gone_is_incomplete_and_a_new_one_finishes_the_haul(
    request: pytest.FixtureRequest, new_haul: NewHaul, local: str, name: str
) -> None:
    engine: Engine = request.getfixturevalue(name)
    haul = new_haul(rate="1Mbit/s")
    client = haul.start(engine.at(2, engine.another_job_server("lost")))
    until(lambda: haul.committed() > 2, 120)
    engine.children.kill("lost")
    assert client.wait(CLIENT_ENDS) == EXIT_INCOMPLETE
    finish(haul, engine.options)
    assert haul.digest() == local
