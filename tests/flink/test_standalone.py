"""The real Flink of the examples: it comes up, loses a TaskManager and its JobManager, and goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import standalone
from fetch import OFFLINE
from processes import Unavailable, processes
from standalone import JOB_MANAGER, Standalone

from flink.rig import is_gone, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    folder = tmp_path_factory.mktemp("flink")
    with pytest.MonkeyPatch.context() as patch, processes(folder / "logs") as children:
        if not os.environ.get("SKYHAUL_TEST_DOWNLOADS"):
            patch.setenv(OFFLINE, "1")
        try:
            running = standalone.start(children, folder)
        except Unavailable as reason:
            pytest.skip(f"no Flink: {reason}")
        pids = [children[name].pid for name in (JOB_MANAGER, "taskmanager-1", "taskmanager-2")]
        yield running
        children.end_all()
        assert all(is_gone(pid) for pid in pids)


def test_every_socket_of_the_cluster_is_on_loopback(cluster: Standalone) -> None:
    for name in (JOB_MANAGER, "taskmanager-1"):
        assert listening(cluster.children[name].pid) <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_a_killed_task_manager_is_missed_and_replaced(cluster: Standalone) -> None:
    cluster.children.kill("taskmanager-1")
    until(lambda: cluster.task_managers() == 1, 20)
    cluster.start_task_manager(1)
    until(lambda: cluster.task_managers() == 2, standalone.READY)


def test_task_managers_come_back_to_a_restarted_job_manager_that_knows_no_jobs(cluster: Standalone) -> None:
    cluster.children.kill(JOB_MANAGER)
    cluster.start_job_manager()
    until(lambda: cluster.task_managers() == 2, standalone.READY)
    assert cluster.jobs() == {}


def listening(pid: int) -> set[str]:
    """Addresses that the process listens on, from /proc."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(_address(fields[1].partition(":")[0]))
    return found


def _address(packed: str) -> str:
    if len(packed) == 8:
        return ".".join(str(byte) for byte in reversed(bytes.fromhex(packed)))
    if packed.startswith("0000000000000000FFFF0000"):
        return "::ffff:" + _address(packed[24:])
    return packed
