"""The real Flink of the examples: it comes up, loses a TaskManager and its JobManager, and goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import standalone
from standalone import JOB_MANAGER, Standalone

from flink.rig import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(300)]

LOCAL = {"127.0.0.1", "::ffff:127.0.0.1"}


def test_every_socket_of_the_cluster_is_on_loopback(whole: Standalone) -> None:
    for name in (JOB_MANAGER, "taskmanager-1"):
        open_to_others = [socket for socket in listening(whole.children[name].pid) if socket[0] not in LOCAL]
        assert open_to_others == [], name


def test_a_killed_task_manager_is_missed_and_replaced(whole: Standalone) -> None:
    whole.children.kill("taskmanager-1")
    until(lambda: whole.task_managers() == 1, 20)
    whole.start_task_manager(1)
    until(lambda: whole.task_managers() == 2, standalone.READY)


def test_task_managers_come_back_to_a_restarted_job_manager_that_knows_no_jobs(whole: Standalone) -> None:
    whole.children.kill(JOB_MANAGER)
    whole.start_job_manager()
    until(lambda: whole.task_managers() == 2, standalone.READY)
    assert whole.jobs() == {}


def listening(pid: int) -> set[tuple[str, int]]:
    """Addresses and ports that the process listens on, from /proc."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found: set[tuple[str, int]] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, _, port = fields[1].partition(":")
                found.add((_address(host), int(port, 16)))
    return found


def _address(packed: str) -> str:
    if len(packed) == 8:
        return ".".join(str(byte) for byte in reversed(bytes.fromhex(packed)))
    if packed.startswith("0000000000000000FFFF0000"):
        return "::ffff:" + _address(packed[24:])
    return packed
