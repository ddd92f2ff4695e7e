"""The public transforms, inside pipelines of other people's; and both adapters of the same conductor."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from tests.hauling.rig import data_digests, job, write_job, write_region

from skyhaul.beam import HaulShards, SummarizeReceipts
from skyhaul.beam.driver import haul_on_beam
from skyhaul.beam.runners import open_runner, options_for
from skyhaul.beam.worker_errors import lasting_error
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulConfig, HaulOptions, Lot
from skyhaul.hauling.lots.dealing import lots_of
from skyhaul.planning.make_plan import make_plan
from skyhaul_schemas.errors import (
    EXIT_BUG,
    EXIT_FAILED,
    EXIT_INCOMPLETE,
    EXIT_OK,
    EXIT_USAGE,
    CommitConflict,
)
from skyhaul_schemas.job.file import LoadedJob, load_job
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.plan import PlanHeader

SEED = 12


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("region")
    write_region(root, SEED, jsonl_bytes=600_000, texts=30)
    return root


def planned(folder: Path, region: Path) -> tuple[LoadedJob, DatasetStore, PlanHeader]:
    content = job(
        folder / "out",
        folder / "spool",
        f"{region}/lines/*.jsonl",
        f"{region}/texts/*.txt",
        target_size="100kB",
    )
    loaded = load_job(write_job(folder / "job.yaml", content), os.environ)
    store = open_store(str(folder / "out"), writable=True)
    return loaded, store, make_plan(loaded, store)


@pytest.fixture(scope="module")
def expected(region: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("expected")
    loaded, store, _ = planned(folder, region)
    assert haul_on_beam(loaded, store, HaulOptions()).exit_code == 0
    return data_digests(folder / "out")


def config_of(loaded: LoadedJob, store: DatasetStore) -> HaulConfig:
    return HaulConfig("test-run", store.url, loaded.text, str(loaded.path), workers=2)


@pytest.mark.parametrize("adapter", ["lots", "splittable"])
@pytest.mark.parametrize("parallelism", [1, 3])
def test_a_haul_inside_another_pipeline_gives_a_receipt_a_shard_and_the_same_files(
    adapter: str,
    parallelism: int,
    region: Path,
    expected: dict[str, str],
    tmp_path: Path,
) -> None:
    loaded, store, header = planned(tmp_path, region)
    config = config_of(loaded, store)
    with beam.Pipeline(runner=open_runner("DirectRunner")) as pipeline:
        receipts = pipeline | HaulShards(config, parallelism=parallelism, adapter=adapter)  # type: ignore[arg-type]
        assert_that(receipts | beam.Map(lambda r: r.shard), equal_to(list(range(header.shards))), "each")
        whole = [(header.shards, 0, header.source_bytes)]
        tally = receipts | SummarizeReceipts()
        assert_that(
            tally | "Parts" >> beam.Map(lambda t: (t.committed, t.failed, t.source_bytes)),
            equal_to(whole),
        )
    assert data_digests(tmp_path / "out") == expected


def test_the_default_runner_starts_at_once_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket, "create_connection", refuse)
    runner = open_runner("DirectRunner")
    assert type(runner).__name__ == "FnApiRunner"
    with beam.Pipeline(runner=runner, options=options_for("DirectRunner", [])[0]) as pipeline:
        pipeline | beam.Create([1, 2]) | beam.Map(lambda x: x + 1)


def test_lots_cover_every_shard_once_and_keep_a_links_sources_together() -> None:
    made = Job.model_validate(
        {
            "version": 1,
            "name": "lots",
            "dataset": "out",
            "sources": {
                "a": {"url": "a/*.txt", "via": ["x", "y"]},
                "b": {"url": "b/*.txt", "via": ["z"]},
                "c": {"url": "https://example.org/*.txt", "max_connections": 6},
                "e": {"url": "e/*.txt"},
                "d": {"url": "d/*.txt", "via": ["y"]},
            },
            "links": {name: {"preset": "leo"} for name in "xyz"},
        }
    )
    by_source = {
        name: {"objects": 1, "bytes": 1, "chunks": 1, "shards": 10, "first_shard": first}
        for name, first in zip("abcde", (0, 10, 20, 30, 40), strict=True)
    }
    header = PlanHeader("0" * 64, "lots", {}, {}, "0" * 64, 5, 5, 50, 5, by_source)
    config = HaulConfig("run", "out", "", "")
    alone = sorted((lot.stretches, lot.divisible) for lot in lots_of(config, made, header, 1))
    assert alone == [
        (((0, 10), (30, 40)), False),
        (((10, 20),), False),
        (((20, 30),), True),
        (((40, 50),), True),
    ]
    lots = list(lots_of(config, made, header, 4))
    covered = sorted(shard for lot in lots for a, b in lot.stretches for shard in range(a, b))
    assert covered == list(range(50))
    assert ((0, 10), (30, 40)) in [lot.stretches for lot in lots], "a and d share link y"
    assert [lot.connections for lot in lots[2:]] == [2, 2, 1, 1, 0, 0, 0, 0]
    assert len(list(lots_of(config, made, header, 40))) == 2 + 6 + 10, "a lot has a connection at least"
    replay = [lot.stretches for lot in lots_of(replace(config, only=(3, 4, 9, 25, 33)), made, header, 1)]
    assert replay == [((3, 5), (9, 10), (33, 34)), ((25, 26),)]


def test_a_bug_in_one_shard_stops_the_run_and_names_it(
    region: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyhaul.hauling import conductor

    loaded, store, _ = planned(tmp_path, region)

    def broken(shard, *rest, **more):  # type: ignore[no-untyped-def]
        raise ZeroDivisionError("a deterministic bug")

    monkeypatch.setattr(conductor, "encode_shard", broken)
    with pytest.raises(conductor.ShardBug, match=r"shard \d+ of source \w+: ZeroDivisionError"):
        haul_on_beam(loaded, store, HaulOptions())


def test_a_commit_with_other_digests_stops_the_run(
    region: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyhaul.hauling import conductor

    loaded, store, _ = planned(tmp_path, region)

    def conflicting(shard, *rest, **more):  # type: ignore[no-untyped-def]
        raise CommitConflict(f"shard {shard.number} is committed with other digests")

    monkeypatch.setattr(conductor, "encode_shard", conflicting)
    with pytest.raises(CommitConflict):
        haul_on_beam(loaded, store, HaulOptions())


def test_a_lot_that_the_runner_loses_is_found_though_it_says_done(
    region: Path, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyhaul.beam import dofns
    from skyhaul.hauling.lots.dealing import deal_lots

    def lossy(config: HaulConfig, parallelism: int) -> list[Lot]:
        return list(deal_lots(config, 3))[1:]

    loaded, store, header = planned(tmp_path, region)
    monkeypatch.setattr(dofns, "deal_lots", lossy)
    outcome = haul_on_beam(loaded, store, HaulOptions())
    assert outcome.exit_code == EXIT_INCOMPLETE
    assert 0 < outcome.survey.shards_left < header.shards
    assert "were not hauled (runner state DONE)" in " ".join(outcome.messages)
    monkeypatch.undo()
    assert haul_on_beam(loaded, store, HaulOptions()).exit_code == EXIT_OK
    assert data_digests(tmp_path / "out") == expected


FLINK_SAYS = """\
java.lang.RuntimeException: Error received from SDK harness for instruction 1: Traceback:
  File "conductor.py", line 193, in _encode
    raise ZeroDivisionError("a deterministic bug")
ZeroDivisionError: a deterministic bug
The above exception was the direct cause of the following exception:
RuntimeError: {} [while running 'HaulShards/HaulLots/HaulLot']
"""


@pytest.mark.parametrize(
    ("raised", "exit_code"),
    [
        ("skyhaul.hauling.conductor.ShardBug: shard 3 of source even: ZeroDivisionError: a bug", EXIT_BUG),
        ("skyhaul_schemas.errors.FingerprintMismatch: this installation encodes otherwise", EXIT_USAGE),
        ("skyhaul_schemas.errors.CommitConflict: shard 3 is committed otherwise", EXIT_FAILED),
        ("skyhaul_schemas.errors.StorageError: the store does not answer", None),
        ("skyhaul_schemas.errors.SpoolInUse: another process hauls with this spool", None),
        ("skyhaul_schemas.errors.EXIT_OK: no class", None),
        ("grpc.RpcError: gone", None),
    ],
)
def test_an_error_of_a_worker_elsewhere_that_would_come_again_is_known_by_its_text(
    raised: str, exit_code: int | None
) -> None:
    error = lasting_error(FLINK_SAYS.format(raised))
    if exit_code is None:
        assert error is None
    else:
        assert error is not None
        assert error.exit_code == exit_code
        assert str(error) == f"a worker stopped: {raised.partition(': ')[2]}"
