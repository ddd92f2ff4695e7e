"""One source, or one object, that hardly comes holds up nothing else: whole hauls over a real server."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from tests.faults.hostile_http import HostileServer
from tests.faults.http_faults import HttpFault

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.conductor import Conductor, claims_of
from skyhaul.hauling.config import HaulConfig, HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.hauling.progress import Hauling, Progress
from skyhaul.hauling.receipts import Receipt
from skyhaul.hauling.worker_context import WorkerContext
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.job.file import LoadedJob, parse_job

SLOW = HttpFault("slow", after=3, seconds=0.3)
SILENT = HttpFault("silent")
OBJECTS = {
    f"{side}/{i}.bin": random.Random(f"{side}{i}").randbytes(100_000) for side in "ab" for i in range(4)
}
GOOD = {path.removeprefix("b/"): data for path, data in OBJECTS.items() if path.startswith("b/")}


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer(OBJECTS) as running:
        yield running


def job(
    folder: Path, server: HostileServer, more: str = "", only: str = "ab", patience: str = "4s"
) -> LoadedJob:
    sources = "".join(
        f"  {side}: {{url: '{server.url}{side}/*.bin', format: binary, max_connections: 4}}\n"
        for side in only
    )
    text = f"""
version: 1
name: dripping
dataset: {folder / "out"}
spool: {folder / "spool"}
schema: blob
patience: {patience}
sources:
{sources}
shards: {{target_size: 100kB}}
{more}
"""
    return parse_job(text, "dripping.yaml", os.environ)


def planned(folder: Path, loaded: LoadedJob) -> DatasetStore:
    store = open_store(str(folder / "out"), writable=True)
    make_plan(loaded, store)
    return store


def committed(folder: Path) -> dict[str, bytes]:
    table = ds.dataset(folder / "out" / "data").to_table(columns=["name", "bytes"])
    return dict(zip(table["name"].to_pylist(), table["bytes"].to_pylist(), strict=True))


def reasons(outcome: HaulOutcome) -> str:
    return "; ".join(outcome.messages)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("fault", [SLOW, SILENT], ids=["drips", "silent"])
def test_a_source_in_front_holds_up_no_other(
    fault: HttpFault, workers: int, server: HostileServer, tmp_path: Path
) -> None:
    loaded = job(tmp_path, server)
    store = planned(tmp_path, loaded)
    for i in range(4):
        server.faults.always(f"a/{i}.bin", fault)
    outcome = haul_on_beam(loaded, store, HaulOptions(workers=workers))
    assert outcome.exit_code == 75, outcome.messages
    assert committed(tmp_path) == GOOD
    assert outcome.run.shards_deferred == 4
    assert "SourceSilent" in reasons(outcome)
    if fault is SLOW:
        assert "less than its min_rate of 1 kB/s" in reasons(outcome)


@pytest.mark.parametrize("fault", [SLOW, SILENT], ids=["drips", "silent"])
def test_an_object_in_front_holds_up_no_other_of_its_source(
    fault: HttpFault, server: HostileServer, tmp_path: Path
) -> None:
    loaded = job(tmp_path, server, only="b", patience="12s")
    store = planned(tmp_path, loaded)
    plan = Plan.open(store)
    first = plan.shard(0).chunks[0].object.path
    plan.close()
    server.faults.always(f"b/{first}", fault)
    outcome = haul_on_beam(loaded, store, HaulOptions())
    assert outcome.exit_code == 75, outcome.messages
    assert committed(tmp_path) == {name: data for name, data in GOOD.items() if name != first}


def test_a_dripping_source_does_not_fill_the_spool(server: HostileServer, tmp_path: Path) -> None:
    loaded = job(tmp_path, server, more="spool_limit: 250kB")
    store = planned(tmp_path, loaded)
    for i in range(4):
        server.faults.always(f"a/{i}.bin", SLOW)
    outcome = haul_on_beam(loaded, store, HaulOptions())
    assert outcome.exit_code == 75, outcome.messages
    assert committed(tmp_path) == GOOD


def test_what_is_hauled_beside_a_dripping_source_has_the_same_bytes(
    server: HostileServer, tmp_path: Path
) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (folder / "out" / "data").rglob("*.parquet")}

    plain, dripping = tmp_path / "plain", tmp_path / "dripping"
    for folder in (plain, dripping):
        folder.mkdir()
    assert haul_on_beam(job(plain, server), planned(plain, job(plain, server)), HaulOptions()).exit_code == 0
    store = planned(dripping, job(dripping, server))
    for i in range(4):
        server.faults.always(f"a/{i}.bin", SLOW)
    assert haul_on_beam(job(dripping, server), store, HaulOptions(workers=2)).exit_code == 75
    for i in range(4):
        server.faults.always(f"a/{i}.bin", None)
    assert haul_on_beam(job(dripping, server), store, HaulOptions(workers=2)).exit_code == 0
    assert files(dripping) == files(plain)


def test_lots_of_one_process_do_not_hold_each_other_up(server: HostileServer, tmp_path: Path) -> None:
    """As a runner that splits has it: a conductor for each stretch, over one engine."""
    loaded = job(tmp_path, server)
    store = planned(tmp_path, loaded)
    for i in range(4):
        server.faults.always(f"a/{i}.bin", SLOW)
    plan = Plan.open(store)
    stretches = {name: (first, stop) for name, first, stop in plan.header.stretches()}
    config = HaulConfig("run", str(tmp_path / "out"), loaded.text, "dripping.yaml")
    context = WorkerContext(config)
    receipts: dict[str, list[Receipt]] = {"a": [], "b": []}

    def conduct(source: str) -> None:
        shards = plan.shards(*stretches[source])
        receipts[source].extend(Conductor(context, 1).haul(claims_of(shards)))

    dripping = threading.Thread(target=conduct, args=("a",))
    dripping.start()
    conduct("b")
    assert [r.outcome for r in receipts["b"]] == ["committed"] * 4
    assert not receipts["a"], "the source that drips is still being tried"
    dripping.join()
    assert [r.outcome for r in receipts["a"]] == ["deferred"] * 4
    context.close()
    plan.close()


class Seen:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Progress] = []

    def progress(self, progress: Progress) -> None:
        self.told.append(progress)

    def event(self, message: str) -> None:
        return None


def test_the_time_left_is_that_of_the_source_that_drips(server: HostileServer, tmp_path: Path) -> None:
    loaded = job(tmp_path, server)
    store = planned(tmp_path, loaded)
    for i in range(4):
        server.faults.always(f"a/{i}.bin", SLOW)
    seen = Seen()
    haul_on_beam(loaded, store, HaulOptions(), observer=seen)
    late = [
        p.eta
        for p in seen.told
        if isinstance(p, Hauling) and not p.finishing and p.elapsed > 3.5 and p.source_bytes_done > 390_000
    ]
    assert late
    assert all(eta is None or eta > 3600 for eta in late), late
