"""Two worker processes haul one plan over one shared link: the bytes of a haul by one, at the link's rate."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import yaml
from tests.hauling.rig import data_digests

from links.sharing.redis_server import sharing
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import survey
from skyhaul.hauling.config import HaulConfig, HaulOptions, Lot
from skyhaul.hauling.lots.dealing import lots_of
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.plan import PlanHeader

WORKER = """
import pickle, sys
from skyhaul.beam.dofns import HaulLotFn
do_fn = HaulLotFn()
do_fn.setup()
do_fn.start_bundle()
do_fn.process(pickle.loads(sys.stdin.buffer.read()), 0, None)
receipts = [windowed.value for windowed in do_fn.finish_bundle()]
do_fn.teardown()
assert {r.outcome for r in receipts} == {"committed"}, receipts
print(sum(r.fresh for r in receipts))
"""

RATE = 16e6
BYTES = 4_000_000


def job_of(folder: Path, name: str, link: dict[str, object]) -> LoadedJob:
    text = yaml.safe_dump(
        {
            "version": 1,
            "name": "sharing",
            "dataset": str(folder / name),
            "spool": str(folder / f"spool-{name}"),
            "sources": {
                "made": {
                    "url": f"synthetic://corpus?count={BYTES // 40_000}&size=40kB",
                    "format": "text",
                    "via": ["dish"],
                }
            },
            "links": {"dish": link},
            "shards": {"target_size": "200kB"},
        }
    )
    return parse_job(text, "job.yaml", {})


def work(lot: Lot) -> subprocess.Popen[bytes]:
    import pickle

    process = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(lot))
    process.stdin.close()
    process.stdin = None
    return process


def planned(loaded: LoadedJob) -> PlanHeader:
    with closing(open_store(loaded.job.dataset, writable=True)) as store:
        return make_plan(loaded, store)


@pytest.mark.timeout(110)
@pytest.mark.parametrize(
    ("way", "emulate"),
    [
        ("store", False),
        ("redis", True),
        pytest.param("redis", False, marks=pytest.mark.slow),
        pytest.param("store", True, marks=pytest.mark.slow),
    ],
)
def test_two_workers_share_a_link_and_make_the_dataset_of_one(
    way: str, emulate: bool, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        shared = stack.enter_context(sharing(way, tmp_path))
        alone = job_of(tmp_path, "alone", {"down": "1Gbit/s"})
        with closing(open_store(alone.job.dataset, writable=True)) as store:
            assert haul_on_beam(alone, store, HaulOptions()).exit_code == 0

        link: dict[str, object] = {"down": "16Mbit/s", "shared": shared, "emulate": emulate}
        together = job_of(tmp_path, "together", {**link, **({"rtt": "40ms"} if emulate else {})})
        header = planned(together)
        config = HaulConfig(
            run="20260101T000000Z-00000000",
            dataset=together.job.dataset,
            job_text=together.text,
            job_origin="job.yaml",
            epoch=time.time(),
        )
        lots = list(lots_of(config, together.job, header, 2))
        assert [lot.connections for lot in lots] == [8, 8]
        begun = time.monotonic()
        workers = [work(lot) for lot in lots]
        done = [process.communicate(timeout=90) for process in workers]
        spent = time.monotonic() - begun
        assert [process.returncode for process in workers] == [0, 0], done
        assert sum(int(out) for out, _ in done) == header.shards

    assert data_digests(tmp_path / "together") == data_digests(tmp_path / "alone")
    with closing(open_store(together.job.dataset, writable=False)) as store:
        assert verify_dataset(store, deep=True).exit_code() == 0
        with closing(Plan.open(store)) as plan:
            assert survey(plan, store).transfer["dish"].payload_bytes == header.source_bytes
    assert spent > header.source_bytes * 8 / RATE, "not faster than the link"


def test_a_link_that_is_not_shared_stays_with_one_worker(tmp_path: Path) -> None:
    own = job_of(tmp_path, "own", {"down": "16Mbit/s"})
    header = planned(own)
    config = HaulConfig("run", own.job.dataset, own.text, "job.yaml")
    assert [(lot.stretches, lot.divisible) for lot in lots_of(config, own.job, header, 4)] == [
        (((0, header.shards),), False)
    ]
    shared = job_of(tmp_path, "own", {"down": "16Mbit/s", "shared": "store"})
    lots = list(lots_of(config, shared.job, header, 4))
    assert [(lot.connections, lot.divisible) for lot in lots] == [(4, True)] * 4
    assert sum(stop - first for lot in lots for first, stop in lot.stretches) == header.shards
