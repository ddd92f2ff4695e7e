"""One Flink, one Prism and one S3 server for all tests of this folder, skipped with the reason where a part
cannot be had. `pytest -m "not slow" tests/flink` runs what CI runs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import demo
import fetch
import pytest
import standalone
from fetch import OFFLINE
from object_store import ObjectStore
from processes import Unavailable, processes
from standalone import JOB_MANAGER, Standalone

from flink.engine import Engine
from flink.rig import Haul, NewHaul, is_gone, write_corpus
from skyhaul_schemas.errors import EXIT_OK
from stores.s3_server import s3

__all__ = ["s3"]

RESTARTS = 4
"""How often Flink starts a job again here: as few as the tests need, since some use them all up."""


@pytest.fixture(scope="session")
def offline() -> Iterator[None]:
    """Nothing is fetched or built unless SKYHAUL_TEST_DOWNLOADS is set, as CI does."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("SKYHAUL_TEST_DOWNLOADS"):
            patch.setenv(OFFLINE, "1")
        yield


@pytest.fixture(scope="session")
def cluster(offline: None, s3: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A JobManager and two TaskManagers of one slot, with the S3 server's keys in their environment."""
    folder = tmp_path_factory.mktemp("flink")
    with processes(folder / "logs") as children:
        try:
            fetch.job_server_jar()
            running = standalone.start(children, folder, restarts=RESTARTS)
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


@pytest.fixture(scope="session")
def job_server(cluster: Standalone) -> str:
    return cluster.start_job_server()


@pytest.fixture
def flink(whole: Standalone, job_server: str) -> Engine:
    return Engine("flink", whole.children, job_server, whole)


@pytest.fixture(scope="session")
def prism(offline: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("prism")
    with processes(folder / "logs") as children:
        try:
            yield Engine("prism", children, demo.start_prism(children), None)
        except Unavailable as reason:
            pytest.skip(f"no Prism: {reason}")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "notes")


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> str:
    """The local runner's digest."""
    haul = Haul(tmp_path_factory.mktemp("local") / "haul", corpus)
    assert haul.run() == EXIT_OK
    return haul.digest()


@pytest.fixture
def new_haul(tmp_path: Path, corpus: Path, request: pytest.FixtureRequest) -> NewHaul:
    """Makes hauls over the corpus: `new_haul("s3", rate="1Mbit/s")`, with the dataset on disk or on S3."""
    numbers = itertools.count()

    def make(where: str = "disk", **options: str) -> Haul:
        store = request.getfixturevalue("s3") if where == "s3" else None
        return Haul(tmp_path / f"haul-{next(numbers)}", corpus, store=store, **options)

    return make
