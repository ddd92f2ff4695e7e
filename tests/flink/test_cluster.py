"""The same plan on a cluster is the same bytes: Flink where Java, its distribution and the job server can be
had, Prism where Go can build it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import demo
import fetch
import pytest
from processes import Unavailable

from flink.engine import CLIENT_ENDS, Engine
from flink.rig import NewHaul, until
from links.sharing.redis_server import sharing
from skyhaul_schemas.errors import EXIT_OK

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.mark.parametrize(("parallelism", "where"), [(1, "disk"), (2, "s3")])
def test_a_haul_on_flink_gives_the_local_bytes(
    new_haul: NewHaul, flink: Engine, local: str, parallelism: int, where: str
) -> None:
    haul = new_haul(where)
    assert haul.run(flink.at(parallelism)) == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.parametrize("parallelism", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_haul_on_prism_gives_the_local_bytes(
    new_haul: NewHaul, prism: Engine, local: str, parallelism: int
) -> None:
    haul = new_haul()
    assert haul.run(prism.at(parallelism)) == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["flink", "prism"])
def test_a_submitted_haul_records_itself_though_nobody_waits(
    new_haul: NewHaul, request: pytest.FixtureRequest, local: str, engine: str
) -> None:
    haul = new_haul(rate="4Mbit/s")
    run = haul.submit(request.getfixturevalue(engine).at(2))
    assert haul.files("_skyhaul/runs") == {}, "the client has ended before the haul"
    until(lambda: haul.files("_skyhaul/runs") != {}, 120)
    ((name, record),) = haul.files("_skyhaul/runs").items()
    assert run in name
    assert json.loads(record)["outcome"] == "done"
    assert haul.digest() == local
    assert haul.is_sound()


@pytest.mark.slow
def test_a_haul_on_four_slots_gives_the_local_bytes(new_haul: NewHaul, flink: Engine, local: str) -> None:
    haul = new_haul("s3")
    for number in (3, 4):
        flink.cluster.start_task_manager(number)
    until(lambda: flink.cluster.task_managers() == 4, 90)
    code = haul.run(flink.at(4))
    for number in (3, 4):
        flink.children.kill_group(f"taskmanager-{number}")
    assert code == EXIT_OK
    assert haul.digest() == local


@pytest.mark.slow
@pytest.mark.parametrize(("way", "where"), [("redis", "disk"), ("store", "s3")])
def test_two_task_managers_share_a_link_and_keep_to_its_rate(
    new_haul: NewHaul, flink: Engine, local: str, tmp_path: Path, way: str, where: str
) -> None:
    with sharing(way, tmp_path) as shared:
        haul = new_haul(where, rate="1Mbit/s", shared=shared)
        assert haul.run(flink.options) == EXIT_OK
    assert haul.digest() == local
    records = haul.commits()
    begun = min(datetime.fromisoformat(record["started"]) for record in records)
    over = max(datetime.fromisoformat(record["finished"]) for record in records)
    moved = sum(record["transfer"]["dish"]["wire_bytes"] for record in records)
    share = moved * 8 / 1e6 / (over - begun).total_seconds()
    spools = [path for path in Path(haul.folder / "spool").rglob("worker-*") if path.is_dir()]
    print({"way": way, "share of the rate": round(share, 3), "spools beside the first": len(spools)})
    assert len(spools) == 1, "two workers hauled"
    assert 0.5 < share < 1.02


@pytest.mark.slow
def test_shards_longer_than_any_heartbeat_pass_at_once_and_are_followed_from_the_dataset(
    new_haul: NewHaul, flink: Engine
) -> None:
    """A shard a link, each a minute long; a TaskManager is missed after 10 s."""
    haul = new_haul("s3", rate="85kbit/s", shard="4MiB")
    watched = ["status", "--watch", "--every", "1s", "--json", haul.dataset]
    client = haul.start(flink.options)
    until(lambda: bool(haul.files("_skyhaul/plan")), 60)
    looks = haul.skyhaul(*watched, seconds=240)
    assert client.wait(CLIENT_ENDS) == EXIT_OK
    assert looks.returncode == EXIT_OK
    seen = [look["shards"]["committed"] for look in _documents(looks.stdout)]
    assert (seen[0], seen[-1]) == (0, 2)
    for record in haul.commits():
        begun, over = (datetime.fromisoformat(record[at]) for at in ("started", "finished"))
        assert (over - begun).total_seconds() > 45
    (job,) = (job for job in flink.cluster.rest("/jobs/overview")["jobs"] if job["duration"] > 45_000)
    assert job["state"] == "FINISHED"
    failures = flink.cluster.rest(f"/jobs/{job['jid']}/exceptions")
    assert failures["exceptionHistory"]["entries"] == [], "nothing was started again"


def _documents(text: str) -> list[dict[str, Any]]:
    """JSON documents, one after the other."""
    return [json.loads(piece + "}") for piece in text.split("\n}\n") if piece.strip()]


@pytest.mark.slow
def test_flink_runner_starts_the_job_server_itself_and_gives_the_local_bytes(
    new_haul: NewHaul, flink: Engine, local: str
) -> None:
    haul = new_haul()
    options = [
        *("--runner", "FlinkRunner", "--", "--flink_version=1.19", "--parallelism=2"),
        f"--flink_master={flink.cluster.master}",
        f"--flink_job_server_jar={fetch.job_server_jar()}",
        *demo.worker_options(),
    ]
    assert haul.run(options) == EXIT_OK
    assert haul.digest() == local


@pytest.mark.slow
@pytest.mark.parametrize("rate", [None, "2Mbit/s"])
def test_the_splittable_adapter_on_a_runner_that_splits_gives_the_local_bytes(
    new_haul: NewHaul, offline: None, local: str, rate: str | None
) -> None:
    try:
        program: Path = fetch.go_tool("prism")
    except Unavailable as reason:
        pytest.skip(f"no Prism: {reason}")
    haul = new_haul(rate=rate)
    # PrismRunner, unlike a job server apart, is known to split: see adapter_for.
    options = ["--runner", "PrismRunner", "--", f"--prism_location={program}", *demo.worker_options()]
    # Beam's PrismRunner leaves an empty folder in the temporary directory, so that `run` would complain.
    assert haul.said(options).returncode == EXIT_OK
    assert haul.digest() == local
    assert haul.is_sound()
