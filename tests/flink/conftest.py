"""One Flink for all tests of this folder, skipped with the reason where none can be had."""

from __future__ import annotations

import os
from collections.abc import Iterator

import fetch
import pytest
import standalone
from fetch import OFFLINE
from processes import Unavailable, processes
from standalone import JOB_MANAGER, Standalone

from flink.rig import is_gone


@pytest.fixture(scope="session")
def offline() -> Iterator[None]:
    """Nothing is fetched or built unless SKYHAUL_TEST_DOWNLOADS is set, as CI does."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("SKYHAUL_TEST_DOWNLOADS"):
            patch.setenv(OFFLINE, "1")
        yield


@pytest.fixture(scope="session")
def cluster(offline: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A JobManager and two TaskManagers of one slot."""
    folder = tmp_path_factory.mktemp("flink")
    with processes(folder / "logs") as children:
        try:
            fetch.job_server_jar()
            running = standalone.start(children, folder)
        except Unavailable as reason:
            pytest.skip(f"no Flink: {reason}")
        yield running
        pids = [children[name].pid for name in (JOB_MANAGER, "taskmanager-1", "taskmanager-2")]
        children.end_all()
        assert all(is_gone(pid) for pid in pids)


@pytest.fixture
def whole(cluster: Standalone) -> Standalone:
    """The cluster with both TaskManagers there, whatever the last test did to them."""
    cluster.mend()
    return cluster
