"""The worker's side by itself: the boot command's contract and the pool, on Beam's own job service."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import LOOPBACK, Processes, answers, free_port, processes

from flink.rig import BIN, Haul, harnesses, is_gone, until, worker_pool, write_corpus
from skyhaul.worker.pool import Harness, WorkerPool
from skyhaul_schemas.errors import EXIT_USAGE


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Processes]:
    with processes(tmp_path / "logs") as started:
        yield started


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "notes")


def job_service(children: Processes) -> str:
    """Beam's Python job service: a PortableRunner's other end, apart from the client."""
    port = free_port()
    module = "apache_beam.runners.portability.local_job_service_main"
    children.start("job-service", [sys.executable, "-m", module, "--port", str(port)])
    children.wait_for("job-service", lambda: answers(port), 30)
    return f"{LOOPBACK}:{port}"


def pooled(children: Processes, pool: str) -> list[str]:
    return [
        *("--runner", "PortableRunner", "--", f"--job_endpoint={job_service(children)}"),
        *("--environment_type=EXTERNAL", f"--environment_config={pool}"),
    ]


def boot(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "skyhaul-worker-boot"), *arguments], capture_output=True, text=True, timeout=60
    )


def test_the_boot_command_tells_what_is_installed() -> None:
    told = boot("--check")
    assert told.returncode == 0
    assert told.stdout.startswith("skyhaul ")
    assert "apache-beam 2." in told.stdout
    assert "pyarrow " in told.stdout


def test_the_boot_command_without_a_runner_says_what_it_is_for() -> None:
    refused = boot("--id=1")
    assert refused.returncode == EXIT_USAGE
    assert refused.stderr.splitlines()[-1].startswith("skyhaul-worker-boot: no --id and --provision_endpoint")


def test_a_harness_whose_pool_has_ended_does_not_start() -> None:
    refused = boot("--id=1", f"--provision_endpoint={LOOPBACK}:1", "--die-with-parent=1")
    assert refused.returncode != 0
    assert "the worker pool 1 has ended" in refused.stderr


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss (iproute2) is not installed")
def test_a_pool_listens_on_loopback_alone(children: Processes) -> None:
    with worker_pool(children) as address:
        port = int(address.rpartition(":")[2])
        command = ["ss", "-Hltn", f"sport = :{port}"]
        sockets = subprocess.run(command, capture_output=True, text=True, check=True)
        listening = [line.split()[3] for line in sockets.stdout.splitlines()]
        assert listening in ([address], [f"[::ffff:{LOOPBACK}]:{port}"])  # gRPC maps it into IPv6


@pytest.mark.slow
def test_a_haul_through_a_job_service_and_a_pool_gives_the_local_bytes(
    tmp_path: Path, corpus: Path, children: Processes
) -> None:
    local, cluster = Haul(tmp_path / "local", corpus), Haul(tmp_path / "cluster", corpus)
    assert local.run() == 0
    with worker_pool(children) as pool:
        assert cluster.run(pooled(children, pool)) == 0
    assert cluster.digest() == local.digest()
    assert cluster.is_sound()


@pytest.mark.slow
def test_a_submitted_haul_records_itself_after_its_client_has_ended(
    tmp_path: Path, corpus: Path, children: Processes
) -> None:
    local, cluster = Haul(tmp_path / "local", corpus), Haul(tmp_path / "cluster", corpus, rate="4Mbit/s")
    assert local.run() == 0
    with worker_pool(children) as pool:
        run = cluster.submit(pooled(children, pool))
        assert cluster.files("_skyhaul/runs") == {}, "nobody has waited for the haul"
        until(lambda: cluster.files("_skyhaul/runs") != {}, 60)
    ((name, record),) = cluster.files("_skyhaul/runs").items()
    assert run in name
    assert json.loads(record)["outcome"] == "done"
    assert cluster.digest() == local.digest()
    assert (Path(cluster.dataset) / "README.md").exists()
    assert cluster.is_sound()


@pytest.mark.slow
def test_a_pool_killed_takes_its_harnesses_along(tmp_path: Path, corpus: Path, children: Processes) -> None:
    haul = Haul(tmp_path / "cluster", corpus, rate="2Mbit/s")
    with worker_pool(children) as pool:
        client = haul.start(pooled(children, pool))
        until(lambda: haul.committed() > 0)
        running = harnesses()
        assert running
        children.kill("pool")  # SIGKILL: no clean-up of its own
        until(lambda: all(is_gone(pid) for pid in running), 5)
        client.kill()
        client.wait()


@pytest.mark.slow
def test_a_pool_asked_to_stop_ends_its_harnesses_first(
    tmp_path: Path, corpus: Path, children: Processes
) -> None:
    haul = Haul(tmp_path / "cluster", corpus, rate="2Mbit/s")
    with worker_pool(children) as pool:
        client = haul.start(pooled(children, pool))
        until(lambda: haul.committed() > 0)
        running = harnesses()
        children["pool"].send_signal(signal.SIGTERM)
        assert children["pool"].wait(30) == 128 + signal.SIGTERM
        assert all(is_gone(pid) for pid in running)
        client.kill()
        client.wait()


def test_one_id_runs_once_in_a_pool() -> None:
    import threading

    pool = WorkerPool()
    thread = threading.Thread(target=pool.serve)
    thread.start()
    nowhere = f"{LOOPBACK}:{free_port()}"
    try:
        pool.start(Harness("1-1", nowhere, nowhere, nowhere, nowhere))
        with pytest.raises(Exception, match="two TaskManagers cannot share one pool"):
            pool.start(Harness("1-1", nowhere, nowhere, nowhere, nowhere))
        (pid,) = pool.running().values()
    finally:
        pool.close()
        thread.join(20)
    assert is_gone(pid)
    assert os.getpid() != pid


@pytest.mark.slow
def test_a_pipeline_of_somebody_elses_through_a_job_service_and_a_pool_reads_what_it_hauled(
    tmp_path: Path, corpus: Path, children: Processes
) -> None:
    haul, result = Haul(tmp_path / "haul", corpus), tmp_path / "rows.json"
    with worker_pool(children) as pool:
        _, runner, _, *options = pooled(children, pool)
        command = [sys.executable, str(Path(__file__).with_name("foreign_pipeline.py")), str(haul.job)]
        subprocess.run([*command, str(result), f"--runner={runner}", *options], check=True, timeout=100)
    due = sorted([record["shard"], record["records"]["written"]] for record in haul.commits())
    assert json.loads(result.read_text()) == due
    assert due
