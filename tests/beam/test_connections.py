"""What a source allows holds for all workers together, counted at its server, and is used by whoever has the
work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import split_manager
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.environments import EmbeddedPythonGrpcEnvironment
from hypothesis import given
from hypothesis import strategies as st
from tests.beam.rig import ADAPTERS, AtServer, committed, job_of, pipeline, planned, threads, write_texts
from tests.faults.hostile_http import HostileServer
from tests.hauling.rig import data_digests

from skyhaul.beam import Haul
from skyhaul.beam.piece import Heard, Piece, PieceTracker, Settled
from skyhaul.hauling.links.connections import Connections
from skyhaul_schemas import layout

MOST = 4


def served(folder: Path, count: int, size: int, rate: float) -> HostileServer:
    return HostileServer(write_texts(folder / "texts", count, size), rate=rate)


def over(server: HostileServer, folder: Path, most: int = MOST) -> Path:
    return job_of(folder, {"texts": {"url": f"{server.url}*.txt", "max_connections": most}})


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_three_worker_processes_of_one_machine_keep_to_them_together(adapter: str, tmp_path: Path) -> None:
    with served(tmp_path, 24, 20_000, 60_000) as server:
        job = over(server, tmp_path / "haul")
        planned(job)
        time.sleep(0.1)
        options = ["--direct_num_workers=3", "--direct_running_mode=multi_processing"]
        with AtServer(server.port) as counted, pipeline(*options) as made:
            haul = made | Haul(str(job), adapter=adapter)  # type: ignore[arg-type]
            assert_that(haul.shards | beam.Map(lambda r: r.shard), equal_to(list(range(24))))
    assert len(committed(job)) == 24
    assert 2 <= counted.most <= MOST


@pytest.mark.parametrize(("adapter", "parallelism"), [("lots", 3), ("splittable", 1)])
def test_one_process_that_has_all_the_work_uses_all_of_them(
    adapter: str, parallelism: int, tmp_path: Path
) -> None:
    with served(tmp_path, 24, 20_000, 60_000) as server:
        job = over(server, tmp_path / "haul")
        planned(job)
        time.sleep(0.1)
        with AtServer(server.port) as counted, pipeline() as made:
            made | Haul(str(job), adapter=adapter, parallelism=parallelism)  # type: ignore[arg-type]
        assert counted.most == MOST
        assert counted.now() == 0


def test_a_runner_that_splits_gets_half_of_what_it_asks_for_and_the_same_bytes(tmp_path: Path) -> None:
    shards, most = 300, 8
    asked: list[bool] = []
    after_the_first: list[int] = []
    with served(tmp_path, shards, 2_000, 60_000) as server:
        whole, parted = over(server, tmp_path / "whole", most), over(server, tmp_path / "parted", most)
        with pipeline() as made:
            made | Haul(str(whole))
        planned(parted)

        def ask(elements: int) -> Iterator[float]:
            while len(asked) < 4:
                have, until = commits(parted), time.monotonic() + 3
                while commits(parted) <= have and time.monotonic() < until:
                    time.sleep(0.02)
                split: Any = yield 0.5
                if split is None:
                    return
                asked.append(bool(split.residual_roots))
                if asked[-1] and not after_the_first:
                    time.sleep(0.2)
                    after_the_first.append(counted.now())

        runner = FnApiRunner(default_environment=EmbeddedPythonGrpcEnvironment.default())
        with (
            AtServer(server.port) as counted,
            split_manager("Haul/Lots/Conduct/HaulStretch", ask),
            beam.Pipeline(runner=runner) as made,
        ):
            haul = made | Haul(str(parted), adapter="splittable")
            assert_that(haul.shards | beam.Map(lambda r: r.shard), equal_to(list(range(shards))))
    assert data_digests(whole.parent / "out") == data_digests(parted.parent / "out")
    print("splits asked for:", asked)
    assert sum(asked) >= 2
    assert counted.most <= most
    assert 0 < after_the_first[0] <= most // 2, "what was split off has taken the other half along"
    assert threads() == []


def commits(job: Path) -> int:
    return sum(1 for _ in (job.parent / "out" / layout.COMMITS).glob("*/*.json"))


@given(
    st.integers(1, 300),
    st.integers(0, 20),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(0, 1)), max_size=12),
)
def test_splits_part_the_shards_and_divide_the_connections(
    shards: int, connections: int, steps: list[tuple[int, int, float]]
) -> None:
    trackers = [PieceTracker(Piece(0, shards, connections))]
    claimed: list[int] = []
    told: dict[int, int] = {}
    for turn, (claims, settled, fraction) in enumerate(steps):
        index = turn % len(trackers)
        tracker = trackers[index]
        tracker.try_claim(Heard(lambda now, index=index: told.__setitem__(index, now)))  # type: ignore[misc]
        for _ in range(claims):
            claimed += claim(tracker)
        tracker.try_claim(Settled(min(settled, tracker._claimed + 1 - tracker.current_restriction().start)))
        before = tracker.current_restriction()
        parted = tracker.try_split(fraction)
        if parted is None:
            assert tracker.current_restriction() == before
            continue
        primary, residual = parted
        assert primary == tracker.current_restriction()
        assert (primary.start, residual.stop) == (before.start, before.stop)
        assert tracker._claimed < primary.stop == residual.start < residual.stop
        if connections:
            assert primary.connections >= 1
            assert residual.connections >= 1
            assert told[index] == primary.connections
        trackers.append(PieceTracker(residual))
    for tracker in trackers:
        while more := claim(tracker):
            claimed += more
        tracker.try_claim(tracker.current_restriction().stop)
        tracker.check_done()
    assert sorted(claimed) == list(range(shards))
    assert sum(tracker.current_restriction().connections for tracker in trackers) == connections


def claim(tracker: PieceTracker) -> list[int]:
    """The next place, where it can be had."""
    place = tracker._claimed + 1
    return [place] if place < tracker.current_restriction().stop and tracker.try_claim(place) else []


def test_progress_is_what_is_done_with_and_not_what_is_claimed() -> None:
    tracker = PieceTracker(Piece(10, 110))
    for place in range(10, 90):
        assert tracker.try_claim(place)
    assert tracker.current_progress().completed_work == 0
    tracker.try_claim(Settled(25))
    assert tracker.current_progress().completed_work == 25
    assert tracker.current_progress().remaining_work == 75
    parted = tracker.try_split(0.9)
    assert parted is not None
    assert parted[1] == Piece(103, 110)
    with pytest.raises(ValueError, match="not claimed"):
        tracker.check_done()


def test_a_process_has_the_sum_of_its_pieces_and_never_more_than_is_allowed() -> None:
    told: list[tuple[str, int]] = []
    connections = Connections({"a": 6}, lambda source, now: told.append((source, now)))
    with connections.held(["a", "local"], 4) as first, connections.held(["a"], 2):
        first.change(1)
        with connections.held(["a"]):
            pass
    assert told == [("a", n) for n in (4, 6, 3, 6, 3, 1, 0)]
